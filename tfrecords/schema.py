"""The record: one serialised `tf.train.Example` a clip, in TFRecord's framing.

    clip_id   bytes, 1 value
    labels    int64, any number of class indices, ascending
    waveform  bytes, 1 value: the audio in the dataset's codec (see `tfrecords.codecs`)

Any reader of TFRecords can parse it. It is written and read here without TensorFlow, whose import
takes seconds and hundreds of megabytes in every process that packs. Protocol buffers sort the
entries of a map by key when asked to be deterministic, so `waveform` is always last, and its bytes
are the last bytes of the record.
"""

import struct
from collections.abc import Iterator, Sequence

import crc32c

# On disk: length (8), its checksum (4), the data, the data's checksum (4).
HEADER_BYTES, FOOTER_BYTES = 12, 4
RECORD_OVERHEAD = HEADER_BYTES + FOOTER_BYTES

_DELIMITED = 2  # the wire type of everything in it
# Field numbers of tf.train.Feature.
_BYTES_LIST, _INT64_LIST = 1, 3


def encode(clip_id: bytes, audio: bytes, labels: Sequence[int]) -> bytes:
    """Serialise one clip, to the bytes of `Example.SerializeToString(deterministic=True)`."""
    return front(clip_id, len(audio), labels) + audio


def front(clip_id: bytes, audio_bytes: int, labels: Sequence[int]) -> bytes:
    """What comes before the audio in a record; apart, since copying the audio takes longest."""
    numbers = b"".join(_varint(label) for label in sorted(labels))
    small = (
        (b"clip_id", _field(_BYTES_LIST, _field(1, clip_id))),
        (b"labels", _field(_INT64_LIST, _field(1, numbers) if numbers else b"")),
    )
    entries = b"".join(_field(1, _field(1, key) + _field(2, value)) for key, value in small)
    # The fields that the audio is within, from the innermost: each counts the bytes in it.
    inside = _tag(1, audio_bytes)
    for number in (_BYTES_LIST, 2):
        inside = _tag(number, len(inside) + audio_bytes) + inside
    inside = _field(1, b"waveform") + inside
    inside = entries + _tag(1, len(inside) + audio_bytes) + inside
    return _tag(1, len(inside) + audio_bytes) + inside


def decode(data: bytes | bytearray | memoryview) -> tuple[bytes, memoryview, tuple[int, ...]]:
    """The inverse of `encode`: (clip_id, audio, labels). The audio is a view into `data`.

    Raises:
        ValueError: the bytes are no such record.
    """
    try:
        found = {}
        for number, features in _fields(memoryview(data)):
            for _, entry in _fields(features) if number == 1 else ():
                parts = dict(_fields(entry))
                found[bytes(parts[1])] = dict(_fields(parts[2]))
        clip_id = dict(_fields(found[b"clip_id"][_BYTES_LIST]))[1]
        audio = dict(_fields(found[b"waveform"][_BYTES_LIST]))[1]
        numbers = dict(_fields(found[b"labels"].get(_INT64_LIST, memoryview(b"")))).get(1, b"")
        return bytes(clip_id), audio, tuple(_varints(numbers))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"not a clip record: {error!r}") from None


def header(length: int) -> bytes:
    """The framing before `length` bytes of data."""
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked(crc32c.crc32c(packed)))


def footer(checksum: int) -> bytes:
    """The framing after data with this CRC-32C."""
    return struct.pack("<I", masked(checksum))


def masked(checksum: int) -> int:
    """TFRecord's masking: data that holds its own checksum would else have an awkward one."""
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _field(number: int, payload: bytes) -> bytes:
    return _tag(number, len(payload)) + payload


def _tag(number: int, length: int) -> bytes:
    return _varint(number << 3 | _DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The delimited fields of a message."""
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        if tag & 7 != _DELIMITED:
            raise ValueError(f"wire type {tag & 7} at byte {place}")
        length, place = _read_varint(data, place)
        if place + length > len(data):
            raise ValueError(f"a field of {length} bytes at byte {place} of {len(data)}")
        yield tag >> 3, data[place : place + length]
        place += length


def _varints(data: memoryview) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _read_varint(data, place)
        yield value


def _read_varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7
