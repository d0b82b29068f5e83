"""Decoders: a path, bytes, an open file or an array to blocks of float32 at the source's rate.

libsndfile decodes what it can, FFmpeg (through PyAV) the rest, by the content, not the name.
"""

import contextlib
import dataclasses
import io
import numbers
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

#: Integers that stand for 1.0 in files and arrays, one more than the largest, as in libsndfile.
FULL_SCALE = {"int8": 2**7, "uint8": 2**7, "int16": 2**15, "int32": 2**31}
#: The int16 that stands for 1.0 in packed records: the largest, as in the reference's HDF5 files,
#: so that 1.0 and -1.0 are both stored exactly.
RECORD_FULL_SCALE = 2**15 - 1

# Values (samples times channels) decoded at a time: 2 MB as float32.
_BLOCK_VALUES = 2**19
# libsndfile gives a number of frames beyond this for FLAC streams that do not say their length.
_UNKNOWN_FRAMES = 2**48
# Samples that a byte can hold, more than FLAC needs for silence: beyond it a header is wrong.
_MOST_SAMPLES_PER_BYTE = 10_000
# Lossy decoders exceed full scale by their nature; beyond twice that something is wrong.
_LOSSY_PEAK = 2.0
# Bytes kept in memory of a stream that cannot be rewound; the rest goes to a file.
_MOST_IN_MEMORY = 2**24
# Only these readers of FFmpeg: others, such as those of playlists, open further files.
_FFMPEG_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,ogg"
# What libsndfile notes of a WAV file whose header says more than there is.
_CUT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Sizes that programs which write to a pipe put in a WAV header, where the length is not known yet.
_WAV_STREAMED = 0x7FFFF000
_OGG_LAST_PAGE = 4
_LONGEST_OGG_PAGE = 65307


class AudioError(ValueError):
    """No audio can be read. The message is one line with the name and the reason."""

    def __init__(self, message: str, kind: str | None = None):
        super().__init__(message)
        self.kind = kind or message  # the reason without names and numbers, for counting


@dataclasses.dataclass(eq=False)
class Source:
    rate: int
    channels: int
    blocks: Iterator[np.ndarray] = iter(())  # (n, channels) float32, one after the other; n > 0
    seconds: float | None = None  # by the header; None where it does not say
    loudest: float = 1.0  # a peak beyond this is unusual
    truncated: bool = False  # it ends before its header says; certain at the end of ``blocks``
    # Reads the first samples as packed records hold them; None for other than mono of 16 bits.
    read_int16: Callable[[int], np.ndarray] | None = None


