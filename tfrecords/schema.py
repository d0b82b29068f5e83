"""The record: one `tf.train.Example` a clip.

clip_id   bytes, 1 value
waveform  bytes, 1 value: little-endian int16 samples
labels    int64, any number of class indices, ascending
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_FEATURES = {
    "clip_id": tf.io.FixedLenFeature([], tf.string),
    "waveform": tf.io.FixedLenFeature([], tf.string),
    "labels": tf.io.RaggedFeature(tf.int64),
}

# A record on disk is length (8), its checksum (4), the data, the data's checksum (4).
RECORD_OVERHEAD = 16


def encode(clip_id: bytes, waveform: np.ndarray, labels: Sequence[int]) -> bytes:
    """Serialise one clip; `waveform` is (samples,) int16."""
    feature = {
        "clip_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[clip_id])),
        "waveform": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[waveform.astype("<i2").tobytes()])
        ),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=sorted(labels))),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def decode(serialized: bytes) -> tuple[bytes, np.ndarray, tuple[int, ...]]:
    """The inverse of `encode`: (clip_id, waveform (samples,) int16, labels).

    Raises:
        ValueError: the bytes are no such record.
    """
    try:
        feature = tf.train.Example.FromString(serialized).features.feature
        (clip_id,) = feature["clip_id"].bytes_list.value
        (waveform,) = feature["waveform"].bytes_list.value
        labels = tuple(feature["labels"].int64_list.value)
        return clip_id, np.frombuffer(waveform, "<i2"), labels
    except Exception as error:  # protobuf's DecodeError is no ValueError
        raise ValueError(f"not a clip record: {error}") from None


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parse one record in a graph: scalar string to `clip_id` (), `waveform` (), `labels` (n,).

    The waveform stays bytes: check its length before `tf.io.decode_raw(..., tf.int16)`.
    """
    return tf.io.parse_single_example(serialized, _FEATURES)
