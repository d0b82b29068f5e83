"""The index: round trip, damage, targets, the inverse of the labels, selections."""

import shutil
import time
from itertools import pairwise

import numpy as np
import pytest

from tfrecords import load_index
from tfrecords.storage import TFRecordsError


def test_records_lie_end_to_end(packed):
    index = load_index(packed)
    assert index.num_clips == 60
    assert index.num_classes == 4
    for number, shard in enumerate(index.info.shards):
        of_shard = index.shard == number
        ends = np.cumsum(index.length[of_shard])
        np.testing.assert_array_equal(index.offset[of_shard], np.append(0, ends[:-1]))
        assert ends[-1] == shard.bytes == (packed / shard.name).stat().st_size


def test_types(packed):
    index = load_index(packed)
    assert index.clip_ids.dtype.kind == "S"
    assert (index.shard.dtype, index.offset.dtype) == (np.int32, np.int64)
    assert (index.length.dtype, index.checksum.dtype) == (np.int32, np.uint32)
    assert (index.label_values.dtype, index.label_starts.dtype) == (np.uint16, np.int64)


def test_targets_and_inverse_agree(make_index):
    index = make_index([(0, 2), (), (2,), (1, 2)], num_classes=5)
    targets = [[1, 0, 1, 0, 0], [0] * 5, [0, 0, 1, 0, 0], [0, 1, 1, 0, 0]]
    np.testing.assert_array_equal(index.targets(), targets)
    np.testing.assert_array_equal(index.targets([3, 1]), [targets[3], targets[1]])
    values, starts = index.clips_of_class
    assert [values[a:b].tolist() for a, b in pairwise(starts)] == [
        [0],
        [3],
        [0, 2, 3],
        [],
        [],
    ]
    np.testing.assert_array_equal(index.class_counts, [1, 1, 3, 0, 0])
    np.testing.assert_array_equal(index.count_classes(np.array([1, 3])), [0, 1, 1, 0, 0])


def test_inverse_is_quick_for_a_big_index(make_index):
    small = make_index([(0,)], num_classes=527)
    clips = 500_000
    labels = np.random.default_rng(0).integers(0, 527, 2 * clips).astype(np.uint16)
    big = type(small)(
        info=small.info,
        directory=small.directory,
        clip_ids=np.zeros(clips, "S11"),
        shard=np.zeros(clips, np.int32),
        offset=np.arange(clips),
        length=np.ones(clips, np.int32),
        checksum=np.zeros(clips, np.uint32),
        label_values=labels,
        label_starts=np.arange(0, 2 * clips + 1, 2),
    )
    start = time.perf_counter()
    values, starts = big.clips_of_class
    assert time.perf_counter() - start < 2
    of_class = values[starts[7] : starts[8]]
    np.testing.assert_array_equal(of_class, np.flatnonzero(labels == 7) // 2)


def test_damaged_or_missing_index(packed, tmp_path):
    copy = shutil.copytree(packed, tmp_path / "copy")
    content = bytearray((copy / "index.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "index.npz").write_bytes(content)
    with pytest.raises(TFRecordsError, match=r"index\.npz is damaged: its SHA-256"):
        load_index(copy)
    (copy / "index.npz").unlink()
    with pytest.raises(TFRecordsError, match=r"index\.npz is missing"):
        load_index(copy)


def test_exclude_takes_text_and_bytes_and_unknown_ids(make_index):
    index = make_index([()] * 4, num_classes=1)
    kept = index.select(exclude=["clip0000001", b"clip0000003", "elsewhere"])
    np.testing.assert_array_equal(kept, [0, 2])


def test_fractions_are_nested_and_about_right(make_index):
    index = make_index([()] * 4000, num_classes=1)
    half, most = (set(index.select(fraction=part)) for part in (0.5, 0.8))
    assert half < most
    assert len(half) == pytest.approx(2000, abs=150)
    assert len(most) == pytest.approx(3200, abs=150)
    # A clip's place does not depend on the others.
    fewer = make_index([()] * 1000, num_classes=1)
    assert set(fewer.select(fraction=0.5)) == {clip for clip in half if clip < 1000}


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_fraction_outside(make_index, fraction):
    with pytest.raises(TFRecordsError, match=r"fraction must lie in \(0, 1\]"):
        make_index([()], num_classes=1).select(fraction=fraction)


def test_nothing_left(make_index):
    index = make_index([(0,)], num_classes=1)
    with pytest.raises(TFRecordsError, match="no clips are left of the 1"):
        index.select(exclude=["clip0000000"])
    with pytest.raises(TFRecordsError, match="single text"):
        index.select(exclude="clip0000000")
