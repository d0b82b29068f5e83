"""What the header of an audio file may say, and whether the file keeps it."""

import struct
from typing import BinaryIO

#: Beyond these a header is damaged, and the resampler would take minutes and gigabytes.
RATES = range(1000, 768001)
MOST_CHANNELS = 64
#: libsndfile gives a number of frames beyond this for streams (FLAC) that do not say their length.
UNKNOWN_FRAMES = 2**48

# Sizes that programs which write to a pipe put in a WAV header, where the length is not known yet.
_STREAMED = 0x7FFFF000
_OGG_LAST_PAGE = 4
# A file of zeros would be millions of empty chunks.
_MOST_CHUNKS = 10_000


def is_truncated(file: BinaryIO, size: int) -> bool:
    """Whether a file ends before its own header says; libsndfile would read it short, silently.

    Args:
        file: open for reading, at its start.
        size: of the file, in bytes.
    """
    magic = file.read(4)
    if magic == b"RIFF":
        return _wav_is_truncated(file, size)
    if magic == b"OggS":
        return _ogg_is_truncated(file, size)
    return False


def _wav_is_truncated(file: BinaryIO, size: int) -> bool:
    position = 12  # RIFF, its size, WAVE
    for _ in range(_MOST_CHUNKS):
        if position + 8 > size:
            return True  # it ends before the audio
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            return 0 < length < _STREAMED and position + 8 + length > size
        position += 8 + length + length % 2
    return False


def _ogg_is_truncated(file: BinaryIO, size: int) -> bool:
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
