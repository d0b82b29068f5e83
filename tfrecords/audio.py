"""Audio from files, bytes and arrays: decoded, mixed to mono and resampled, in blocks."""

import contextlib
import itertools
import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soxr

from tfrecords.decoders import AudioError, Source, open_source, to_int16

#: Sample rates in Hz. Beyond these a header is damaged, and resampling would take gigabytes.
RATES = range(1000, 768001)

_MOST_CHANNELS = 64
# Samples beyond the largest 32-bit integer are no audio, and their spectra would be infinite.
_HIGHEST_PEAK = 2.0**32


class AudioStream:
    """Audio read block by block, in memory that does not grow with its length; see ``open_audio``.
    A context manager, and an iterator of blocks, (n,) float32, as the decoder gives them. ``rate``
    and ``channels`` are of the source, ``sample_rate`` of the blocks; ``seconds`` is the length by
    the header, or None; ``notes`` are warnings for a user, a line each, complete at the end.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        sample_rate: int | None,
        limit_seconds: float | None,
        resources: contextlib.ExitStack,
    ):
        self.name = name
        self.rate, self.channels, self.seconds = source.rate, source.channels, source.seconds
        self.sample_rate = sample_rate or source.rate
        self.notes: list[str] = []
        self._source, self._limit, self._resources = source, limit_seconds, resources
        self._blocks = self._resampled()
        self._rest = np.zeros(0, np.float32)

    def __enter__(self) -> "AudioStream":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; one that the caller opened stays open, at its start."""
        self._blocks = iter(())
        self._resources.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        if len(self._rest):
            block, self._rest = self._rest, self._rest[:0]
            return block
        return next(self._blocks)

    def read(self, samples: int | None = None) -> np.ndarray:
        """The next ``samples``, fewer at the end, or all: (n,) float32, n = 0 after it. AudioError
        for samples that are not finite or beyond any recording, and for audio without samples.
        """
        wanted = math.inf if samples is None else samples
        blocks, count = [np.zeros(0, np.float32)], 0
        while count < wanted and (block := next(self, None)) is not None:
            blocks.append(block)
            count += len(block)
        joined = blocks[1] if len(blocks) == 2 else np.concatenate(blocks)
        if count > wanted:
            joined, self._rest = joined[:samples], joined[samples:]
        return joined

    def blocks(self, samples: int) -> Iterator[np.ndarray]:
        """Yields blocks of ``samples``, the last perhaps shorter; errors as for ``read``."""
        if samples < 1:
            raise ValueError(f"{samples} samples a block; expected at least 1")
        while len(block := self.read(samples)):
            yield block

    def read_int16(self, samples: int) -> np.ndarray:
        """The start as packed records hold it, see ``to_int16``: (n,), n <= samples. AudioError as
        for ``read``, and for a file that ends too early.
        """
        source = self._source
        if source.read_int16 is not None and source.rate == self.sample_rate:
            values = source.read_int16(samples)
        else:
            values = to_int16(self.read(samples))
        if source.truncated:
            raise self._error("ends before its header says", "truncated")
        if not len(values):
            raise self._error("empty")
        return values

    def _resampled(self) -> Iterator[np.ndarray]:
        resampler, count = None, 0
        if self.rate != self.sample_rate:
            resampler = soxr.ResampleStream(self.rate, self.sample_rate, 1, quality="HQ")
        for block in itertools.chain(self._checked(), [None]):
            mono = np.zeros(0, np.float32) if block is None else mix_to_mono(block)
            if resampler is not None:
                mono = resampler.resample_chunk(mono, last=block is None)
            if len(mono):
                count += len(mono)
                yield mono
        if not count:
            raise self._error(f"shorter than one sample at {self.sample_rate} Hz", "empty")

    def _checked(self) -> Iterator[np.ndarray]:
        source, frames, loudest = self._source, 0, 0.0
        for block in source.blocks:
            peak = float(np.maximum(block.max(), -block.min()))  # NaN if there is one
            if not math.isfinite(peak):
                raise self._error("samples that are not finite", "not finite")
            if peak > _HIGHEST_PEAK:
                reason = f"samples up to {peak:.3g}, which cannot be audio"
                raise self._error(reason, "samples out of range")
            loudest = max(loudest, peak)
            frames += len(block)
            if self._limit and frames > self._limit * self.rate:
                raise _too_long(self.name, self._limit)
            yield block
        if not frames:
            raise self._error("truncated" if source.truncated else "empty")
        if source.truncated:
            self.notes.append(
                f"{self.name}: ends before its header says; the {frames / self.rate:.2f} s that "
                "are there were used"
            )
        if loudest > source.loudest:
            self.notes.append(
                f"{self.name}: samples reach {loudest:.4g}, beyond [-1, 1]; used as they are"
            )

    def _error(self, reason: str, kind: str | None = None) -> AudioError:
        return AudioError(f"{self.name}: {reason}", kind or reason)


