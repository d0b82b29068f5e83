"""Sounds as networks take them: mono, at one rate, from files, their content or arrays."""

import contextlib
import math
import warnings
from collections.abc import Iterator

import numpy as np
import soxr

from panns_tf.inference.recordings import AudioError, Recording, named, open_recording
from tfrecords.headers import RATES

__all__ = ["AudioError", "AudioStream", "TooLongError", "named", "open_audio", "read_audio"]

#: Beyond the largest 32-bit integer no sample was ever meant, and spectra would be infinite.
_ABSURD_PEAK = 2.0**32


class TooLongError(AudioError):
    """The recording is longer than what was allowed; ``seconds`` by its header, or None."""

    def __init__(self, message: str, seconds: float | None):
        super().__init__(message)
        self.seconds = seconds


class AudioStream:
    """A recording read block by block, in memory that does not grow with its length.

    `open_audio` makes them. A stream is a context manager, and is read once.

    Attributes:
        name: of the source, for a person; one line.
        seconds: its length by its header; None where that does not say.
        notes: what a user should know of it, a line each; complete when `blocks` has ended.
    """

    def __init__(
        self,
        name: str,
        recording: Recording,
        sample_rate: int,
        limit_seconds: float | None,
        stack: contextlib.ExitStack,
    ):
        self.name = name
        self.seconds = recording.seconds
        self.notes: list[str] = []
        self._recording = recording
        self._sample_rate = sample_rate
        self._limit_seconds = limit_seconds
        self._stack = stack
        self._begun = False

    def __enter__(self) -> "AudioStream":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; one that was open before is left open, at its start."""
        self._recording.parts = iter(())
        self._stack.close()

    def blocks(self, samples: int) -> Iterator[np.ndarray]:
        """Yields the sound in blocks.

        Args:
            samples: length of each block but the last, which may be shorter.

        Yields:
            (samples,) float32, mono.

        Raises:
            AudioError: at the first block with a sample that is NaN, infinite or absurd, or at
                the end if there was no sample.
            ValueError: if ``samples`` is no positive number or the stream was read already.
        """
        if samples < 1:
            raise ValueError(f"{samples} samples a block; expected at least 1")
        if self._begun:
            raise ValueError(f"{self.name}: a stream can be read once; open it again")
        self._begun = True
        return self._cut(samples)

    def read(self) -> np.ndarray:
        """Returns the whole sound, (samples,) float32, mono; as `blocks` otherwise."""
        parts = list(self.blocks(2**62))
        return parts[0]

    def _cut(self, samples: int) -> Iterator[np.ndarray]:
        kept, count, any_sample = [], 0, False
        for part in self._resampled():
            any_sample = any_sample or len(part) > 0
            kept.append(part)
            count += len(part)
            if count >= samples:
                joined = _joined(kept)
                whole = count - count % samples
                for start in range(0, whole, samples):
                    yield joined[start : start + samples]
                kept, count = [joined[whole:]], count - whole
        if not any_sample:
            raise AudioError(f"{self.name}: shorter than one sample at {self._sample_rate} Hz")
        if count:
            yield _joined(kept)

    def _resampled(self) -> Iterator[np.ndarray]:
        if self._recording.rate == self._sample_rate:
            yield from self._mono()
            return
        rates = self._recording.rate, self._sample_rate
        resampler = soxr.ResampleStream(*rates, 1, dtype="float32", quality="HQ")
        for part in self._mono():
            yield resampler.resample_chunk(part)
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    def _mono(self) -> Iterator[np.ndarray]:
        """The mean of the channels, every value looked at."""
        recording = self._recording
        frames, loudest = 0, 0.0
        for part in recording.parts:
            peak = float(np.maximum(part.max(), -part.min()))  # NaN if there is one
            if not math.isfinite(peak):
                raise self._not_finite(part, frames)
            if peak > _ABSURD_PEAK:
                raise AudioError(f"{self.name}: samples up to {peak:.3g}, which cannot be audio")
            loudest = max(loudest, peak)
            frames += len(part)
            if self._limit_seconds and frames > self._limit_seconds * recording.rate:
                raise _too_long(self.name, None, self._limit_seconds)
            yield mean_of_channels(part)
        if not frames:
            raise AudioError(
                f"{self.name}: " + ("no sample can be read" if recording.damaged else "empty")
            )
        if recording.damaged:
            seconds = frames / recording.rate
            self.notes.append(
                f"{self.name}: ends before its header says; the {seconds:.2f} s that are there "
                "were used"
            )
        if loudest > recording.loudest:
            hint = "; int16 values given as floats? divide by 32768" if loudest > 2 else ""
            self.notes.append(
                f"{self.name}: samples reach {loudest:.4g}, beyond [-1, 1]; used as they are{hint}"
            )

    def _not_finite(self, part: np.ndarray, frames: int) -> AudioError:
        """Counts through the rest."""
        channels = part.size // len(part)
        bad, total = 0, frames * channels
        while part is not None:
            bad += int(np.count_nonzero(~np.isfinite(part)))
            total += part.size
            part = next(self._recording.parts, None)
        return AudioError(f"{self.name}: {bad} of {total} samples are not finite")


def open_audio(
    source,
    sample_rate: int,
    rate: int | None = None,
    *,
    limit_seconds: float | None = None,
    name: str | None = None,
) -> AudioStream:
    """Opens a recording to be read in blocks.

    Args:
        source, sample_rate, rate, limit_seconds: as for `read_audio`.
        name: what notes and errors call it; by default its path or what it is.

    Raises:
        AudioError, ValueError: as `read_audio`.
    """
    if sample_rate not in RATES:
        raise ValueError(f"sample_rate {sample_rate}; expected {RATES[0]} to {RATES[-1]}")
    name = named(source if name is None else name)
    with contextlib.ExitStack() as stack:
        try:
            recording = open_recording(source, rate, stack)
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from error
        except OSError as error:
            raise AudioError(f"{name}: {error.strerror or error}") from error
        seconds = recording.seconds
        if limit_seconds and seconds and seconds > limit_seconds:
            raise _too_long(name, seconds, limit_seconds)
        return AudioStream(name, recording, int(sample_rate), limit_seconds, stack.pop_all())


def read_audio(
    source,
    sample_rate: int,
    rate: int | None = None,
    *,
    limit_seconds: float | None = None,
) -> np.ndarray:
    """Reads a whole recording.

    Channels are averaged, then the sound is resampled (band-limited) to ``sample_rate``. A file
    that ends before its header says is used as far as it goes, and values beyond [-1, 1] are used
    as they are; both with a warning.

    Args:
        source: a path; the content of a file (bytes); a binary file, read from where it stands; or
            an array (samples,), (samples, channels) or (channels, samples), where the shorter
            axis is that of the channels, at most 64. Files are told by their content: WAV, FLAC,
            Ogg, MP3 and what else libsndfile reads; with PyAV also AAC, MP4 and WebM. In arrays,
            int8, int16 and int32 are divided by their full scale (int16: 32768), uint8 likewise
            around 128; floats are taken as they are.
        sample_rate: samples a second to return.
        rate: samples a second of an array; files say their own.
        limit_seconds: the longest recording taken; None for any.

    Returns:
        (samples,) float32, mono.

    Raises:
        AudioError: no such file, not audio, no sample in it, NaN or infinite samples, integers
            without a full scale, or longer than ``limit_seconds`` (`TooLongError`).
        ValueError: if an array comes without ``rate``, or the source is of another type.
    """
    with open_audio(source, sample_rate, rate, limit_seconds=limit_seconds) as stream:
        samples = stream.read()
    for note in stream.notes:
        warnings.warn(note, stacklevel=2)
    return samples


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def mean_of_channels(part: np.ndarray) -> np.ndarray:
    """(n,) or (n, channels) to (n,). By columns: NumPy's own mean is slow over a short axis."""
    if part.ndim == 1:
        return part
    if part.shape[1] == 1:
        return part[:, 0]
    mono = part[:, 0] + part[:, 1]
    for channel in range(2, part.shape[1]):
        mono += part[:, channel]
    mono /= part.shape[1]
    return mono


def _too_long(name: str, seconds: float | None, limit: float) -> TooLongError:
    length = "" if seconds is None else f"{seconds:.1f} s; "
    return TooLongError(f"{name}: {length}longer than the {limit:g} s that are taken", seconds)
