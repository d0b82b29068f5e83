"""One audio file to one clip: mono, resampled, padded or cut, int16; damaged files are refused."""

import math
import os
import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr

# Samples read beyond the end of a clip, so that the resampler's filter, which looks ahead, gives
# at the cut what it would give within the whole file. In samples of the lower rate.
_MARGIN = 2048
# Sizes that programs which write to a pipe put in a WAV header, where the length is not known yet.
_STREAMED = 0x7FFFF000
_OGG_LAST_PAGE = 4
# Beyond these a header is damaged, and the resampler would take minutes and gigabytes.
_RATES = range(1000, 768001)
_MOST_CHANNELS = 64
# libsndfile gives a number of frames beyond this for streams (FLAC) that do not say their length.
_UNKNOWN_FRAMES = 2**48
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
        if path.stat().st_size == 0:
            raise DecodeError("empty")
        if _is_truncated(path):
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
            if rate not in _RATES or file.channels > _MOST_CHANNELS:
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
    if len(samples) < needed and len(samples) < declared < _UNKNOWN_FRAMES:
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
            if rate not in _RATES:
                raise DecodeError("absurd sample rate or number of channels")
            needed = _needed(clip_samples, rate, sample_rate)
            planar = av.AudioResampler(format="fltp", rate=rate)
            parts, count = [], 0
            for frame in container.decode(stream):
                for converted in planar.resample(frame):
                    parts.append(converted.to_ndarray().mean(axis=0, dtype=np.float32))
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


def _is_truncated(path: Path) -> bool:
    """Whether a file ends before its own header says; libsndfile would read it short, silently."""
    with path.open("rb") as file:
        magic = file.read(4)
        if magic == b"RIFF":
            return _wav_is_truncated(file, path.stat().st_size)
        if magic == b"OggS":
            return _ogg_is_truncated(file, path.stat().st_size)
    return False


def _wav_is_truncated(file, size: int) -> bool:
    position = 12  # RIFF, its size, WAVE
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            return 0 < length < _STREAMED and position + 8 + length > size
        position += 8 + length + length % 2
    return True  # it ends before the audio


def _ogg_is_truncated(file, size: int) -> bool:
    """Whether the last page is incomplete or does not carry the mark that ends a stream."""
    tail_start = max(0, size - 2 * 65307)  # the longest page is 65307 bytes
    file.seek(tail_start)
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail):
        return True
    flags, segments = tail[page + 5], tail[page + 26]
    table = tail[page + 27 : page + 27 + segments]
    end = page + 27 + segments + sum(table)
    return len(table) < segments or end > len(tail) or not flags & _OGG_LAST_PAGE
