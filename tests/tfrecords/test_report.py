"""What a packing came to, in words and in lists."""

import csv

import numpy as np
import pytest

from tfrecords.info import DatasetInfo, ShardInfo
from tfrecords.report import PackReport, read_rejected, write_missing, write_rejected
from tfrecords.manifest import Clip

CLIPS = [Clip(f"c{number}", f"/audio/c{number}.wav", (number % 3,)) for number in range(9)]
CLIPS.append(Clip("both, and", "/audio/ü.wav", (0, 2)))


@pytest.fixture
def report(tmp_path):
    """Of a, b, c and d, which has no clips: clip 0 (a) and 1 (b) missing, 4 (b) damaged."""
    info = DatasetInfo(
        split="train",
        sample_rate=8000,
        clip_samples=2000,
        codec="pcm16",
        classes=("a", "b", "c", "d, e"),
        class_ids=("/m/a", "/m/b", "/m/c", "/m/d"),
        num_clips=7,
        clips_per_shard=10,
        shards=(ShardInfo("x", 7, 1),),
        index_name="",
        index_sha256="",
    )
    rejected = ((CLIPS[0], "missing"), (CLIPS[1], "missing"), (CLIPS[4], "not audio"))
    return PackReport(info, tmp_path, np.array([3, 1, 4, 0]), rejected, CLIPS)


def test_summary(report, tmp_path):
    lines = report.summary().splitlines()
    assert lines[0] == (
        "packed 7 clips of 0.25 s at 8000 Hz in 1 shard; 3 rejected (2 missing, 1 not audio; "
        f"listed in {tmp_path / 'rejected.csv'})"
    )
    assert lines[1] == "clips per class: min 0, median 2, max 4 (4 classes)"
    assert lines[2] == "classes without clips: 1: d, e"
    # b lost 2 of 3, a 1 of 4, c nothing.
    assert lines[3].startswith("classes that lack most: b 67%; a 25%; all in ")
    assert lines[4] == f"output: {tmp_path}"
    assert report.rejected == {"missing": 2, "not audio": 1}


def test_summary_of_a_whole_packing_has_no_lacks(report):
    counts = report.listed_counts + np.array([0, 0, 0, 1])
    assert report.listed_counts.tolist() == [4, 3, 4, 0]
    whole = PackReport(report.info, report.output, counts, (), CLIPS, new=False)
    assert "already packed: 7 clips" in whole.summary()
    assert "0 rejected\n" in whole.summary()
    assert "lack" not in whole.summary()
    assert "without" not in whole.summary()


def test_missing_by_class(report, tmp_path):
    write_missing(tmp_path / "missing.csv", report)
    with (tmp_path / "missing.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["index", "mid", "display_name", "listed", "packed", "missing", "refused"],
        ["0", "/m/a", "a", "4", "3", "1", "0"],
        ["1", "/m/b", "b", "3", "1", "1", "1"],
        ["2", "/m/c", "c", "4", "4", "0", "0"],
        ["3", "/m/d", "d, e", "0", "0", "0", "0"],
    ]


def test_rejected_clips_are_read_as_written(tmp_path):
    path = tmp_path / "rejected.csv"
    rejected = [(CLIPS[9], "missing"), (CLIPS[2], 'needs "x", y')]
    write_rejected(path, rejected)
    assert path.read_text(encoding="utf-8").splitlines()[:2] == [
        "clip_id,filename,reason",
        '"both, and",ü.wav,missing',
    ]
    assert list(read_rejected(path)) == [(clip.clip_id, reason) for clip, reason in rejected]
    write_rejected(path, [])
    assert list(read_rejected(path)) == []
    path.unlink()
    assert list(read_rejected(path)) == []
