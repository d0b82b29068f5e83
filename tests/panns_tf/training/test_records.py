import pytest
import tensorflow as tf

from panns_tf.training.records import readable_errors
from tfrecords import dataset, load_index, synthesize_clips


def test_damage_is_one_line_that_names_shard_and_clip(tmp_path):
    synthesize_clips(tmp_path / "d", clips=10, clip_seconds=0.5, sample_rate=8000, progress=False)
    index = load_index(tmp_path / "d")
    shard = tmp_path / "d" / index.info.shards[0].name
    content = bytearray(shard.read_bytes())
    content[int(index.offset[4]) + 200] ^= 1
    shard.write_bytes(content)
    clip = index.clip_ids[4].decode()
    message = f"^shard {shard.name}, clip {clip}: .* verify [^\n]*$"
    with pytest.raises(ValueError, match=message), readable_errors():
        list(dataset(tmp_path / "d", batch_size=2))


def test_other_errors_pass():
    data = tf.data.Dataset.from_tensors("three").map(tf.strings.to_number)
    with pytest.raises(tf.errors.InvalidArgumentError), readable_errors():
        list(data)
