"""Many recordings heard in batches of equal length, results in the order of the recordings."""

import collections
import dataclasses
import os
from collections.abc import Iterable, Iterator

import numpy as np

from panns_tf.inference.files import Decoded, decoded
from panns_tf.inference.hearing import WINDOW_SECONDS, Hearer
from panns_tf.inference.window import WindowCutter
from tfrecords.audio import AudioError

#: Recordings that wait for others of their length, at most.
MOST_WAITING = 64
#: Seconds of sound that wait, at most.
MOST_SECONDS = 1500.0
#: Samples read of a long recording at a time.
BLOCK = 2**18


@dataclasses.dataclass(eq=False)
class Heard:
    """What became of a recording.

    Attributes:
        source: as it was given.
        name: what to call it, in one line.
        seconds: its length; 0 if it could not be read.
        notes: what a user should know of it.
        error: why there are no outputs, or None.
        outputs: arrays by name, see `Hearer.hear`, of the recording; with windows a row for each.
        starts: of the windows, in seconds; None for the whole recording.
    """

    source: object
    name: str
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    error: AudioError | None = None
    outputs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    starts: tuple[float, ...] | None = None

    @property
    def file(self) -> str:
        """What results call it: its path where a file can hold that, else ``name``."""
        if not isinstance(self.source, str | os.PathLike):
            return self.name
        path = os.fspath(self.source)
        try:
            path.encode()
        except UnicodeEncodeError:  # bytes that are no UTF-8
            return self.name
        return path


def hear_each(
    hearer: Hearer,
    sources: Iterable,
    *,
    rate: int | None = None,
    workers: int = 2,
    windows: tuple[int, int] | None = None,
) -> Iterator[Heard]:
    """Hears recordings, decoded ahead by threads, in batches.

    A recording's outputs do not depend on its neighbours, but for rounding. One that cannot be read
    comes out with its error and ends nothing.

    Args:
        hearer: the network.
        sources: paths and whatever else `tfrecords.audio.read_audio` takes.
        rate: samples a second of arrays.
        workers: threads that decode.
        windows: size and hop in samples, for outputs of every window; None for the whole.

    Yields:
        What became of each, in order.
    """
    found = decoded(sources, hearer.sample_rate, workers, rate=rate, long_seconds=WINDOW_SECONDS)
    waiting = _Waiting(hearer)
    for one in found:
        heard = Heard(one.source, one.name, one.seconds or 0.0, one.notes, one.error)
        if one.error is not None:
            waiting.add_done(heard)
        elif windows is not None:
            yield from waiting.flush()
            yield _in_windows(hearer, one, heard, windows)
        elif one.open_long is not None:
            yield from waiting.flush()  # what waits needs no more memory beside it
            yield _stitched(hearer, one, heard)
        else:
            waiting.add(heard, one.samples)
        yield from waiting.done()
    yield from waiting.flush()


def blocks_of(one: Decoded, heard: Heard) -> Iterator[np.ndarray]:
    """Yields the sound of a recording that was decoded or is long; tells ``heard`` its notes.

    Raises:
        AudioError: where it turns out to be damaged.
    """
    if one.open_long is None:
        yield one.samples
        return
    with one.open_long() as stream:
        yield from stream.blocks(BLOCK)
        heard.notes = tuple(dict.fromkeys((*heard.notes, *stream.notes)))


def _stitched(hearer: Hearer, one: Decoded, heard: Heard) -> Heard:
    stitcher = hearer.stitcher()
    try:
        for block in blocks_of(one, heard):
            stitcher.feed(block)
    except AudioError as error:
        heard.error = error
        return heard
    stitcher.finish()
    heard.seconds = stitcher.samples / hearer.sample_rate
    heard.outputs = stitcher.gathered.outputs()
    return heard


def _in_windows(hearer: Hearer, one: Decoded, heard: Heard, windows: tuple[int, int]) -> Heard:
    cutter, starts, rows = WindowCutter(*windows), [], []
    pending: list[np.ndarray] = []

    def hear(parts) -> None:
        for start, sound in parts:
            starts.append(start / hearer.sample_rate)
            pending.append(sound)
            if len(pending) == hearer.clips_at_once(cutter.size):
                run()

    def run() -> None:
        rows.append(hearer.hear(np.stack(pending)))
        pending.clear()

    try:
        for block in blocks_of(one, heard):
            hear(cutter.feed(block))
        hear(cutter.finish())
    except AudioError as error:
        heard.error = error
        return heard
    if pending:
        run()
    names = [name for name in rows[0] if name != "segmentwise_output"]
    heard.outputs = {name: np.concatenate([row[name] for row in rows]) for name in names}
    heard.seconds, heard.starts = cutter.samples / hearer.sample_rate, tuple(starts)
    return heard


class _Waiting:
    """Recordings that wait for a full batch of their length, or for those before them."""

    def __init__(self, hearer: Hearer):
        self._hearer = hearer
        self._order: collections.deque[Heard] = collections.deque()
        self._by_length: dict[int, list[tuple[Heard, np.ndarray]]] = {}
        self._samples = 0
        self._unheard = 0

    def add_done(self, heard: Heard) -> None:
        """Adds one that has nothing to be heard."""
        self._order.append(heard)

    def add(self, heard: Heard, samples: np.ndarray) -> None:
        """Adds a recording, and hears a batch if it is full or too much waits."""
        self._order.append(heard)
        group = self._by_length.setdefault(len(samples), [])
        group.append((heard, samples))
        self._samples += len(samples)
        self._unheard += 1
        if len(group) == self._hearer.clips_at_once(len(samples)):
            self._hear(len(samples))
        seconds = MOST_SECONDS * self._hearer.sample_rate
        while self._unheard > MOST_WAITING or self._samples > seconds:
            self._hear(next(iter(self._by_length)))  # the length that waits longest

    def done(self) -> Iterator[Heard]:
        """Yields those from the first on that are through."""
        while self._order and (self._order[0].outputs or self._order[0].error is not None):
            yield self._order.popleft()

    def flush(self) -> Iterator[Heard]:
        """Hears and yields all."""
        while self._by_length:
            self._hear(next(iter(self._by_length)))
        yield from self.done()

    def _hear(self, length: int) -> None:
        group = self._by_length.pop(length)
        outputs = self._hearer.hear(np.stack([samples for _, samples in group]))
        for number, (heard, _) in enumerate(group):
            heard.outputs = {name: values[number] for name, values in outputs.items()}
        self._samples -= length * len(group)
        self._unheard -= len(group)
