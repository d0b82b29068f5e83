"""Opening an index of two million clips, against the PyTorch reference's sampler.

    pip install h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    python benchmarks/start_up.py --reference audioset_tagging_cnn

Makes an index with AudioSet's class counts and no records, ours and the reference's HDF5 (1.5 GB
for two million clips), then measures each in a fresh process, its libraries imported before:
seconds, and the most memory that came with it. Ours is what `tfrecords.dataset` does before the
first record is read, and in another process its parts up to the first 1024 samples. The reference
needs 8 GB of free memory. Takes about five minutes.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import (
    CLASSES,
    audioset_ids,
    in_process,
    print_table,
    ratios,
    reference_module,
    reset_peak,
    resident,
    seconds_of,
    spread,
    training_counts,
)

LABELS_PER_CLIP, CLIPS_PER_SHARD, SAMPLED = 1.98, 1024, 1024
RECORD_BYTES = 2 * 320_000 + 100
MOST_SECONDS, MOST_MB = 3, 300
WHOLE, THEIRS = "dataset(), whole", "reference, sampler"


def synthetic_labels(clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Class and clip of each label, by clip: AudioSet's counts, scaled to the number of clips."""
    counts = training_counts()
    scaled = np.rint(counts * (LABELS_PER_CLIP * clips / counts.sum())).astype(np.int64)
    rng = np.random.default_rng(0)
    values = rng.permutation(np.repeat(np.arange(CLASSES), np.clip(scaled, 1, clips)))
    owners = np.concatenate([np.arange(clips), rng.integers(clips, size=len(values) - clips)])
    while True:  # a label that its clip has already goes to another clip
        keys, first = np.unique(owners * CLASSES + values, return_index=True)
        again = np.setdiff1d(np.arange(len(values)), first, assume_unique=True)
        if not len(again):
            break
        owners[again] = rng.integers(clips, size=len(again))
    owners, values = np.divmod(keys, CLASSES)
    return values, owners


