"""One audio file to one clip: mono, resampled, padded or cut, int16; damaged files are refused."""

import math
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from tfrecords.headers import MOST_CHANNELS, RATES, UNKNOWN_FRAMES, is_truncated

# Samples read beyond the end of a clip, so that the resampler's filter, which looks ahead, gives
# at the cut what it would give within the whole file. In samples of the lower rate.
_MARGIN = 2048
# What libsndfile cannot read; PyAV (FFmpeg) can, where it is installed.
_FFMPEG_EXTENSIONS = (".m4a", ".mp4", ".aac", ".webm", ".opus")


class DecodeError(Exception):
    """The file gives no clip. The message is the reason, a few words fit for a table."""


def decode_clip(path: str | os.PathLike, sample_rate: int, clip_samples: int) -> np.ndarray:
    """Decode the start of an audio file.

    Channels are averaged, then the signal is resampled (band-limited) to `sample_rate` Hz, padded
    with zeros at the end or cut to `clip_samples`, and scaled so that 1.0 is 32767.

    Returns:
        (clip_samples,) int16.

    Raises:
        DecodeError: missing, empty, truncated, not audio, or samples that are not finite.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise DecodeError("missing")
        size = path.stat().st_size
        if size == 0:
            raise DecodeError("empty")
        with path.open("rb") as file:
            if is_truncated(file, size):
                raise DecodeError("truncated")
    except OSError as error:
        raise DecodeError("unreadable") from error
    samples, rate = _read(path, sample_rate, clip_samples)
    clip = np.zeros(clip_samples, np.int16)
    if samples.dtype == np.int16:  # mono, 16 bits, the right rate: nothing to compute but the scale
        _rescale(samples[:clip_samples], out=clip)
        return clip
    if samples.ndim > 1:
        samples = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(samples).all():
        raise DecodeError("not finite")
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="HQ")
    # In float64: float32 would round some products to the wrong side of one half.
    scaled = samples[:clip_samples].astype(np.float64)
    scaled *= 32767
    np.rint(scaled.clip(-32767, 32767, out=scaled), out=scaled)
    clip[: len(scaled)] = scaled
    return clip


def _rescale(samples: np.ndarray, out: np.ndarray) -> None:
    """int16 whose full scale is 32768 to int16 whose full scale is 32767.

    The nearest integer to x * 32767 / 32768, ties to even: x, moved by one towards zero in the
    upper half of the range.
    """
    out = out[: len(samples)]
    np.subtract(samples, samples > 16384, out=out, dtype=np.int16)
    out += samples < -16384


def _read(path: Path, sample_rate: int, clip_samples: int) -> tuple[np.ndarray, int]:
    """The signal at the file's own rate, as much of it as the clip needs, and that rate.

    (samples,) int16 for what is stored just so, else (samples,) or (samples, channels) float32.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            if rate not in RATES or file.channels > MOST_CHANNELS:
                raise DecodeError("absurd sample rate or number of channels")
            needed = _needed(clip_samples, rate, sample_rate)
            declared = file.frames
            plain = rate == sample_rate and file.channels == 1 and file.subtype == "PCM_16"
            # soundfile itself limits the read to what the file declares.
            samples = file.read(needed, dtype="int16" if plain else "float32")
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        if path.suffix.lower() in _FFMPEG_EXTENSIONS:
            return _read_with_ffmpeg(path, sample_rate, clip_samples)
        # Only a file that libsndfile could open far enough to know the format was audio once.
        raise DecodeError("truncated" if _opens(path) else "not audio") from error
    if len(samples) < needed and len(samples) < declared < UNKNOWN_FRAMES:
        raise DecodeError("truncated")
    if not len(samples):
        raise DecodeError("empty")
    return samples, rate


def _needed(clip_samples: int, rate: int, sample_rate: int) -> int:
    """Samples of a file that a clip depends on."""
    needed = math.ceil(clip_samples * rate / sample_rate)
    if rate != sample_rate:
        needed += math.ceil(_MARGIN * max(1, rate / sample_rate))
    return needed


def _read_with_ffmpeg(path: Path, sample_rate: int, clip_samples: int) -> tuple[np.ndarray, int]:
    """As `_read`, for what only FFmpeg decodes (AAC in m4a, mostly)."""
    try:
        import av
    except ImportError:
        raise DecodeError(f"{path.suffix.lower()} needs PyAV: pip install av") from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise DecodeError("no audio in it")
            stream = container.streams.audio[0]
            if stream.codec_context is None:  # FFmpeg has no decoder for what the header says
                raise DecodeError("not audio")
            rate = stream.codec_context.sample_rate
            if rate not in RATES:
                raise DecodeError("absurd sample rate or number of channels")
            needed = _needed(clip_samples, rate, sample_rate)
            # Not planar: of eight planes PyAV's frames count nine and read beyond their memory.
            packed = av.AudioResampler(format="flt", rate=rate)
            parts, count = [], 0
            for frame in container.decode(stream):
                for converted in packed.resample(frame):
                    samples = converted.to_ndarray().reshape(-1, converted.layout.nb_channels)
                    parts.append(samples.mean(axis=1, dtype=np.float32))
                    count += len(parts[-1])
                if count >= needed:
                    break
    except (av.FFmpegError, ValueError) as error:
        raise DecodeError("not audio") from error
    if not count:
        raise DecodeError("empty")
    return np.concatenate(parts), rate


def _opens(path: Path) -> bool:
    try:
        soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError):
        return False
    return True