def open_audio(
    source,
    sample_rate: int | None = None,
    rate: int | None = None,
    *,
    limit_seconds: float | None = None,
    name: str | None = None,
) -> AudioStream:
    """Opens audio to be read in blocks, as mono at ``sample_rate`` Hz (None: the source's own).

    Args:
        source: a path; the bytes of a file; a binary file, read from where it stands; or an array
            (samples,), (samples, channels) or (channels, samples), the shorter axis the channels',
            of floats or of integers, which are divided by ``FULL_SCALE``.
        rate: Hz, of an array; files state theirs.
        limit_seconds: the longest audio that is accepted; None for any.
        name: of the source in notes and errors; None for its path or kind.

    Raises:
        AudioError: no such file, not audio, integers without a full scale, or too long.
        ValueError: an array without ``rate``, or a source of another type.
    """
    if sample_rate is not None and not 1 <= sample_rate <= RATES[-1]:
        raise ValueError(f"sample_rate {sample_rate}; expected 1 to {RATES[-1]}")
    name = describe(source if name is None else name)
    with contextlib.ExitStack() as resources:
        try:
            opened = open_source(source, rate, resources)
            if opened.rate not in RATES or opened.channels > _MOST_CHANNELS:
                raise AudioError(
                    f"{opened.channels} channels at {opened.rate} Hz; expected at most "
                    f"{_MOST_CHANNELS} at {RATES[0]} to {RATES[-1]} Hz",
                    "unsupported sample rate or number of channels",
                )
        except AudioError as error:
            raise AudioError(f"{name}: {error}", error.kind) from error
        except OSError as error:
            raise AudioError(f"{name}: {error.strerror or error}", "unreadable") from error
        if limit_seconds and opened.seconds and opened.seconds > limit_seconds:
            raise _too_long(name, limit_seconds)
        return AudioStream(name, opened, sample_rate, limit_seconds, resources.pop_all())


def read_audio(
    source,
    sample_rate: int | None = None,
    rate: int | None = None,
    *,
    limit_seconds: float | None = None,
) -> np.ndarray:
    """Whole audio, (samples,) float32, mono; arguments and errors as for ``open_audio``. Channels
    are averaged, then resampled (band-limited). A file that ends before its header says is used as
    far as it goes, samples beyond [-1, 1] as they are; both with a warning.
    """
    with open_audio(source, sample_rate, rate, limit_seconds=limit_seconds) as stream:
        samples = stream.read()
    for note in stream.notes:
        warnings.warn(note, stacklevel=2)
    return samples


def prefetch(function: Callable, items: Iterable, threads: int, ahead: int) -> Iterator:
    """Yields ``function`` of each item, in order; threads compute at most ``ahead`` of them."""
    pending = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def mix_to_mono(block: np.ndarray) -> np.ndarray:
    """(n,) or (n, channels) to (n,), the mean of the channels."""
    if block.ndim == 1:
        return block
    if block.shape[1] == 1:
        return block[:, 0]
    if block.shape[1] == 2:  # the common case, where NumPy's mean is slow
        mono = block[:, 0] + block[:, 1]
        mono /= 2
        return mono
    return block.mean(axis=1)


def describe(source: object) -> str:
    """The name of a source, in one line that any terminal can print."""
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        name = f"{memoryview(source).nbytes} bytes"
    elif not isinstance(name := getattr(source, "name", None), str):
        name = "array" if hasattr(source, "__array__") else type(source).__name__
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _too_long(name: str, limit: float) -> AudioError:
    return AudioError(f"{name}: longer than the {limit:g} s that are taken", "too long")
