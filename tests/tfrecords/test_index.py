"""The index, `dataset.json` and the hash of clip ids."""

import json
import shutil

import numpy as np
import pytest

from tfrecords.files import TFRecordsError
from tfrecords.index import hash_ids, load_index, load_info


def test_the_index_of_a_packed_directory(packed):
    index = load_index(packed)
    assert index.clip_ids.dtype.kind == "S"
    assert (index.shard.dtype, index.offset.dtype) == (np.int32, np.int64)
    assert (index.length.dtype, index.checksum.dtype) == (np.int32, np.uint32)
    assert (index.label_values.dtype, index.label_starts.dtype) == (np.uint16, np.int64)
    for number, shard in enumerate(index.info.shards):
        of_shard = index.shard == number
        ends = np.cumsum(index.length[of_shard])
        np.testing.assert_array_equal(index.offset[of_shard], np.append(0, ends[:-1]))
        assert ends[-1] == shard.bytes == (packed / shard.name).stat().st_size


def test_targets_and_inverse_agree(make_index):
    index = make_index([(0, 2), (), (2,), (1, 2)], num_classes=5)
    targets = [[1, 0, 1, 0, 0], [0] * 5, [0, 0, 1, 0, 0], [0, 1, 1, 0, 0]]
    np.testing.assert_array_equal(index.targets(), targets)
    np.testing.assert_array_equal(index.targets([3, 1]), [targets[3], targets[1]])
    values, counts = index.labels(np.array([3, 1, 0]))
    assert (values.tolist(), counts.tolist()) == ([1, 2, 0, 2], [2, 0, 2])
    np.testing.assert_array_equal(index.class_counts, [1, 1, 3, 0, 0])
    np.testing.assert_array_equal(index.count_classes(np.array([1, 3])), [0, 1, 1, 0, 0])


def test_selection(make_index):
    index = make_index([()] * 4000, num_classes=1)
    kept = index.select(exclude=["clip0000001", b"clip0000003", "elsewhere"])
    np.testing.assert_array_equal(kept, [0, 2, *range(4, 4000)])
    half, most = (set(index.select(fraction=part)) for part in (0.5, 0.8))
    assert half < most
    assert len(half) == pytest.approx(2000, abs=150)
    assert len(most) == pytest.approx(3200, abs=150)
    # The choice of a clip does not depend on the others.
    fewer = make_index([()] * 1000, num_classes=1)
    assert set(fewer.select(fraction=0.5)) == {clip for clip in half if clip < 1000}
    for options, part in (
        ({"fraction": 0}, r"fraction must lie in \(0, 1\]"),
        ({"fraction": 1.01}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"exclude": index.clip_ids.tolist()}, "no clips are left of the 4000"),
        ({"exclude": "clip0000000"}, "collection of clip ids, received 'clip0000000'"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            index.select(**options)


def test_the_description(packed, tmp_path):
    info = load_info(packed)
    assert info.classes == ("a", "b", "c", "rare")
    assert (info.split, info.sample_rate, info.clip_samples) == ("train", 8000, 2000)
    assert (info.num_clips, info.clips_per_shard, info.codec) == (60, 16, "pcm16")
    assert [shard.clips for shard in info.shards] == [16, 16, 16, 12]
    assert info.shards[0].name == "train-00000-of-00004.tfrecord"
    info.save(tmp_path)
    assert load_info(tmp_path) == info
    text = (packed / "dataset.json").read_text()
    assert set(json.loads(text)["shards"][0]) == {"name", "clips", "bytes"}
    for broken, part in (
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format_version": 2}', "another checksum"),
        (text.replace('"format_version": 2', '"format_version": 7'), "version 7, .* version 2"),
        (text.replace('"rare"', '"rarer"'), "another checksum"),
        (text.replace('"num_clips": 60', '"num_clips": 61'), "another checksum"),
    ):
        (tmp_path / "dataset.json").write_text(broken)
        with pytest.raises(TFRecordsError, match=part):
            load_info(tmp_path)
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        load_info(tmp_path / "nowhere")


def test_a_damaged_or_missing_index(packed, tmp_path):
    copy = shutil.copytree(packed, tmp_path / "copy")
    content = bytearray((copy / "index.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "index.npz").write_bytes(content)
    with pytest.raises(TFRecordsError, match=r"index\.npz is damaged: its SHA-256"):
        load_index(copy)
    (copy / "index.npz").unlink()
    with pytest.raises(TFRecordsError, match=r"index\.npz is missing"):
        load_index(copy)


def test_hashes_of_clip_ids():
    # Packed data sets and fractions depend on these: they must never change.
    ids = np.array([b"a", b"--PJHxphWEs", b"clip_001.wav"])
    assert hash_ids(ids).tolist() == [198367012849983736, 2462063597073891377, 15896306682121811477]
    assert hash_ids(ids[:1])[0] == hash_ids(np.array([b"a"]))[0]  # of any width
    ids = np.array([b"clip%06d" % number for number in range(50000)])
    first, second = hash_ids(ids) / 2.0**64, hash_ids(ids, 1) / 2.0**64
    for values in (first, second):
        counts = np.histogram(values, 100, (0, 1))[0]
        assert ((counts - 500) ** 2 / 500).sum() < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
