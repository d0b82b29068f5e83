"""The synthetic data set."""

import csv

import numpy as np
import pytest
import soundfile

from tfrecords import load_index, synthesize_clips, verify_directory
from tfrecords.storage import TFRecordsError
from tfrecords.synthetic import SOUNDS
from tfrecords.synthetic import assign_labels, class_counts


def make(folder, clips=20, **options):
    values = {"clip_seconds": 0.25, "sample_rate": 8000, "progress": False}
    return synthesize_clips(folder, clips=clips, **(values | options))


def waveforms(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "audio").iterdir()}


def test_writes_audio_metadata_and_records(tmp_path):
    report = make(tmp_path)
    assert report.info.num_clips == 20
    assert report.info.classes == tuple(SOUNDS)
    assert "not AudioSet" in report.info.source
    assert report.rejected == {}
    assert verify_directory(tmp_path) == []
    with (tmp_path / "metadata.csv").open() as file:
        rows = {row["filename"]: set(row["labels"].split(";")) for row in csv.DictReader(file)}
    index = load_index(tmp_path)
    for number, clip_id in enumerate(index.clip_ids.tolist()):
        names = {index.info.classes[label] for label in index.labels_of(number)}
        assert names == rows[clip_id.decode()]
        assert 1 <= len(names) <= 3
        audio, rate = soundfile.read(tmp_path / "audio" / clip_id.decode())
        assert (len(audio), rate) == (2000, 8000)


def test_same_arguments_same_bytes_other_seed_or_split_other_sounds(tmp_path):
    make(tmp_path / "a", seed=3)
    make(tmp_path / "b", seed=3, workers=1)
    make(tmp_path / "c", seed=4)
    make(tmp_path / "d", seed=3, split="eval")
    first, same, other, split = (waveforms(tmp_path / name) for name in "abcd")
    assert first == same
    shards = [(tmp_path / name / "train-00000-of-00001.tfrecord").read_bytes() for name in "ab"]
    assert shards[0] == shards[1]
    for different in (other, split):
        assert not set(first.values()) & set(different.values())


@pytest.mark.parametrize("clips", [100, 400, 600, 5000])
def test_frequencies_are_geometric_20_to_1(clips):
    counts = class_counts(clips, 12)
    assert counts.max() == 20 * counts.min()
    assert (np.diff(counts) < 0).all() or clips < 400
    ratios = counts[:-1] / counts[1:]
    if clips >= 400:
        np.testing.assert_allclose(ratios, 20 ** (1 / 11), rtol=0.15)
    labels = assign_labels(np.random.default_rng(0), clips, 12)
    found = np.bincount(np.concatenate(labels), minlength=12)
    np.testing.assert_array_equal(found, counts)


@pytest.mark.parametrize("clips", [1, 2, 5, 12, 13, 27])
@pytest.mark.parametrize("num_classes", [1, 2, 12])
def test_few_clips(clips, num_classes):
    labels = assign_labels(np.random.default_rng(1), clips, num_classes)
    assert len(labels) == clips
    assert all(1 <= len(set(kinds)) == len(kinds) <= 3 for kinds in labels)
    if clips >= num_classes:
        assert set(np.concatenate(labels)) == set(range(num_classes))


def test_fewer_classes(tmp_path):
    assert make(tmp_path, num_classes=3).info.classes == tuple(SOUNDS)[:3]


def test_mistakes(tmp_path):
    for options, part in (
        ({"clips": 0}, "clips must be at least 1"),
        ({"num_classes": 13}, "1 to 12"),
        ({"num_classes": 0}, "1 to 12"),
        ({"sample_rate": 4000}, "8000 Hz"),
        ({"clip_seconds": 0.1}, "0.25 s"),
        ({"clip_seconds": float("nan")}, "clip seconds"),
        ({"split": "a/b"}, "split"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            make(tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
    make(tmp_path / "out")
    with pytest.raises(TFRecordsError, match="is there already"):
        make(tmp_path / "out", seed=1)


def test_files_of_the_user_are_not_overwritten(tmp_path):
    (tmp_path / "metadata.csv").write_text("mine")
    with pytest.raises(TFRecordsError, match=r"metadata.csv is there already"):
        synthesize_clips(tmp_path, clips=4, clip_seconds=0.25, sample_rate=8000, progress=False)
    assert (tmp_path / "metadata.csv").read_text() == "mine"
