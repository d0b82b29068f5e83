"""Recordings as they are stored, in files of every kind or in arrays, read part by part."""

import contextlib
import dataclasses
import io
import numbers
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from tfrecords.headers import MOST_CHANNELS, RATES, UNKNOWN_FRAMES, is_truncated

#: Values read at a time: 4 MB, whatever a header says of the length.
_PART = 2**20
#: What is kept in memory of a stream that cannot be rewound, in bytes; the rest goes to a file.
_SPOOLED = 2**24
#: Samples that a byte can hold; more than silence takes in FLAC.
_DENSEST = 10_000
#: A decoder of these oversteps full scale by its nature; beyond twice that something is wrong.
_LOSSY_PEAK = 2.0
#: What the largest and the smallest integer stand for: values are divided by it.
FULL_SCALE = {"int8": 2**7, "uint8": 2**7, "int16": 2**15, "int32": 2**31}
#: FFmpeg's readers of what libsndfile cannot read. One is named to FFmpeg always: if it were to
#: guess, a playlist in the guise of a sound could have it open other files and addresses.
_FFMPEG = {".m4a": "mov", ".mp4": "mov", ".aac": "aac", ".webm": "matroska", ".opus": "ogg"}


class AudioError(ValueError):
    """There is no sound to be had; the message is one line with the name and the reason."""


@dataclasses.dataclass(eq=False)
class Recording:
    """An opened recording.

    Attributes:
        rate: samples a second.
        seconds: its length by its header; or None where that does not say.
        parts: (n,) or (n, channels) float32, one after the other; to be read once.
        loudest: a peak beyond this deserves a note.
        damaged: whether it ends before its header says; known at the end of ``parts``.
    """

    rate: int
    seconds: float | None = None
    parts: Iterator[np.ndarray] = dataclasses.field(default_factory=lambda: iter(()))
    loudest: float = 1.0
    damaged: bool = False


def named(source: object) -> str:
    """Returns what to call a source, in one line that any terminal can print."""
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        name = f"{memoryview(source).nbytes} bytes"
    elif isinstance(name := getattr(source, "name", None), str):
        pass
    else:
        name = "array" if hasattr(source, "__array__") else type(source).__name__
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return "".join(escaped)


def open_recording(source: object, rate: int | None, stack: contextlib.ExitStack) -> Recording:
    """Opens a file, its content or an array; see `panns_tf.inference.audio.read_audio`.

    Args:
        source: path, bytes, binary file or array.
        rate: samples a second of an array.
        stack: closes what was opened.

    Raises:
        AudioError: if it is no audio; the message lacks the name.
        ValueError: if ``source`` is of another type, or an array without its rate.
    """
    if isinstance(source, str | os.PathLike):
        return _open_path(Path(os.fsdecode(source)), stack)
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_file(io.BytesIO(source), stack)
    if hasattr(source, "read"):
        if isinstance(source, io.TextIOBase):
            raise ValueError("a file opened as text; open it with mode 'rb'")
        file = rewindable(source)
        stack.callback(_rewind, file)
        return _open_file(file, stack)
    if np.ma.is_masked(source):
        raise AudioError("masked values; fill them first")
    if hasattr(source, "__array__"):
        return _open_array(np.asarray(source), rate)
    raise ValueError(
        f"a {type(source).__name__}; expected a path, the bytes of a file, a binary file or an "
        "array with its rate"
    )


def rewindable(file: BinaryIO) -> BinaryIO:
    """Returns a file that begins where ``file`` stands and can be read more than once."""
    if file.seekable() and file.tell() == 0:
        return file
    spool = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115  closed when forgotten
    shutil.copyfileobj(file, spool, _PART)
    spool.seek(0)
    return spool


def _rewind(file: BinaryIO) -> None:
    if not file.closed:
        file.seek(0)


