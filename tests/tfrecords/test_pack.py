"""Packing: the same bytes however it runs, files that are refused, mistakes, and going on."""

import csv
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from tfrecords import PackSettings, load_index, pack_clips, shard, verify_directory
from tfrecords.audio import prefetch
from tfrecords.files import TFRecordsError
from tfrecords.index import hash_ids


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def pack_but_for(step: str, settings: PackSettings, **options) -> None:
    """Packs, but is interrupted as a function of `tfrecords.pack` is to begin."""
    with (
        mock.patch(f"tfrecords.pack.{step}", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        pack_clips(settings, progress=False, **options)


def test_bytes_depend_on_neither_workers_nor_row_order(source, packed, tmp_path, settings):
    header, *rows = (source / "metadata.csv").read_text().splitlines()
    (tmp_path / "metadata.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    shuffled = settings(source, tmp_path / "a", metadata=tmp_path / "metadata.csv", workers=1)
    report = pack_clips(shuffled, progress=False)
    pack_clips(replace(shuffled, output=tmp_path / "b", workers=9), progress=False)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(packed)
    assert report.class_counts.tolist() == [20, 20, 20, 3]
    assert "packed 60 clips of 0.25 s at 8000 Hz in 4 shards; 0 rejected" in report.summary()
    hashes = hash_ids(load_index(packed).clip_ids)
    assert (np.sort(hashes) == hashes).all()


def test_bad_files_are_skipped_counted_and_listed(source, tmp_path, settings, packed):
    audio = Path(shutil.copytree(source, tmp_path / "copy")) / "audio"
    (audio / "clip_001.wav").unlink()
    (audio / "clip_002.wav").write_bytes(b"")
    (audio / "clip_003.wav").write_bytes((audio / "clip_003.wav").read_bytes()[:2000])
    (audio / "clip_004.wav").write_bytes(b"no audio at all" * 50)
    report = pack_clips(settings(tmp_path / "copy", tmp_path / "out"), progress=False)
    assert report.info.num_clips == 56
    assert report.rejected == {"missing": 1, "empty": 1, "truncated": 1, "not audio": 1}
    with (tmp_path / "out" / "rejected.csv").open() as file:
        reasons = {row["clip_id"][5:8]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {"001": "missing", "002": "empty", "003": "truncated", "004": "not audio"}
    assert verify_directory(tmp_path / "out") == []
    # A rejected clip is absent and moves no other: each shard holds the same clips otherwise.
    index, whole = load_index(tmp_path / "out"), load_index(packed)
    shard_of = dict(zip(whole.clip_ids, whole.shard, strict=True))
    assert [shard_of[clip_id] for clip_id in index.clip_ids] == index.shard.tolist()
    for clip_id in whole.clip_ids[whole.shard == 1]:
        (audio / clip_id.decode()).unlink(missing_ok=True)
    report = pack_clips(settings(tmp_path / "copy", tmp_path / "less"), progress=False)
    assert report.info.shards[1].clips == 0
    assert verify_directory(tmp_path / "less") == []


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
    # The same command once more, as a script that goes on after a crash may run it.
    report = pack_clips(settings(source, packed), progress=False)
    assert "already packed: 60 clips" in report.summary()
    assert contents(packed) == before
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "x.tfrecord").touch()
    with pytest.raises(TFRecordsError, match="already holds records;"):
        pack_clips(settings(source, tmp_path / "stray"), progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        pack_clips(settings(source, tmp_path / "file"), progress=False)


def test_wrong_settings(source, tmp_path, settings):
    for name, value, part in (
        ("sample_rate", 0, "sample_rate must"),
        ("clip_seconds", 0.0, "clip_seconds must give 1 to"),
        ("clip_seconds", -1.0, "clip_seconds"),
        ("clip_seconds", float("nan"), "clip_seconds"),
        ("clip_seconds", float("inf"), "clip_seconds"),
        ("clips_per_shard", 0, "clips_per_shard must"),
        ("workers", -1, "workers must"),
        ("clip_timeout", 0, "clip_timeout must"),
        ("workers", 1.5, "workers must be a whole number"),
        ("clip_seconds", "1", "clip_seconds must be a number"),
        ("output", "gs://bucket/x", "output must be a local or mounted path"),
        ("output", "", "output must be a local or mounted path, received ''"),
        ("codec", "mp3", "codec must be one of pcm16, flac"),
        ("split", "../x", "split must be a name"),
        ("split", "", "split"),
    ):
        with pytest.raises(ValueError, match=part):
            replace(settings(source, tmp_path / "out"), **{name: value})


def test_interruption_leaves_no_half_shard_and_no_data_set(
    source, packed, tmp_path, settings, monkeypatch
):
    calls, decode = iter(range(1000)), shard.decode_clip

    def fails_later(*arguments):
        if next(calls) == 40:
            raise KeyboardInterrupt
        return decode(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shard, "decode_clip", fails_later)
        pack_clips(settings(source, tmp_path / "out"), progress=False)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == [".packing", *(f"train-0000{number}-of-00004.tfrecord" for number in range(2))]
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        load_index(tmp_path / "out")
    with pytest.raises(TFRecordsError, match=r"clip_samples was 2000, now 1600"):
        pack_clips(settings(source, tmp_path / "out", clip_seconds=0.2), progress=False)
    with pytest.raises(TFRecordsError, match=r"something else \(clips was"):
        pack_clips(settings(source, tmp_path / "out", exclude=("clip_001.wav",)), progress=False)
    shards = sorted((tmp_path / "out").glob("*.tfrecord"))
    shards[0].write_bytes(b"short")
    (tmp_path / "out" / ".packing" / f"{shards[1].name}.json").write_text("{")
    pack_clips(settings(source, tmp_path / "out"), progress=False)
    assert contents(tmp_path / "out") == contents(packed)


def test_killed_at_the_very_end_or_while_it_is_taken_up_again(source, packed, tmp_path, settings):
    output = tmp_path / "out"
    pack_but_for("shutil.rmtree", settings(source, output))
    assert (output / "dataset.json").exists()
    assert (output / ".packing").exists()
    assert not pack_clips(settings(source, output), progress=False).new
    assert contents(output) == contents(packed)
    next(output.glob("*.tfrecord")).unlink()
    pack_but_for("_pack", settings(source, output))
    pack_clips(settings(source, output), progress=False)
    assert contents(output) == contents(packed)


@pytest.mark.parametrize("rejected", ["kept", "removed"])
def test_lost_shards_are_packed_again_and_no_others(source, packed, tmp_path, settings, rejected):
    output = tmp_path / "out"
    shutil.copytree(packed, output)
    if rejected == "removed":
        (output / "rejected.csv").unlink()
    shards = sorted(output.glob("*.tfrecord"))
    shards[1].unlink()
    shards[3].write_bytes(b"short")
    times = {path: path.stat().st_mtime_ns for path in (shards[0], shards[2])}
    pack_clips(settings(source, output), progress=False)
    assert contents(output) == contents(packed)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_clips_that_came_or_changed_later_are_added_when_asked_for(
    source, packed, tmp_path, settings
):
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    later, damaged = (copy / "audio" / f"clip_{number:03d}.wav" for number in (4, 17))
    kept, whole = later.rename(tmp_path / "later.wav"), damaged.read_bytes()
    damaged.write_bytes(b"no audio" * 99)
    options = settings(copy, tmp_path / "out")
    pack_clips(options, progress=False)
    kept.rename(later)
    report = pack_clips(options, progress=False)
    assert "--retry-rejected adds" in report.summary()
    assert report.rejected == {"missing": 1, "not audio": 1}
    report = pack_clips(options, progress=False, retry_rejected=True)
    assert report.rejected == {"not audio": 1}
    times = {path: path.stat().st_mtime for path in (tmp_path / "out").glob("*.tfrecord")}
    pack_clips(options, progress=False, retry_rejected=True)
    assert times == {path: path.stat().st_mtime for path in times}  # as it was
    damaged.write_bytes(whole)
    os.utime(damaged, (max(times.values()) + 1,) * 2)
    pack_clips(options, progress=False, retry_rejected=True)
    assert contents(tmp_path / "out") == contents(packed)


def test_excluded_clips_are_counted(source, tmp_path, settings):
    options = settings(source, tmp_path / "out", exclude=("clip_001.wav", "elsewhere"))
    report = pack_clips(options, progress=False)
    assert "excluded by the given lists: 1 clips\n" in report.summary()
    assert load_index(tmp_path / "out").num_clips == 59


def test_prefetch_is_in_order_and_bounded():
    started, lock = [], threading.Lock()

    def work(number: int) -> int:
        with lock:
            started.append(number)
        return -number

    results = prefetch(work, range(100), threads=3, ahead=5)
    for number, result in enumerate(results):
        assert result == -number
        assert max(started) <= number + 6
        if number == 50:
            break
    results.close()
    assert max(started) < 60
