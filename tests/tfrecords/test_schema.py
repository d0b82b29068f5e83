"""Records: the bytes TensorFlow writes, parsed back by it and by ourselves."""

import crc32c
import numpy as np
import pytest
import tensorflow as tf

from tfrecords import schema

AUDIO = np.array([0, 1, -1, 32767, -32768], np.int16).tobytes()


def by_tensorflow(clip_id: bytes, audio: bytes, labels: list[int]) -> bytes:
    feature = {
        "clip_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[clip_id])),
        "waveform": tf.train.Feature(bytes_list=tf.train.BytesList(value=[audio])),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "labels", [(), (3,), (5, 0), (127, 128, 300), tuple(range(70000, 0, -999))]
)
@pytest.mark.parametrize("audio", [AUDIO, b"", bytes(300), bytes(70000)], ids=len)
def test_the_bytes_are_tensorflows(labels, audio):
    record = schema.encode(b"-id", audio, labels)
    assert record == by_tensorflow(b"-id", audio, sorted(labels))
    assert record.endswith(audio)
    clip_id, found, numbers = schema.decode(record)
    assert (clip_id, bytes(found), numbers) == (b"-id", audio, tuple(sorted(labels)))


def test_framing_is_tensorflows(tmp_path):
    record = schema.encode(b"x", AUDIO, (1,))
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
        writer.write(record)
    framed = schema.header(len(record)) + record + schema.footer(crc32c.crc32c(record))
    assert (tmp_path / "one").read_bytes() == framed
    assert len(framed) == len(record) + schema.RECORD_OVERHEAD


@pytest.mark.parametrize(
    "record",
    [
        b"nonsense",
        b"",
        tf.train.Example().SerializeToString(),
        schema.encode(b"x", AUDIO, (1,))[:-1],
        schema.encode(b"x", AUDIO, (1,))[:20],
    ],
)
def test_other_bytes(record):
    with pytest.raises(ValueError, match="not a clip record"):
        schema.decode(record)