def _open_path(path: Path, stack: contextlib.ExitStack) -> Recording:
    if "\0" in str(path):
        raise AudioError("no such file")
    try:
        mode = path.stat().st_mode  # before it is opened: a pipe would wait for its writer
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # says so if it cannot be read
            raise AudioError("a folder, not a file")
        if not stat.S_ISREG(mode):
            raise AudioError("a device or a pipe, not a file")
        # Unbuffered, since libsndfile and Python share its position.
        file = stack.enter_context(io.FileIO(path))
    except FileNotFoundError:
        raise AudioError("a link to no file" if path.is_symlink() else "no such file") from None
    except OSError as error:
        raise AudioError(error.strerror or str(error)) from error
    return _open_file(file, stack, path.suffix.lower())


def _open_file(file: BinaryIO, stack: contextlib.ExitStack, extension: str = "") -> Recording:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise AudioError("empty")
    damaged = is_truncated(file, size)
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    recording = _open_with_sndfile(file, stack)
    if recording is None:
        reader = _ffmpeg_reader(start) or _FFMPEG.get(extension)
        if reader is None:
            raise AudioError("ends before its audio" if damaged else "not audio")
        file.seek(0)
        recording = _open_with_ffmpeg(file, reader, stack)
    recording.damaged |= damaged
    if recording.seconds and recording.seconds * recording.rate > _DENSEST * size:
        recording.seconds = None  # the header lies
    return recording


def _check(rate: int, channels: int) -> None:
    if rate not in RATES:
        raise AudioError(f"{rate} samples a second; expected {RATES[0]} to {RATES[-1]}")
    if channels > MOST_CHANNELS:
        raise AudioError(f"{channels} channels; expected at most {MOST_CHANNELS}")


class _Forwards(soundfile.SoundFile):
    """Read from its start to its end; soundfile would seek after every read."""

    def seekable(self) -> bool:
        return False


def _open_with_sndfile(file: BinaryIO, stack: contextlib.ExitStack) -> Recording | None:
    # By its number a file is read without going through Python, and whatever its name is.
    handle = file.fileno() if isinstance(file, io.FileIO) else file
    try:
        opened = stack.enter_context(_Forwards(handle, closefd=False))
    except (RuntimeError, TypeError, ValueError):
        return None
    _check(opened.samplerate, opened.channels)
    recording = Recording(opened.samplerate)
    if opened.frames < UNKNOWN_FRAMES:
        recording.seconds = opened.frames / opened.samplerate
    if opened.subtype not in ("FLOAT", "DOUBLE"):
        recording.loudest = _LOSSY_PEAK
    recording.parts = _sndfile_parts(opened, recording)
    return recording


