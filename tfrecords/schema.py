"""The record: one serialised ``tf.train.Example`` a clip, in TFRecord's framing.

    clip_id   bytes, 1 value
    labels    int64, any number of class indices, ascending
    waveform  bytes, 1 value: the audio in the dataset's codec (see ``tfrecords.codecs``)

Written without TensorFlow, whose import takes seconds and memory in every process that packs, and
as its deterministic mode does: keys sorted, so the waveform's bytes are the record's last.
"""

import struct
from collections.abc import Sequence

import crc32c

# On disk: length (8), its checksum (4), the data, the data's checksum (4).
HEADER_BYTES, FOOTER_BYTES = 12, 4
RECORD_OVERHEAD = HEADER_BYTES + FOOTER_BYTES

_DELIMITED = 2  # the wire type of everything in it
# Field numbers of tf.train.Feature.
_BYTES_LIST, _INT64_LIST = 1, 3


def front(clip_id: bytes, audio_bytes: int, labels: Sequence[int]) -> bytes:
    """The bytes of a record before its audio, as ``Example.SerializeToString(deterministic=True)``.
    Apart, since copying the audio takes longest.
    """
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


def decode(data: bytes | memoryview) -> tuple[bytes, bytes, tuple[int, ...]]:
    """The clip id, the audio and the labels of a record's data; ValueError if it is none."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        feature = tf.train.Example.FromString(bytes(data)).features.feature
        clip_id, audio = (feature[name].bytes_list.value[0] for name in ("clip_id", "waveform"))
    except (DecodeError, IndexError) as error:
        raise ValueError(f"not a clip record: {error!r}") from None
    return clip_id, audio, tuple(feature["labels"].int64_list.value)


def header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + footer(crc32c.crc32c(packed))


def footer(checksum: int) -> bytes:
    """The framing after data with this CRC-32C, masked: data may hold checksums themselves."""
    masked = ((checksum >> 15) | (checksum << 17)) + 0xA282EAD8
    return struct.pack("<I", masked & 0xFFFFFFFF)


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
