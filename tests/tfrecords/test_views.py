"""Views: joining packed directories and taking parts of them, without a copy of the audio."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfrecords
from tfrecords import load_index, make_view, pack_clips, verify_directory
from tfrecords.files import TFRecordsError


def rows_of(directory: Path, **options) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
    """Waveform and target by clip id, in the order in which they come."""
    return {
        clip_id: (waveform, target)
        for batch in tfrecords.dataset(directory, batch_size=16, **options)
        for clip_id, waveform, target in zip(
            *(batch[key].numpy() for key in ("clip_id", "waveform", "target")), strict=True
        )
    }


def same(first: dict, second: dict) -> bool:
    return list(first) == list(second) and all(
        np.array_equal(one, other)
        for clip_id in first
        for one, other in zip(first[clip_id], second[clip_id], strict=True)
    )


@pytest.fixture(scope="module")
def halves(source, settings, tmp_path_factory) -> Path:
    """The packed clips in two directories `a` and `b`, of 3 shards each. Read only."""
    folder = tmp_path_factory.mktemp("halves")
    header, *rows = (source / "metadata.csv").read_text().splitlines()
    (folder / "labels.txt").write_text("a\nb\nc\nrare\n")
    for name, part in (("a", rows[:33]), ("b", rows[33:])):
        (folder / f"{name}.csv").write_text("\n".join([header, *part]) + "\n")
        options = settings(
            source,
            folder / name,
            metadata=folder / f"{name}.csv",
            labels=folder / "labels.txt",
            clips_per_shard=12,
        )
        pack_clips(options, progress=False)
    return folder


@pytest.fixture
def moved(halves, tmp_path) -> Path:
    """A copy to be changed."""
    return shutil.copytree(halves, tmp_path / "halves")


def test_joined_clips_are_those_of_the_parts(halves, packed, tmp_path):
    index = make_view(tmp_path / "both", [halves / "a", halves / "b"])
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "dataset.json",
        "index.npz",
    ]
    assert index.info.split == "both"
    assert index.info.source == "a.csv + b.csv"
    joined = rows_of(tmp_path / "both")
    assert same(joined, rows_of(halves / "a") | rows_of(halves / "b"))
    whole = rows_of(packed)
    assert same({clip_id: joined[clip_id] for clip_id in whole}, whole)
    assert verify_directory(tmp_path / "both") == []


def test_a_part_is_what_the_same_selection_draws(halves, tmp_path):
    excluded = load_index(halves / "a").clip_ids[:3].tolist()
    options = {"exclude": excluded, "fraction": 0.5}
    index = make_view(tmp_path / "part", [halves / "a", halves / "b"], split="half", **options)
    assert index.info.split == "half"
    assert 0 < index.num_clips == index.info.num_clips < 60
    expected = rows_of(halves / "a", **options) | rows_of(halves / "b", **options)
    assert same(rows_of(tmp_path / "part"), expected)
    assert verify_directory(tmp_path / "part") == []


def test_a_part_that_leaves_out_whole_shards(halves, tmp_path):
    index = load_index(halves / "a")
    make_view(tmp_path / "part", [halves / "a"], exclude=index.clip_ids[index.shard != 1].tolist())
    assert list(rows_of(tmp_path / "part")) == index.clip_ids[index.shard == 1].tolist()
    assert verify_directory(tmp_path / "part") == []


def test_a_view_of_views(halves, tmp_path):
    make_view(tmp_path / "x" / "one", [halves / "a"], fraction=0.6)
    make_view(tmp_path / "two", [tmp_path / "x" / "one", halves / "b"])
    expected = rows_of(halves / "a", fraction=0.6) | rows_of(halves / "b")
    assert same(rows_of(tmp_path / "two"), expected)
    assert verify_directory(tmp_path / "two") == []


def test_the_whole_may_be_moved(moved, tmp_path):
    make_view(moved / "deep" / "both", [moved / "a", moved / "b"])
    before = rows_of(moved / "deep" / "both")
    elsewhere = moved.rename(tmp_path / "else where ü")
    assert same(rows_of(elsewhere / "deep" / "both"), before)
    assert verify_directory(elsewhere / "deep" / "both") == []


def test_made_through_a_linked_folder(halves, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away", target_is_directory=True)
    (tmp_path / "data").symlink_to(halves, target_is_directory=True)
    make_view(tmp_path / "link" / "both", [tmp_path / "data" / "a", tmp_path / "data" / "b"])
    assert verify_directory(tmp_path / "link" / "both") == []
    assert len(rows_of(tmp_path / "link" / "both")) == 60


def test_damage_below_a_view_is_found_and_named(moved):
    make_view(moved / "both", [moved / "a", moved / "b"])
    index = load_index(moved / "b")
    clip = int(np.flatnonzero(index.shard == 1)[4])
    shard, clip_id = Path(index.shard_path(1)), index.clip_ids[clip].decode()
    content = bytearray(shard.read_bytes())
    content[index.offset[clip] + 500] ^= 1
    shard.write_bytes(content)
    (problem,) = verify_directory(moved / "both")
    assert f"{shard.name}, clip {clip_id}: the record" in problem
    assert "b/" in problem  # shards of several directories may have one name
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{shard.name}, clip {clip_id}"):
        rows_of(moved / "both")
    shard.unlink()
    (problem,) = verify_directory(moved / "both")
    assert f"{shard.name}: the file is missing, with its 12 clips" in problem
    # A view without the damage does not suffer from it.
    damaged = index.clip_ids[index.shard == 1].tolist()
    make_view(moved / "rest", [moved / "a", moved / "b"], exclude=damaged)
    assert verify_directory(moved / "rest") == []
    assert len(rows_of(moved / "rest")) == 48


def test_a_clip_in_two_of_the_directories_is_named(halves, packed, tmp_path):
    with pytest.raises(TFRecordsError, match=r"33 clips are in more than one .* clip_0\d\d\.wav"):
        make_view(tmp_path / "both", [packed, halves / "a"])
    twice = load_index(halves / "a").clip_ids[1:].tolist()
    with pytest.raises(TFRecordsError, match="1 clips are in more than one"):
        make_view(tmp_path / "both", [packed, halves / "a"], exclude=twice)
    assert not (tmp_path / "both").exists()


def test_directories_packed_differently(source, settings, halves, tmp_path):
    for number, (changes, part) in enumerate(
        (
            ({"labels": "c\nb\na\nrare\n"}, "classes"),
            ({"sample_rate": 4000}, "sample_rate"),
            ({"clip_seconds": 0.2}, "clip_samples"),
            ({"codec": "flac"}, "codec"),
        )
    ):
        labels, output = tmp_path / "labels.txt", tmp_path / str(number)
        labels.write_text(changes.pop("labels", "a\nb\nc\nrare\n"))
        options = settings(source, output, metadata=halves / "b.csv", labels=labels, **changes)
        pack_clips(options, progress=False)
        with pytest.raises(TFRecordsError, match=f"differ in {part}; only"):
            make_view(tmp_path / "both", [halves / "a", output])


def test_other_mistakes(halves, tmp_path):
    (tmp_path / "file").touch()
    for output, directories, options, part in (
        (tmp_path / "new", [], {}, "at least one"),
        (tmp_path, [halves / "a"], {}, "exists already"),
        (tmp_path / "file", [halves / "a"], {}, "exists already"),
        (tmp_path / "new", [tmp_path], {}, "not a packed directory"),
        (tmp_path / "new", [halves], {}, "holds the packed directories a, b"),
        (tmp_path / "new", [halves / "a"], {"fraction": 0}, "fraction"),
        (tmp_path / "new", ["gs://bucket/a"], {}, "local"),
        ("gs://bucket/new", [halves / "a"], {}, "local"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            make_view(output, directories, **options)
    assert not (tmp_path / "new").exists()


def test_a_view_of_a_directory_that_was_packed_again_is_found(packed, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(packed, folder / "train")
    make_view(folder / "half", [folder / "train"], fraction=0.5)
    assert verify_directory(folder) == []
    shard = folder / "train" / load_index(folder / "train").info.shards[0].name
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert any("the record" in problem for problem in verify_directory(folder / "train"))