def make_index(folder: Path, clips: int):
    """Writes an index and its `dataset.json`; the shards it names are not there."""
    from tfrecords.index import DatasetInfo, Index, ShardInfo
    from tfrecords.plan import shard_name

    values, owners = synthetic_labels(clips)
    total = -(-clips // CLIPS_PER_SHARD)
    in_shard = np.bincount(np.arange(clips) // CLIPS_PER_SHARD, minlength=total).tolist()
    ids = tuple(audioset_ids())
    info = DatasetInfo(
        split="train",
        sample_rate=32000,
        clip_samples=320_000,
        codec="pcm16",
        classes=ids,
        class_ids=ids,
        num_clips=clips,
        clips_per_shard=CLIPS_PER_SHARD,
        shards=tuple(
            ShardInfo(shard_name("train", number, total), count, count * RECORD_BYTES)
            for number, count in enumerate(in_shard)
        ),
    )
    rng = np.random.default_rng(1)
    letters = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", "S1")
    arrays = {
        "clip_ids": letters[rng.integers(len(letters), size=(clips, 11))].view("S11")[:, 0],
        "shard": np.arange(clips) // CLIPS_PER_SHARD,
        "offset": np.arange(clips) % CLIPS_PER_SHARD * RECORD_BYTES,
        "length": np.full(clips, RECORD_BYTES),
        "checksum": rng.integers(2**32, size=clips),
        "labels": values,
        "label_counts": np.bincount(owners, minlength=clips),
    }
    return Index.make(info, folder, **arrays).save()


def make_hdf5(index, path: Path) -> None:
    """Writes the same labels as the reference's index."""
    import h5py

    count, block = index.num_clips, 2**16
    with h5py.File(path, "w") as file:
        names = file.create_dataset("audio_name", (count,), "S20")
        targets = file.create_dataset("target", (count, CLASSES), bool)
        paths = file.create_dataset("hdf5_path", (count,), "S200")
        for start in range(0, count, block):
            clips = np.arange(start, min(start + block, count))
            names[start : start + block] = [b"Y%s.wav" % i for i in index.clip_ids[clips].tolist()]
            targets[start : start + block] = index.targets(clips).astype(bool)
            paths[start : start + block] = [b"/data/hdf5s/waveforms/part00.h5"] * len(clips)
        file.create_dataset("index_in_hdf5", data=np.arange(count), dtype=np.int32)


def measured(steps: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Seconds and most MB of some steps, one after the other; each gets the results before."""
    first, rows = resident()["now"], {}
    for name, step in steps.items():
        reset_peak()
        seconds = seconds_of(step)
        rows[name] = seconds, resident()["peak"] - first
    return rows


def measure_dataset(folder: Path, reference: Path | None) -> dict:
    """What a user waits for."""
    import tensorflow as tf  # noqa: F401

    from tfrecords import dataset

    settings = {"batch_size": 64, "sampling": "balanced"}
    return measured({WHOLE: lambda: dataset(folder, **settings)})


def measure_parts(folder: Path, reference: Path | None) -> dict:
    """The index, and the first sample numbers."""
    import tensorflow as tf  # noqa: F401

    from tfrecords.index import load_index
    from tfrecords.sampling import Sampler

    kept = {}

    def load() -> None:
        kept["index"] = load_index(folder)

    def tables() -> None:
        clips = kept["index"].select()
        kept["sampler"] = Sampler(kept["index"], clips, "balanced")

    def sample() -> None:
        for first in range(0, SAMPLED, 256):
            kept["sampler"](np.arange(first, min(first + 256, SAMPLED)))

    return measured({"load_index": load, "tables": tables, f"{SAMPLED} samples": sample})


def measure_reference(folder: Path, reference: Path) -> dict:
    """The reference's sampler, and its first batches."""
    module = reference_module(reference, "data_generator")
    kept = []

    def sample() -> None:
        batches = iter(kept[0])
        for _ in range(SAMPLED // 64):
            next(batches)

    def load() -> None:
        kept.append(module.BalancedTrainSampler(str(folder / "index.h5"), 64))

    return measured({THEIRS: load, f"reference, {SAMPLED} samples": sample})


MEASUREMENTS = {
    "dataset": measure_dataset,
    "parts": measure_parts,
    "reference": measure_reference,
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, metavar="DIR", help="default: ours alone")
    parser.add_argument("--clips", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASUREMENTS[options.measure](options.folder, options.reference)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        index = make_index(folder, options.clips)
        print(
            f"{index.num_clips:,} clips, {len(index.label_values):,} labels, classes of "
            f"{index.class_counts.min()} to {index.class_counts.max():,} clips"
        )
        if options.reference:
            make_hdf5(index, folder / "index.h5")
        del index
        os.sync()
        names = [name for name in MEASUREMENTS if name != "reference" or options.reference]
        rounds = []
        for _ in range(options.rounds):
            rounds.append({})
            for name in names:
                words = [*sys.argv[1:], "--measure", name, "--folder", str(folder)]
                rounds[-1] |= in_process(__file__, words)
    report(rounds)


def report(rounds: list[dict]) -> None:
    """Prints the table; tells whether ours keeps within its bounds."""
    columns = {name: list(zip(*(each[name] for each in rounds), strict=True)) for name in rounds[0]}
    print(f"{len(rounds)} rounds in turns, each in a fresh process")
    print_table(
        ("", "seconds", "least", "most", "MB at the peak", "most"),
        [
            (name, *spread(seconds, ".3f"), spread(peak)[0], f"{max(peak):,.0f}")
            for name, (seconds, peak) in columns.items()
        ],
    )
    seconds, peak = map(max, columns[WHOLE])
    kept = "within" if seconds <= MOST_SECONDS and peak <= MOST_MB else "NOT within"
    print(f"at most {seconds:.2f} s and {peak:.0f} MB, {kept} {MOST_SECONDS} s and {MOST_MB} MB")
    if THEIRS in columns:
        for i, what in enumerate(("seconds", "memory")):
            print(f"reference: {ratios(columns[THEIRS][i], columns[WHOLE][i])} times the {what}")


if __name__ == "__main__":
    main()
