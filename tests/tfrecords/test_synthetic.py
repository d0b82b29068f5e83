"""The synthetic data set: its bytes, its classes, and sounds that differ."""

import csv

import numpy as np
import pytest
import soundfile

from tfrecords import load_index, synthesize_clips, verify_directory
from tfrecords.files import TFRecordsError
from tfrecords.synthetic import SOUNDS, assign_labels, background, class_counts, render


def make(folder, clips=20, **options):
    values = {"clip_seconds": 0.25, "sample_rate": 8000, "progress": False}
    return synthesize_clips(folder, clips=clips, **(values | options))


def test_writes_audio_metadata_and_records(tmp_path):
    report = make(tmp_path)
    assert report.info.num_clips == 20
    assert report.info.classes == tuple(SOUNDS)
    assert "not AudioSet" in report.info.source
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
    sounds = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "audio").iterdir()}
        for name in "abcd"
    ]
    assert sounds[0] == sounds[1]
    shards = [(tmp_path / name / "train-00000-of-00001.tfrecord").read_bytes() for name in "ab"]
    assert shards[0] == shards[1]
    for different in sounds[2:]:
        assert not set(sounds[0].values()) & set(different.values())


def test_frequencies_are_geometric_20_to_1():
    for clips in (100, 400, 600, 5000):
        counts = class_counts(clips, 12)
        assert counts.max() == 20 * counts.min()
        if clips >= 400:
            np.testing.assert_allclose(counts[:-1] / counts[1:], 20 ** (1 / 11), rtol=0.15)
        labels = assign_labels(np.random.default_rng(0), clips, 12)
        np.testing.assert_array_equal(np.bincount(np.concatenate(labels), minlength=12), counts)
    for clips in (1, 2, 5, 12, 13, 27):
        for num_classes in (1, 2, 12):
            labels = assign_labels(np.random.default_rng(1), clips, num_classes)
            assert len(labels) == clips
            assert all(1 <= len(set(kinds)) == len(kinds) <= 3 for kinds in labels)
            if clips >= num_classes:
                assert set(np.concatenate(labels)) == set(range(num_classes))


def test_mistakes(tmp_path):
    for options, part in (
        ({"clips": 0}, "synthetic data need"),
        ({"num_classes": 13}, "synthetic data need"),
        ({"num_classes": 0}, "synthetic data need"),
        ({"sample_rate": 4000}, "synthetic data need"),
        ({"clip_seconds": 0.1}, "synthetic data need"),
        ({"clip_seconds": float("nan")}, "synthetic data need"),
        ({"split": "a/b"}, "split"),
    ):
        with pytest.raises(ValueError, match=part):
            make(tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
    (tmp_path / "metadata.csv").write_text("mine")
    with pytest.raises(TFRecordsError, match=r"metadata.csv exists already"):
        make(tmp_path)
    assert (tmp_path / "metadata.csv").read_text() == "mine"
    assert make(tmp_path / "out", num_classes=3).info.classes == tuple(SOUNDS)[:3]
    with pytest.raises(TFRecordsError, match="exists already"):
        make(tmp_path / "out", seed=1)


def features(sound: np.ndarray) -> np.ndarray:
    """A coarse log spectrogram about its mean: 8 moments by 24 bands."""
    frames = sound[: len(sound) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, axis=1)[:, 1:]) ** 2
    edges = np.unique(np.geomspace(1, 256, 24).astype(int))
    bands = np.add.reduceat(power, edges - 1, axis=1)
    bands = np.stack([part.mean(axis=0) for part in np.array_split(bands, 8)])
    level = np.log(bands + 1e-3 * bands.mean())
    spread = np.log(frames.std(axis=1) + 1e-3 * frames.std()).std()
    return np.append((level - level.mean()).ravel(), 30 * spread)


def test_sounds_are_sounds_and_a_nearest_mean_tells_them_apart():
    for sample_rate in (8000, 32000):
        for name, sound in SOUNDS.items():
            wave = sound(np.random.default_rng(0), sample_rate // 7, sample_rate)
            assert wave.shape == (sample_rate // 7,), name
            assert np.isfinite(wave).all(), name
            assert np.abs(wave).max() > 0, name
    noise = background(np.random.default_rng(0), 8000, 8000)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1, rel=1e-6)
    assert np.abs(render(np.random.default_rng(0), ["bell"], 32000, 32000)).max() <= 0.9

    def sample(name: str, seed: int) -> np.ndarray:
        return features(render(np.random.default_rng(seed), [name], 32000, 32000))

    means = np.stack([np.mean([sample(name, k) for k in range(10)], axis=0) for name in SOUNDS])
    right = 0
    for number, name in enumerate(SOUNDS):
        for seed in range(100, 105):
            distance = ((means - sample(name, seed)) ** 2).sum(axis=1)
            right += np.argmin(distance) == number
    assert right >= 54  # of 60
