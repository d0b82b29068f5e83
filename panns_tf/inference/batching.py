"""Many recordings: read ahead by threads, predicted in batches of equal length, in their order."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from panns_tf.inference.model import WINDOW_SECONDS, InferenceModel
from panns_tf.windows import WindowCutter
from tfrecords.audio import AudioError, AudioStream, describe, open_audio

#: Recordings read ahead of their use, at most; of each at most `WINDOW_SECONDS`.
READ_AHEAD = 16
#: Recordings that wait for others of their length, at most, and seconds of audio.
MOST_WAITING, MOST_SECONDS = 64, 1500.0
#: Samples read of a long recording at a time.
BLOCK = 2**18


@dataclasses.dataclass(eq=False)
class Recording:
    """A recording that was opened, and read as far as a window of the model goes.

    Attributes:
        source: as it was given.
        name: of it, in one line.
        samples: (samples,) float32, mono; of a long one the beginning.
        seconds: its length; of a long one by its header, 0 where that does not say.
        notes: what a user should know of it, a line each.
        error: why it cannot be read, or None.
        stream: of a long one, from which the rest can be read; else None.
    """

    source: object
    name: str
    samples: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    error: AudioError | None = None
    stream: AudioStream | None = None

    @property
    def file(self) -> str:
        """Its name in results: its path where a file can hold that, else ``name``."""
        if not isinstance(self.source, str | os.PathLike):
            return self.name
        path = os.fspath(self.source)
        try:
            path.encode()
        except UnicodeEncodeError:  # bytes that are no UTF-8
            return self.name
        return path

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields all of its samples, once, and completes its notes.

        Raises:
            AudioError: where it turns out to be damaged.
        """
        yield self.samples
        if self.stream is not None:
            with self.stream as stream:
                yield from stream.blocks(BLOCK)
                self.notes = tuple(stream.notes)


@dataclasses.dataclass(eq=False)
class Prediction(Recording):
    """A recording and what a network gives of it.

    Attributes:
        outputs: arrays by name, see `InferenceModel`; with windows a row for each.
        starts: of the windows, in seconds; None for the whole recording.
    """

    outputs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    starts: tuple[float, ...] | None = None


