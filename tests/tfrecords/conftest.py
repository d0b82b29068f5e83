"""Small files to test with."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfrecords.index import DatasetInfo, Index
from tfrecords.pack import pack_clips
from tfrecords.plan import PackSettings

RATE = 8000


def write_csv_source(folder: Path, clips: int = 60, seconds: float = 0.25) -> Path:
    """A plain CSV and its audio: clip number i has the classes i % 3 and, every fourth, rare."""
    audio = folder / "audio"
    audio.mkdir(parents=True)
    lines = ["filename,labels"]
    rng = np.random.default_rng(0)
    for number in range(clips):
        name = f"clip_{number:03d}.wav"
        soundfile.write(audio / name, rng.uniform(-0.5, 0.5, int(seconds * RATE)), RATE)
        labels = ["abc"[number % 3]] + (["rare"] if number % 20 == 0 else [])
        lines.append(f"{name},{';'.join(labels)}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    return write_csv_source(tmp_path_factory.mktemp("source"))


def settings_for(source: Path, output: Path, **changes) -> PackSettings:
    values = {
        "metadata": source / "metadata.csv",
        "audio": source / "audio",
        "output": output,
        "sample_rate": RATE,
        "clip_seconds": 0.25,
        "clips_per_shard": 16,
        "workers": 0,
    }
    return PackSettings(**(values | changes))


@pytest.fixture(scope="session")
def settings():
    return settings_for


@pytest.fixture(scope="session")
def packed(source, tmp_path_factory) -> Path:
    """60 clips in 4 shards; classes a, b, c (20 clips each) and rare (3). Read only."""
    output = tmp_path_factory.mktemp("packed") / "train"
    pack_clips(settings_for(source, output), progress=False)
    return output


@pytest.fixture(scope="session")
def make_index():
    """An index without records, from the labels of each clip."""

    def make(labels: list[tuple[int, ...]], num_classes: int) -> Index:
        info = DatasetInfo(
            split="train",
            sample_rate=RATE,
            clip_samples=8,
            codec="pcm16",
            classes=tuple(f"class {number}" for number in range(num_classes)),
            class_ids=(),
            num_clips=len(labels),
            clips_per_shard=1000,
            shards=(),
        )
        numbers = np.arange(len(labels))
        return Index.make(
            info,
            "nowhere",
            clip_ids=np.array([b"clip%07d" % number for number in numbers]),
            shard=0 * numbers,
            offset=100 * numbers,
            length=0 * numbers + 100,
            checksum=0 * numbers,
            labels=np.array([label for kinds in labels for label in kinds], int),
            label_counts=np.array([len(kinds) for kinds in labels]),
        )

    return make
