"""Finished directories taken up again: lost shards, and clips that came later."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tfrecords.packing import contents, pack_but_for
from tfrecords import load_index, pack_clips, verify_directory


@pytest.mark.parametrize("rejected", ["kept", "removed"])
def test_lost_shards_are_packed_again_and_no_others(source, packed, tmp_path, settings, rejected):
    output = tmp_path / "out"
    shutil.copytree(packed, output)
    if rejected == "removed":
        (output / "rejected.csv").unlink()
    shards = sorted(output.glob("*.tfrecord"))
    shards[1].unlink()
    shards[3].write_bytes(b"short")
    times = {shard: shard.stat().st_mtime_ns for shard in (shards[0], shards[2])}
    pack_clips(settings(source, output), progress=False)
    assert contents(output) == contents(packed)
    assert times == {shard: shard.stat().st_mtime_ns for shard in times}


def test_clips_that_came_later_are_added_when_asked_for(source, packed, tmp_path, settings):
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    later = [copy / "audio" / f"clip_{number:03d}.wav" for number in (4, 17)]
    kept = [path.rename(tmp_path / path.name) for path in later]
    options = settings(copy, tmp_path / "out")
    pack_clips(options, progress=False)
    kept[0].rename(later[0])
    report = pack_clips(options, progress=False)
    assert "--retry-rejected adds them" in report.summary()
    assert report.rejected == {"missing": 2}
    report = pack_clips(options, progress=False, retry_rejected=True)
    assert report.rejected == {"missing": 1}
    kept[1].rename(later[1])
    pack_clips(options, progress=False, retry_rejected=True)
    assert contents(tmp_path / "out") == contents(packed)
    assert verify_directory(tmp_path / "out") == []


def test_files_that_were_refused_are_tried_again_once_they_have_changed(
    source, packed, tmp_path, settings
):
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    damaged = copy / "audio" / "clip_009.wav"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"no audio" * 99)
    options = settings(copy, tmp_path / "out")
    pack_clips(options, progress=False)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    pack_clips(options, progress=False, retry_rejected=True)
    assert times == {path: path.stat().st_mtime_ns for path in times}  # as it was
    damaged.write_bytes(whole)
    newest = max(path.stat().st_mtime for path in times)
    os.utime(damaged, (newest + 1, newest + 1))
    pack_clips(options, progress=False, retry_rejected=True)
    assert contents(tmp_path / "out") == contents(packed)


def test_killed_while_it_is_taken_up_again(source, packed, tmp_path, settings):
    output = tmp_path / "out"
    shutil.copytree(packed, output)
    next(output.glob("*.tfrecord")).unlink()

    pack_but_for("_pack", settings(source, output))
    pack_clips(settings(source, output), progress=False)
    assert contents(output) == contents(packed)


def test_excluded_clips_are_counted_and_lists_that_name_none_are_doubted(
    source, tmp_path, settings
):
    options = settings(source, tmp_path / "out", exclude=("clip_001.wav", "elsewhere"))
    report = pack_clips(options, progress=False)
    assert "excluded by the given lists: 1 clips\n" in report.summary()
    assert load_index(tmp_path / "out").num_clips == 59
    options = replace(options, output=tmp_path / "other", exclude=("elsewhere",))
    report = pack_clips(options, progress=False)
    assert "0 clips; do the lists name clips of these metadata?" in report.summary()


def test_killed_at_the_very_end_is_tidied_up(source, packed, tmp_path, settings):
    output = tmp_path / "out"
    pack_but_for("shutil.rmtree", settings(source, output))
    assert (output / "dataset.json").exists()
    assert (output / ".packing").exists()
    report = pack_clips(settings(source, output), progress=False)
    assert not report.new
    assert contents(output) == contents(packed)