def read_ahead(
    sources: Iterable,
    sample_rate: int,
    kind: type[Recording] = Recording,
    *,
    rate: int | None = None,
    workers: int = 2,
) -> Iterator[Recording]:
    """Yields recordings in their order, read by threads ahead of their use.

    No recording ends the iteration: what cannot be read comes out with its error.

    Args:
        sources: paths and whatever else `tfrecords.audio.open_audio` takes.
        sample_rate: samples a second wanted.
        kind: class of what is yielded.
        rate: samples a second of arrays.
        workers: threads.
    """
    waiting: collections.deque = collections.deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for source in sources:
            waiting.append(pool.submit(_read, source, sample_rate, rate, kind))
            while waiting and (len(waiting) > READ_AHEAD or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(source, sample_rate: int, rate: int | None, kind: type[Recording]) -> Recording:
    name = describe(source)
    limit = round(WINDOW_SECONDS * sample_rate)
    try:
        stream = open_audio(source, sample_rate, rate, name=name)
        samples = stream.read(limit + 1)
        if len(samples) > limit:
            return kind(source, name, samples, stream.seconds or 0.0, stream=stream)
        stream.close()
        return kind(source, name, samples, len(samples) / sample_rate, tuple(stream.notes))
    except AudioError as error:
        return kind(source, name, error=error)
    except Exception as error:  # of one file; the others go on
        reason = " ".join(str(error).split()) or type(error).__name__
        return kind(source, name, error=AudioError(f"{name}: {reason}"))


def predict_each(
    model: InferenceModel,
    sources: Iterable,
    *,
    rate: int | None = None,
    workers: int = 2,
    windows: tuple[int, int] | None = None,
) -> Iterator[Prediction]:
    """Predicts recordings in batches.

    A recording's outputs do not depend on its neighbours, but for rounding. One that cannot be read
    comes out with its error and ends nothing.

    Args:
        model: the network.
        sources, rate, workers: as for `read_ahead`.
        windows: size and hop in samples, for outputs of every window; None for the whole.

    Yields:
        A `Prediction` for each, in order.
    """
    waiting = _Waiting(model)
    recordings = read_ahead(sources, model.sample_rate, Prediction, rate=rate, workers=workers)
    for recording in recordings:
        if recording.error is None and windows is None and recording.stream is None:
            waiting.add(recording)
        else:
            if recording.error is None:
                yield from waiting.flush()  # what waits needs no more memory beside it
                (_predict_whole if windows is None else _predict_windows)(model, recording, windows)
            waiting.order.append(recording)
        yield from waiting.finished()
    yield from waiting.flush()


def _predict_whole(model: InferenceModel, recording: Prediction, _=None) -> None:
    encoder = model.streaming_encoder()
    try:
        for block in recording.blocks():
            encoder.feed(block)
    except AudioError as error:
        recording.error = error
        return
    encoder.finish()
    recording.seconds = encoder.samples / model.sample_rate
    recording.outputs = encoder.pool.outputs()


def _predict_windows(
    model: InferenceModel, recording: Prediction, windows: tuple[int, int]
) -> None:
    cutter, starts = WindowCutter(*windows), []
    rows: list[dict[str, np.ndarray]] = []

    def cut() -> Iterator[tuple[int, np.ndarray]]:
        for block in recording.blocks():
            yield from cutter.feed(block)
        yield from cutter.finish()

    try:
        for batch in batched(cut(), model.clips_at_once(cutter.size)):
            starts += [start / model.sample_rate for start, _ in batch]
            rows.append(model.predict(np.stack([window for _, window in batch])))
    except AudioError as error:
        recording.error = error
        return
    names = [name for name in rows[0] if name != "segmentwise_output"]
    recording.outputs = {name: np.concatenate([row[name] for row in rows]) for name in names}
    recording.seconds, recording.starts = cutter.samples / model.sample_rate, tuple(starts)


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Yields lists of ``size`` items, the last perhaps shorter."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


class _Waiting:
    """Recordings that wait for a full batch of their length, or for those before them."""

    def __init__(self, model: InferenceModel):
        self._model = model
        self.order: collections.deque[Prediction] = collections.deque()
        self._by_length: dict[int, list[Prediction]] = {}

    def add(self, recording: Prediction) -> None:
        """Adds a recording, and predicts a batch if it is full or too much waits."""
        self.order.append(recording)
        length = len(recording.samples)
        self._by_length.setdefault(length, []).append(recording)
        if len(self._by_length[length]) == self._model.clips_at_once(length):
            self._predict(length)
        while self._by_length and self._too_much():
            self._predict(next(iter(self._by_length)))  # the length that waits longest

    def _too_much(self) -> bool:
        counts = {length: len(group) for length, group in self._by_length.items()}
        samples = sum(length * count for length, count in counts.items())
        seconds = samples / self._model.sample_rate
        return sum(counts.values()) > MOST_WAITING or seconds > MOST_SECONDS

    def finished(self) -> Iterator[Prediction]:
        """Yields those from the first on that are predicted or have an error."""
        while self.order and (self.order[0].outputs or self.order[0].error is not None):
            yield self.order.popleft()

    def flush(self) -> Iterator[Prediction]:
        """Predicts and yields all."""
        while self._by_length:
            self._predict(next(iter(self._by_length)))
        yield from self.finished()

    def _predict(self, length: int) -> None:
        group = self._by_length.pop(length)
        outputs = self._model.predict(np.stack([recording.samples for recording in group]))
        for index, recording in enumerate(group):
            recording.outputs = {name: values[index] for name, values in outputs.items()}
            recording.samples = recording.samples[:0]
