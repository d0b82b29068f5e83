"""Records, written and parsed back."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import schema

WAVEFORM = np.array([0, 1, -1, 32767, -32768], np.int16)


@pytest.mark.parametrize("labels", [(), (3,), (5, 0)])
def test_round_trip(labels):
    record = schema.encode(b"-id", WAVEFORM, labels)
    clip_id, waveform, found = schema.decode(record)
    assert (clip_id, found) == (b"-id", tuple(sorted(labels)))
    np.testing.assert_array_equal(waveform, WAVEFORM)
    parsed = schema.parse(tf.constant(record))
    assert parsed["clip_id"] == b"-id"
    np.testing.assert_array_equal(tf.io.decode_raw(parsed["waveform"], tf.int16), WAVEFORM)
    assert parsed["labels"].numpy().tolist() == sorted(labels)


def test_samples_are_little_endian():
    record = schema.encode(b"x", np.array([1], ">i2"), ())
    assert tf.train.Example.FromString(record).features.feature["waveform"].bytes_list.value == [
        b"\x01\x00"
    ]


@pytest.mark.parametrize("record", [b"nonsense", b"", tf.train.Example().SerializeToString()])
def test_other_bytes(record):
    with pytest.raises(ValueError, match="not a clip record"):
        schema.decode(record)