def to_float(values: np.ndarray) -> np.ndarray:
    """Samples as float32; integers are divided by their ``FULL_SCALE``."""
    if np.ma.is_masked(values):
        raise AudioError("masked values; fill them first")
    values = np.asarray(values)
    if values.dtype.kind != "f" and values.dtype.name not in FULL_SCALE:
        raise AudioError(
            f"{values.dtype.name} values; expected {', '.join(FULL_SCALE)} or floats in [-1, 1]"
        )
    with np.errstate(over="ignore"):  # infinite values are refused later, and counted
        samples = values.astype(np.float32)
    if values.dtype.kind == "u":
        samples -= 2**7
    if values.dtype.kind != "f":
        samples /= FULL_SCALE[values.dtype.name]
    return samples


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples as int16 of records, where 1.0 is ``RECORD_FULL_SCALE``; clipped to [-1, 1]."""
    # In float64: float32 would round some products to the wrong side of one half.
    scaled = samples.astype(np.float64)
    scaled *= RECORD_FULL_SCALE
    np.rint(scaled.clip(-RECORD_FULL_SCALE, RECORD_FULL_SCALE, out=scaled), out=scaled)
    return scaled.astype(np.int16)


def open_source(source: object, rate: int | None, resources: contextlib.ExitStack) -> Source:
    """Opens what ``open_audio`` takes; ``resources`` closes it. The AudioErrors lack the name."""
    if isinstance(source, str | os.PathLike):
        return _open_path(Path(os.fsdecode(source)), resources)
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_file(io.BytesIO(source), resources)
    if isinstance(source, io.TextIOBase):
        raise ValueError("a file opened as text; open it with mode 'rb'")
    if hasattr(source, "read"):
        if source.seekable() and source.tell() == 0:
            resources.callback(lambda: source.closed or source.seek(0))
            return _open_file(source, resources)
        rewindable = tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY)  # noqa: SIM115
        shutil.copyfileobj(source, resources.enter_context(rewindable), 2**20)
        return _open_file(rewindable, resources)
    if hasattr(source, "__array__"):
        return _open_array(source, rate)
    raise ValueError(
        f"a {type(source).__name__}; expected a path, the bytes of a file, a binary file or an "
        "array with its rate"
    )


def _open_path(path: Path, resources: contextlib.ExitStack) -> Source:
    try:
        mode = path.stat().st_mode  # before it is opened: a pipe would wait for its writer
    except (FileNotFoundError, ValueError):  # ValueError: a zero byte in the name
        raise AudioError("no such file", "missing") from None
    if not stat.S_ISREG(mode):
        kind = "folder" if stat.S_ISDIR(mode) else "device or a pipe"
        raise AudioError(f"a {kind}, not a file", "missing")
    # Unbuffered, since libsndfile and Python share its position.
    return _open_file(resources.enter_context(io.FileIO(path)), resources)


def _open_array(values: object, rate: int | None) -> Source:
    if not isinstance(rate, numbers.Real):
        raise ValueError(f"an array needs rate=, its samples a second; received {rate!r}")
    array = np.asanyarray(values)
    if array.ndim not in (1, 2):
        raise AudioError(
            f"of shape {array.shape}; expected (samples,), (samples, channels) or "
            "(channels, samples)"
        )
    if np.ma.is_masked(array):
        raise AudioError("masked values; fill them first")
    to_float(array[:0])  # refuses other types
    if array.size == 0:
        raise AudioError("empty")
    if array.ndim == 1:
        array = array[:, None]
    elif array.shape[0] < array.shape[1]:
        array = array.T
    frames = max(1, _BLOCK_VALUES // array.shape[1])
    blocks = (to_float(array[at : at + frames]) for at in range(0, len(array), frames))
    return Source(int(rate), array.shape[1], blocks, len(array) / rate)


def _open_file(file: BinaryIO, resources: contextlib.ExitStack) -> Source:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise AudioError("empty")
    truncated = _is_ogg_truncated(file, size)
    file.seek(0)
    source = _open_with_sndfile(file, resources)
    if source is None:
        file.seek(0)
        source = _open_with_ffmpeg(file, resources)
    if source is None:
        raise AudioError("truncated" if truncated else "not audio")
    source.truncated |= truncated
    if source.seconds and source.seconds * source.rate > _MOST_SAMPLES_PER_BYTE * size:
        source.seconds = None
    return source


class _SequentialFile(soundfile.SoundFile):
    """Read from its start to its end; soundfile would seek after every read."""

    def seekable(self) -> bool:
        return False


def _open_with_sndfile(file: BinaryIO, resources: contextlib.ExitStack) -> Source | None:
    # By its number a file is read without going through Python, and whatever its name is.
    handle = file.fileno() if isinstance(file, io.FileIO) else file
    try:
        opened = resources.enter_context(_SequentialFile(handle, closefd=False))
    except (RuntimeError, TypeError, ValueError):
        return None
    source = Source(opened.samplerate, opened.channels)
    if opened.frames < _UNKNOWN_FRAMES:
        source.seconds = opened.frames / opened.samplerate
    if opened.subtype not in ("FLOAT", "DOUBLE"):
        source.loudest = _LOSSY_PEAK
    cut = _CUT.search(opened.extra_info)
    source.truncated = bool(cut) and int(cut[2]) < int(cut[1]) < _WAV_STREAMED
    source.blocks = _sndfile_blocks(opened, source)
    if opened.channels == 1 and opened.subtype == "PCM_16":
        source.read_int16 = lambda samples: _sndfile_int16(opened, source, samples)
    return source


def _sndfile_blocks(file: soundfile.SoundFile, source: Source) -> Iterator[np.ndarray]:
    longest, remaining = max(1, _BLOCK_VALUES // file.channels), file.frames
    while remaining > 0:
        frames = min(longest, remaining)
        block = np.full((frames, file.channels), np.nan, np.float32)
        try:
            read = len(file.read(out=block))
        except RuntimeError:  # somewhere within; what was not written still is NaN
            written = np.flatnonzero(~np.isnan(block).all(axis=1))
            read = int(written[-1]) + 1 if len(written) else 0
            source.truncated = True
        if read:
            yield block[:read]
        if read < frames:
            source.truncated |= file.frames < _UNKNOWN_FRAMES
            return
        remaining -= read


def _sndfile_int16(file: soundfile.SoundFile, source: Source, samples: int) -> np.ndarray:
    try:
        values = file.read(samples, dtype="int16")
    except RuntimeError:
        values = np.zeros(0, np.int16)
        source.truncated = True
    source.truncated |= len(values) < min(samples, file.frames) and file.frames < _UNKNOWN_FRAMES
    # From the scale of files to that of records, x * 32767 / 32768, rounded: one towards zero in
    # the upper half of the range.
    values -= values > 2**14
    values += values < -(2**14)
    return values


def _open_with_ffmpeg(file: BinaryIO, resources: contextlib.ExitStack) -> Source | None:
    import av  # takes a quarter of a second, which few recordings need

    options = {"format_whitelist": _FFMPEG_FORMATS, "protocol_whitelist": "none"}
    try:
        container = av.open(file, options=options, metadata_errors="replace")
        resources.enter_context(container)
        stream = next(iter(container.streams.audio), None)
        if stream is None or stream.codec_context is None:  # no audio, or no decoder for it
            return None
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    except (av.FFmpegError, ValueError):
        return None
    source = Source(rate, channels, loudest=_LOSSY_PEAK)
    is_mp4 = container.format.name.startswith("mov")
    if is_mp4 and stream.duration:
        source.seconds = float(stream.duration * stream.time_base)
    elif container.format.name != "aac" and container.duration:  # of bare AAC it is a guess
        source.seconds = container.duration / av.time_base
    if source.seconds is not None and source.seconds <= 0:
        source.seconds = None
    source.blocks = _ffmpeg_blocks(container, source, is_mp4)
    return source


def _ffmpeg_blocks(container, source: Source, is_length_exact: bool) -> Iterator[np.ndarray]:
    import av

    # Packed, not planar: of eight planes PyAV's frames count nine and read beyond their memory.
    packed = av.AudioResampler(format="flt", rate=source.rate)
    blocks, waiting, read = [], 0, 0
    try:
        for frame in container.decode(audio=0):
            for converted in packed.resample(frame):
                block = converted.to_ndarray().reshape(-1, converted.layout.nb_channels)
                if (converted.sample_rate, block.shape[1]) != (source.rate, source.channels):
                    raise ValueError("another rate or number of channels midway")
                blocks.append(block)
                waiting += block.size
                read += len(block)
            if waiting >= _BLOCK_VALUES:
                yield np.concatenate(blocks)
                blocks, waiting = [], 0
    except (av.FFmpegError, ValueError):
        source.truncated = True
    if blocks:
        yield np.concatenate(blocks)
    if is_length_exact and source.seconds and read < (source.seconds - 0.5) * source.rate:
        source.truncated = True


def _is_ogg_truncated(file: BinaryIO, size: int) -> bool:
    """Whether an Ogg file's last page is incomplete or lacks the mark that ends a stream."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return False
    file.seek(max(0, size - 2 * _LONGEST_OGG_PAGE))
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail):
        return True
    flags, segments = tail[page + 5], tail[page + 26]
    table = tail[page + 27 : page + 27 + segments]
    end = page + 27 + segments + sum(table)
    return len(table) < segments or end > len(tail) or not flags & _OGG_LAST_PAGE
