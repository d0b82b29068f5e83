"""Verification of whole and damaged directories."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import load_index, pack_clips, verify_directory
from tfrecords.index import load_info
from tfrecords.records import RecordReader


@pytest.fixture
def copy(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "copy")


def place_of(directory, shard: int, number: int):
    """Path, clip id, offset and length of a record."""
    index = load_index(directory)
    clip = np.flatnonzero(index.shard == shard)[number]
    path = directory / index.info.shards[shard].name
    return path, index.clip_ids[clip].decode(), index.offset[clip], index.length[clip]


def test_bit_flip_anywhere_in_a_record(copy):
    path, clip_id, offset, length = place_of(copy, 2, 3)
    whole = path.read_bytes()
    for place in (0, length // 2, length - 1):  # the length, the data, the data's checksum
        content = bytearray(whole)
        content[offset + place] ^= 4
        path.write_bytes(content)
        (problem,) = verify_directory(copy)
        assert f"shard {path.name}, clip {clip_id}: the record" in problem
    path.write_bytes(whole)
    assert verify_directory(copy) == []


def test_truncation(copy):
    path, clip_id, offset, length = place_of(copy, 1, 14)
    with path.open("rb+") as file:
        file.truncate(offset + length // 2)
    seen = []
    problems = verify_directory(copy, report=seen.append)
    assert seen == problems
    assert "bytes, expected" in problems[0]
    assert f"clip {clip_id}: " in problems[1]
    assert len(problems) == 3  # the size, this clip and the one after it


def test_missing_and_extra_files(copy):
    path, *_ = place_of(copy, 0, 0)
    path.unlink()
    (copy / "other.tfrecord").touch()
    (copy / ".train-00009-of-00010.tfrecord.tmp").touch()
    problems = verify_directory(copy)
    assert [problem.split(": ", 1)[1].split(";")[0] for problem in problems] == [
        "not listed in dataset.json",
        "left by an interrupted run",
        "the file is missing, with its 16 clips",
    ]


def test_appended_and_exchanged_records(copy):
    first, *_ = place_of(copy, 0, 0)
    second, *_ = place_of(copy, 1, 0)
    with first.open("ab") as file:
        file.write(b"more")
    assert any("bytes, expected" in problem for problem in verify_directory(copy))
    records = list(tf.data.TFRecordDataset(str(second)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(second)) as writer:
        for record in records[::-1]:
            writer.write(record)
    assert any(
        "the record is missing, truncated or damaged" in problem
        for problem in verify_directory(copy)
    )


def test_counts_that_disagree(copy):
    replace(load_info(copy), num_clips=61).save(copy)
    assert verify_directory(copy) == ["index: 60 clips, dataset.json says 61"]


@pytest.fixture(scope="module")
def tiny(source, settings, tmp_path_factory):
    """3 clips of 50 samples in one shard."""
    folder = tmp_path_factory.mktemp("tiny")
    rows = (source / "metadata.csv").read_text().splitlines()[:4]
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    options = settings(
        source,
        folder / "packed",
        metadata=folder / "metadata.csv",
        clip_seconds=50 / 8000,
    )
    pack_clips(options, progress=False)
    return folder / "packed"


def flipped(path, step: int):
    """The file with one bit flipped, every so many bytes; whole again in the end."""
    whole = path.read_bytes()
    for place in range(0, len(whole), step):
        content = bytearray(whole)
        content[place] ^= 1 << (place // step % 8)
        path.write_bytes(content)
        yield place
    path.write_bytes(whole)


def test_a_flipped_bit_anywhere_in_a_shard_is_found_and_named(tiny):
    index = load_index(tiny)
    shard = tiny / index.info.shards[0].name
    ends = index.offset + index.length
    assert ends[-1] == shard.stat().st_size
    for place in flipped(shard, 7):
        clip = int(np.searchsorted(ends, place, side="right"))
        name = f"shard {shard.name}, clip {index.clip_ids[clip].decode()}: "
        (problem,) = verify_directory(tiny, workers=1)
        assert problem.startswith(name)
        _, damages = RecordReader(index).waveforms(np.array([2, 0, 1]))
        assert [str(damage).startswith(name) for damage in damages.values()] == [True]
    assert verify_directory(tiny) == []
    assert RecordReader(index).waveforms(np.arange(3))[1] == {}


def test_flipped_bits_and_cuts_in_the_descriptions_are_one_line(tiny):
    for file, step in (("index.npz", 67), ("dataset.json", 23)):
        for _ in flipped(tiny / file, step):
            (problem,) = verify_directory(tiny)
            assert file in problem
            assert "\n" not in problem
        whole = (tiny / file).read_bytes()
        for size in range(0, len(whole), 150):
            (tiny / file).write_bytes(whole[:size])
            (problem,) = verify_directory(tiny)
            assert file in problem
        (tiny / file).write_bytes(whole)
    assert verify_directory(tiny) == []


def test_a_folder_of_packed_directories(packed, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(packed, tmp_path / name)
    assert verify_directory(tmp_path) == []
    path, clip_id, offset, _ = place_of(tmp_path / "two", 3, 5)
    content = bytearray(path.read_bytes())
    content[offset + 40] ^= 1
    path.write_bytes(content)
    assert any(clip_id in problem for problem in verify_directory(tmp_path))
    assert verify_directory(tmp_path / "one") == []
