"""dataset.json."""

import json

import pytest

from tfrecords.storage import TFRecordsError
from tfrecords.info import DatasetInfo, load_info


def test_round_trip_and_fields(packed, tmp_path):
    info = load_info(packed)
    assert info.classes == ("a", "b", "c", "rare")
    assert (info.split, info.sample_rate, info.clip_samples) == ("train", 8000, 2000)
    assert (info.num_clips, info.clips_per_shard, info.codec) == (60, 16, "pcm16")
    assert [shard.clips for shard in info.shards] == [16, 16, 16, 12]
    assert info.shards[0].name == "train-00000-of-00004.tfrecord"
    assert info.clip_seconds == 0.25
    info.save(tmp_path)
    assert load_info(tmp_path) == info
    assert isinstance(info, DatasetInfo)


def test_another_version_is_named_with_ours(packed, tmp_path):
    data = json.loads((packed / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(data | {"format_version": 7}))
    with pytest.raises(TFRecordsError, match=r"version 7, .* version 2"):
        load_info(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2}'])
def test_broken_file(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(TFRecordsError, match=r"dataset\.json") as caught:
        load_info(tmp_path)
    assert "\n" not in str(caught.value)


def test_any_change_is_found(packed, tmp_path):
    text = (packed / "dataset.json").read_text()
    for old, new in (('"rare"', '"rarer"'), ('"num_clips": 60', '"num_clips": 61')):
        (tmp_path / "dataset.json").write_text(text.replace(old, new))
        with pytest.raises(TFRecordsError, match="another checksum"):
            load_info(tmp_path)


def test_no_packed_directory(tmp_path):
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        load_info(tmp_path / "nowhere")
