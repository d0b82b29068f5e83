"""Packing: the same bytes however it runs, rejected files, mistakes found before any work."""

import csv
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tfrecords.packing import contents
from tfrecords import load_index, pack_clips, verify_directory
from tfrecords.storage import TFRecordsError
from tfrecords.index import hash_ids
from tfrecords.prefetch import prefetch
from tfrecords.plan import order_clips
from tfrecords.manifest import Clip


def test_bytes_depend_on_neither_workers_nor_row_order(source, packed, tmp_path, settings):
    header, *rows = (source / "metadata.csv").read_text().splitlines()
    (tmp_path / "metadata.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    shuffled = settings(source, tmp_path / "a", metadata=tmp_path / "metadata.csv", workers=1)
    pack_clips(shuffled, progress=False)
    pack_clips(replace(shuffled, output=tmp_path / "b", workers=9), progress=False)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(packed)


def test_clips_lie_in_the_order_of_a_hash(packed):
    ids = load_index(packed).clip_ids
    hashes = hash_ids(ids)
    assert (np.sort(hashes) == hashes).all()
    assert (np.sort(ids) != ids).any()
    clips = [Clip(name, "", ()) for name in ("b", "a", "c")]
    assert order_clips(clips) == order_clips(clips[::-1])


def test_report(source, tmp_path, settings):
    report = pack_clips(settings(source, tmp_path / "out"), progress=False)
    assert report.info.num_clips == 60
    assert report.rejected == {}
    assert report.class_counts.tolist() == [20, 20, 20, 3]
    summary = report.summary()
    assert "packed 60 clips of 0.25 s at 8000 Hz in 4 shards; 0 rejected" in summary
    assert "min 3, median 20, max 20" in summary
    assert str(tmp_path / "out") in summary


@pytest.fixture
def spoilt(source, tmp_path) -> Path:
    """The source with four bad files."""
    copy = shutil.copytree(source, tmp_path / "spoilt")
    audio = copy / "audio"
    (audio / "clip_001.wav").unlink()
    (audio / "clip_002.wav").write_bytes(b"")
    (audio / "clip_003.wav").write_bytes((audio / "clip_003.wav").read_bytes()[:2000])
    (audio / "clip_004.wav").write_bytes(b"no audio at all" * 50)
    return copy


def test_bad_files_are_skipped_counted_and_listed(spoilt, tmp_path, settings, packed):
    report = pack_clips(settings(spoilt, tmp_path / "out"), progress=False)
    assert report.info.num_clips == 56
    assert report.rejected == {"missing": 1, "empty": 1, "truncated": 1, "not audio": 1}
    with (tmp_path / "out" / "rejected.csv").open() as file:
        rows = sorted((row["clip_id"], row["reason"]) for row in csv.DictReader(file))
    assert rows == [
        ("clip_001.wav", "missing"),
        ("clip_002.wav", "empty"),
        ("clip_003.wav", "truncated"),
        ("clip_004.wav", "not audio"),
    ]
    assert verify_directory(tmp_path / "out") == []
    # A rejected clip is absent and moves no other: each shard holds the same clips otherwise.
    index, whole = load_index(tmp_path / "out"), load_index(packed)
    shard_of = dict(zip(whole.clip_ids, whole.shard, strict=True))
    assert [shard_of[clip_id] for clip_id in index.clip_ids] == index.shard.tolist()


def test_shard_without_any_usable_clip(source, tmp_path, settings, packed):
    copy = shutil.copytree(source, tmp_path / "copy")
    whole = load_index(packed)
    for clip_id in whole.clip_ids[whole.shard == 1]:
        (copy / "audio" / clip_id.decode()).unlink()
    report = pack_clips(settings(copy, tmp_path / "out"), progress=False)
    assert [shard.clips for shard in report.info.shards] == [16, 0, 16, 12]
    assert verify_directory(tmp_path / "out") == []


def test_no_usable_clip_leaves_no_data_set(source, tmp_path, settings):
    (tmp_path / "audio").mkdir()
    options = settings(source, tmp_path / "out", audio=tmp_path / "audio")
    with pytest.raises(TFRecordsError, match=r"none of the 60 clips could be packed: 60 missing"):
        pack_clips(options, progress=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rejected.csv"]
    pack_clips(replace(options, audio=source / "audio"), progress=False)  # may be run again


def test_output_that_holds_records_is_left_alone(source, packed, tmp_path, settings):
    before = contents(packed)
    with pytest.raises(TFRecordsError, match="already holds other records"):
        pack_clips(settings(source, packed, clip_seconds=0.2), progress=False)
    assert contents(packed) == before
    # The same command once more, as a script that goes on after a crash may run it.
    report = pack_clips(settings(source, packed), progress=False)
    assert "already packed: 60 clips" in report.summary()
    assert contents(packed) == before
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "x.tfrecord").touch()
    with pytest.raises(TFRecordsError, match=r"already holds records \(x\.tfrecord\)"):
        pack_clips(settings(source, tmp_path / "stray"), progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(TFRecordsError, match="is a file"):
        pack_clips(settings(source, tmp_path / "file"), progress=False)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"sample_rate": 0}, "sample rate"),
        ({"clip_seconds": 0.0}, "clip seconds"),
        ({"clip_seconds": -1.0}, "clip seconds"),
        ({"clip_seconds": float("nan")}, "clip seconds"),
        ({"clip_seconds": float("inf")}, "clip seconds"),
        ({"clips_per_shard": 0}, "clips_per_shard"),
        ({"workers": -1}, "workers"),
        ({"clip_timeout": 0}, "clip_timeout"),
        ({"workers": 1.5}, "workers must be a whole number"),
        ({"clip_seconds": "1"}, "clip_seconds must be a number"),
        ({"output": "gs://bucket/x"}, "output must be a local or mounted path"),
        ({"output": ""}, "output must be a folder"),
        ({"codec": "mp3"}, "codec"),
        ({"split": "../x"}, "split"),
        ({"split": ""}, "split"),
    ],
)
def test_wrong_settings(source, tmp_path, settings, changes, part):
    options = replace(settings(source, tmp_path / "out"), **changes)
    with pytest.raises(TFRecordsError, match=part):
        pack_clips(options, progress=False)
    assert not (tmp_path / "out").exists()


def test_interruption_leaves_no_half_shard_and_no_data_set(source, tmp_path, settings, monkeypatch):
    import tfrecords.pack_shard

    calls = iter(range(1000))

    def fails_later(*arguments):
        if next(calls) == 40:
            raise KeyboardInterrupt
        return np.zeros(2000, np.int16)

    monkeypatch.setattr(tfrecords.pack_shard, "decode_clip", fails_later)
    with pytest.raises(KeyboardInterrupt):
        pack_clips(settings(source, tmp_path / "out"), progress=False)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == [".packing", *(f"train-0000{number}-of-00004.tfrecord" for number in range(2))]
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        load_index(tmp_path / "out")


def test_dataset_json_has_what_readers_need(packed):
    data = json.loads((packed / "dataset.json").read_text())
    assert data["format_version"] == 2
    assert data["classes"] == ["a", "b", "c", "rare"]
    assert data["source"] == "metadata.csv"
    assert set(data["shards"][0]) == {"name", "clips", "bytes"}


def test_map_ahead_is_in_order_and_bounded():
    started, lock = [], threading.Lock()

    def work(number: int) -> int:
        with lock:
            started.append(number)
        return -number

    with ThreadPoolExecutor(3) as pool:
        results = map_ahead(pool, work, range(100), ahead=5)
        for number, result in enumerate(results):
            assert result == -number
            assert max(started) <= number + 6
