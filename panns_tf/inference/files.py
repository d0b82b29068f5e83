"""Many recordings decoded ahead of who uses them."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from panns_tf.inference.ahead import map_ahead
from tfrecords.audio import AudioError, AudioStream, describe, open_audio

#: Decoded sound that may wait for its user, in bytes.
_MOST_BYTES = 2**28


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """What became of a source; either samples, an error, or a way to read what is long.

    Attributes:
        source: as it was given.
        name: what to call it, in one line.
        samples: (samples,) float32, mono; or None.
        seconds: its length; of long ones by their header, None where that does not say.
        notes: what a user should know of it, a line each.
        error: why it cannot be read, or None.
        open_long: opens a recording that is too long to be handed over whole, or None.
    """

    source: object
    name: str
    samples: np.ndarray | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    error: AudioError | None = None
    open_long: Callable[[], AudioStream] | None = None


def decoded(
    sources: Iterable,
    sample_rate: int,
    workers: int = 2,
    ahead: int = 16,
    *,
    rate: int | None = None,
    long_seconds: float = 600,
) -> Iterator[Decoded]:
    """Yields recordings in their order, decoded by threads ahead of their use.

    At most ``ahead`` of them wait, and little more than 256 MB of sound. No recording ends the
    iteration: what cannot be read comes out with its error. Closing the iterator stops the
    threads.

    Args:
        sources: paths and whatever else `tfrecords.audio.read_audio` takes.
        sample_rate: samples a second to decode to.
        workers: threads.
        ahead: recordings that may be under way or wait.
        rate: samples a second of arrays.
        long_seconds: longer recordings come out unread, with `Decoded.open_long`.
    """
    if workers < 1 or ahead < 1:
        raise ValueError(f"workers {workers}, ahead {ahead}; expected at least 1 of each")
    return map_ahead(
        functools.partial(_decode, sample_rate=sample_rate, rate=rate, long_seconds=long_seconds),
        sources,
        lambda result: 0 if result.samples is None else result.samples.nbytes,
        workers=workers,
        ahead=ahead,
        most_bytes=_MOST_BYTES,
    )


def _decode(
    source: object,
    reserve: Callable[[int], None],
    sample_rate: int,
    rate: int | None,
    long_seconds: float,
) -> Decoded:
    name = describe(source)
    most = int(long_seconds * sample_rate)
    try:
        stream = open_audio(source, sample_rate, rate)
        samples = None
        if stream.seconds is None or stream.seconds <= long_seconds:
            seconds = long_seconds if stream.seconds is None else stream.seconds
            reserve(int(seconds * sample_rate * 4))
            samples = stream.read(most + 1)
        if samples is None or len(samples) > most:
            if samples is not None:
                stream.unread(samples)
            return Decoded(source, name, seconds=stream.seconds, open_long=lambda: stream)
        stream.close()
        return Decoded(source, name, samples, len(samples) / sample_rate, tuple(stream.notes))
    except AudioError as error:
        return Decoded(source, name, error=error)
    except Exception as error:  # of one file; the others go on
        reason = " ".join(str(error).split()) or type(error).__name__
        return Decoded(source, name, error=AudioError(f"{name}: {reason}"))