def _sndfile_parts(file: soundfile.SoundFile, recording: Recording) -> Iterator[np.ndarray]:
    longest = max(1, _PART // file.channels)
    left = file.frames
    while left > 0:
        frames = min(longest, left)
        shape = (frames, file.channels) if file.channels > 1 else (frames,)
        part = np.full(shape, np.nan, np.float32)
        try:
            read = len(file.read(out=part))
        except RuntimeError:  # somewhere within; what was not written still is NaN
            written = np.flatnonzero(~np.isnan(part.reshape(frames, -1)).all(axis=1))
            read = int(written[-1]) + 1 if len(written) else 0
            recording.damaged = True
        if read:
            yield part[:read]
        if read < frames:
            recording.damaged |= file.frames < UNKNOWN_FRAMES
            return
        left -= read


def _ffmpeg_reader(start: bytes) -> str | None:
    """FFmpeg's reader for a file that begins so."""
    if start[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "mov"
    if start[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if start[:1] == b"\xff" and start[1:2] and start[1] & 0xF6 == 0xF0:
        return "aac"
    return "ogg" if start[:4] == b"OggS" else None


def _open_with_ffmpeg(file: BinaryIO, reader: str, stack: contextlib.ExitStack) -> Recording:
    try:
        import av
    except ImportError:
        raise AudioError(
            "AAC, MP4, WebM and the like need PyAV: pip install -r requirements-ffmpeg.txt"
        ) from None
    try:
        container = stack.enter_context(av.open(file, format=reader, metadata_errors="replace"))
        if not container.streams.audio:
            raise AudioError("no audio in it")
        stream = container.streams.audio[0]
        if stream.codec_context is None:  # FFmpeg has no decoder for what the header says
            raise AudioError("not audio")
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    except (av.FFmpegError, ValueError) as error:
        raise error if isinstance(error, AudioError) else AudioError("not audio") from error
    _check(rate, channels)
    recording = Recording(rate, loudest=_LOSSY_PEAK)
    if reader == "mov" and stream.duration:
        recording.seconds = float(stream.duration * stream.time_base)
    elif reader != "aac" and container.duration:  # of AAC without a container it is a guess
        recording.seconds = container.duration / av.time_base
    if recording.seconds is not None and recording.seconds <= 0:
        recording.seconds = None
    recording.parts = _ffmpeg_parts(container, recording, reader == "mov")
    return recording


def _ffmpeg_parts(container, recording: Recording, exact: bool) -> Iterator[np.ndarray]:
    import av

    # Not planar: of eight planes PyAV's frames count nine and read beyond their memory.
    packed = av.AudioResampler(format="flt", rate=recording.rate)
    frames, waiting, read = [], 0, 0
    decoded = container.decode(container.streams.audio[0])
    while True:
        try:
            frame = next(decoded, None)
            converted = packed.resample(frame) if frame is not None else []
            for each in converted:
                samples = each.to_ndarray().reshape(-1, each.layout.nb_channels)  # (n, channels)
                channels = (frames or [samples])[0].shape[1]
                if (each.sample_rate, samples.shape[1]) != (recording.rate, channels):
                    raise ValueError("another rate or number of channels midway")
                frames.append(samples)
                waiting += samples.size
        except (av.FFmpegError, ValueError):
            recording.damaged, frame = True, None
        if waiting and (frame is None or waiting >= _PART // 8):
            read += sum(map(len, frames))
            yield np.concatenate(frames)  # (n, channels)
            frames, waiting = [], 0
        if frame is None:
            break
    if exact and recording.seconds and read < (recording.seconds - 0.5) * recording.rate:
        recording.damaged = True


def _open_array(array: np.ndarray, rate: int | None) -> Recording:
    if rate is None:
        raise ValueError("an array needs rate=, its samples a second")
    if not isinstance(rate, numbers.Real):
        raise ValueError(f"rate must be a number of samples a second; received {rate!r}")
    if array.dtype.kind != "f" and array.dtype.name not in FULL_SCALE:
        raise AudioError(
            f"{array.dtype.name} values; expected {', '.join(FULL_SCALE)} or floats in [-1, 1]"
        )
    if array.ndim not in (1, 2):
        raise AudioError(
            f"of shape {array.shape}; expected (samples,), (samples, channels) or "
            "(channels, samples)"
        )
    if array.size == 0:
        raise AudioError("empty")
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T  # (samples, channels)
    _check(rate, array.shape[1] if array.ndim == 2 else 1)
    return Recording(int(rate), len(array) / rate, _array_parts(array))


def _array_parts(array: np.ndarray) -> Iterator[np.ndarray]:
    frames = max(1, _PART // (array.size // len(array)))
    for start in range(0, len(array), frames):
        yield as_float(array[start : start + frames])


def as_float(values: np.ndarray) -> np.ndarray:
    """Returns samples as float32; integers, of a type in `FULL_SCALE`, divided by their scale."""
    with np.errstate(over="ignore"):  # infinite values are refused by count
        part = values.astype(np.float32)
    if values.dtype.kind == "u":
        part -= 2**7
    if values.dtype.kind != "f":
        part /= FULL_SCALE[values.dtype.name]
    return part
