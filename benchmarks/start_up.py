"""Opening an index of two million clips, against the PyTorch reference's sampler.

    pip install h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    python benchmarks/start_up.py --reference audioset_tagging_cnn

Makes an index with AudioSet's class counts and no records, ours and the reference's HDF5 (1.5 GB
for two million clips), then measures each in a fresh process, its libraries imported before:
seconds, resident memory that came with it, and the most there was in between. Ours, whole, is what
`tfrecords.dataset` does before the first record is read, and then, in another process, its parts up
to the first 1024 draws. The reference needs 8 GB of free memory, and is left out where there is
less. Takes about five minutes. None of the reference's code is part of this project.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from common import (
    CLASSES,
    print_table,
    ratios,
    reference_module,
    reset_peak,
    resident,
    spread,
    training_counts,
)

from tfrecords.classes import audioset_classes
from tfrecords.index import INDEX_NAME, Index, save_index_file, starts_of, typed
from tfrecords.info import DatasetInfo, ShardInfo, shard_name
from tfrecords.quiet import import_tensorflow_quietly

LABELS_PER_CLIP = 1.98
CLIPS_PER_SHARD = 1024
CLIP_SAMPLES = 320000
RECORD_BYTES = 2 * CLIP_SAMPLES + 100
DRAWS = 1024
NEEDED_GB = 8
MOST_SECONDS, MOST_MB = 3, 300


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, metavar="DIR", help="default: ours alone")
    parser.add_argument("--clips", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", choices=list(MEASURED), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def synthetic_labels(clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels as an index has them: values and starts.

    Every class has AudioSet's count, scaled to the number of clips; every clip has a label.
    """
    counts = training_counts()
    scaled = np.rint(counts * (LABELS_PER_CLIP * clips / counts.sum())).astype(np.int64)
    counts = np.clip(scaled, 1, clips)
    rng = np.random.default_rng(0)
    values = rng.permutation(np.repeat(np.arange(CLASSES), counts))
    owners = np.concatenate([np.arange(clips), rng.integers(clips, size=len(values) - clips)])
    while True:  # a label that its clip has already goes to another clip
        keys, first = np.unique(owners * CLASSES + values, return_index=True)
        again = np.setdiff1d(np.arange(len(values)), first, assume_unique=True)
        if not len(again):
            break
        owners[again] = rng.integers(clips, size=len(again))
    owners, values = np.divmod(keys, CLASSES)
    return values, starts_of(np.bincount(owners, minlength=clips))


def make_index(folder: Path, clips: int) -> Index:
    """Writes an index and its `dataset.json`; the shards it names are not there."""
    values, starts = synthetic_labels(clips)
    total = -(-clips // CLIPS_PER_SHARD)
    in_shard = np.bincount(np.arange(clips) // CLIPS_PER_SHARD, minlength=total).tolist()
    classes = audioset_classes()
    info = DatasetInfo(
        split="train",
        sample_rate=32000,
        clip_samples=CLIP_SAMPLES,
        codec="pcm16",
        classes=classes.names,
        class_ids=classes.ids,
        num_clips=clips,
        clips_per_shard=CLIPS_PER_SHARD,
        shards=tuple(
            ShardInfo(shard_name("train", number, total), held, held * RECORD_BYTES)
            for number, held in enumerate(in_shard)
        ),
        index_name=INDEX_NAME,
        index_sha256="",
    )
    rng = np.random.default_rng(1)
    letters = np.frombuffer(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "S1"
    )
    arrays = {
        "clip_ids": letters[rng.integers(64, size=(clips, 11))].view("S11")[:, 0],
        "shard": np.arange(clips) // CLIPS_PER_SHARD,
        "offset": np.arange(clips) % CLIPS_PER_SHARD * RECORD_BYTES,
        "length": np.full(clips, RECORD_BYTES),
        "checksum": rng.integers(2**32, size=clips),
        "label_values": values,
        "label_starts": starts,
    }
    index = save_index_file(Index(info=info, directory=str(folder), **typed(arrays)))
    index.info.save(folder)
    return index


def make_hdf5(index: Index, path: Path) -> None:
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


class Steps:
    """Seconds and memory of some steps, one after the other."""

    def __init__(self):
        self.rows: dict[str, dict[str, float]] = {}
        self._first = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        reset_peak()
        before = resident()["now"]
        self._first = before if self._first is None else self._first
        began = time.perf_counter()
        yield
        passed = time.perf_counter() - began
        after = resident()
        self.rows[name] = {
            "seconds": passed,
            "resident": after["now"] - before,
            "peak": after["peak"] - self._first,
        }


def measure_dataset(options: argparse.Namespace) -> Steps:
    """What a user waits for."""
    import_tensorflow_quietly()
    from tfrecords import dataset

    steps = Steps()
    with steps.step("dataset(), whole"):
        data = dataset(options.folder, batch_size=64, sampling="balanced")
    del data
    return steps


def measure_parts(options: argparse.Namespace) -> Steps:
    """The steps of it, and the first draws."""
    import_tensorflow_quietly()
    import tensorflow as tf

    from tfrecords.index import load_index
    from tfrecords.sampling import as_tensors, draw_tables, draws

    steps = Steps()
    with steps.step("load_index"):
        index = load_index(options.folder)
    with steps.step("draw_tables"):
        tables = draw_tables(index, index.select())
    with steps.step("as_tensors"):
        tensors = as_tensors(tables, "balanced")
    with steps.step(f"{DRAWS} draws"):
        data = tf.data.Dataset.range(DRAWS).batch(256)
        data = data.map(lambda d: draws(tensors, "balanced", 0, d))
        drawn = np.concatenate(list(data.as_numpy_iterator()))
    if len(drawn) != DRAWS or drawn.max() >= index.num_clips:
        raise SystemExit("the draws are wrong")
    return steps


def measure_reference(options: argparse.Namespace) -> Steps:
    """The reference's sampler, and its first draws."""
    module = reference_module(options.reference, "data_generator")
    steps = Steps()
    with steps.step("reference, sampler"):
        sampler = module.BalancedTrainSampler(str(options.folder / "index.h5"), 64)
    with steps.step(f"reference, {DRAWS} draws"):
        batches = iter(sampler)
        for _ in range(DRAWS // 64):
            next(batches)
    return steps


MEASURED = {
    "dataset": measure_dataset,
    "parts": measure_parts,
    "reference": measure_reference,
}


def in_fresh_process(options: argparse.Namespace, what: str, folder: Path) -> dict:
    """Measures in a process of its own, with the files in the page cache."""
    command = [sys.executable, __file__, "--measure", what, "--folder", str(folder)]
    if options.reference:
        command += ["--reference", str(options.reference)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"measuring {what} failed ({result.returncode})")
    return json.loads(result.stdout.splitlines()[-1])


def free_gb() -> float:
    """Memory that programs can still have, GB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(line for line in lines if line.startswith("MemAvailable"))
    return int(available.split()[1]) * 1024 / 1e9


def main() -> None:
    """Measures and prints."""
    options = parse()
    if options.measure:
        print(json.dumps(MEASURED[options.measure](options).rows))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        index = make_index(folder, options.clips)
        size = (folder / INDEX_NAME).stat().st_size
        print(
            f"{index.num_clips:,} clips, {len(index.label_values):,} labels, classes of "
            f"{index.class_counts.min()} to {index.class_counts.max():,} clips, "
            f"{len(index.info.shards):,} shards; index of {size / 1e6:.0f} MB"
        )
        reference = bool(options.reference)
        if reference:
            print(f"{free_gb():.1f} GB of memory free, {os.cpu_count()} cores")
            make_hdf5(index, folder / "index.h5")
            print(f"the reference's index: {(folder / 'index.h5').stat().st_size / 1e6:,.0f} MB")
        del index
        os.sync()
        rounds = []
        for _ in range(options.rounds):
            measured = in_fresh_process(options, "dataset", folder)
            measured |= in_fresh_process(options, "parts", folder)
            if reference and free_gb() < NEEDED_GB:
                print(f"only {free_gb():.1f} GB of memory free: without the reference")
                reference = False
            if reference:
                measured |= in_fresh_process(options, "reference", folder)
            rounds.append(measured)
    report(rounds)


def report(rounds: list[dict]) -> None:
    """Prints the tables; says whether ours keeps within its bounds."""

    def column(name: str, key: str) -> list[float]:
        return [measured[name][key] for measured in rounds if name in measured]

    names = list(rounds[0])
    rows = []
    for name in names:
        median, least, most = spread(column(name, "seconds"), ".3f")
        resident_mb, _, _ = spread(column(name, "resident"))
        peak, _, most_peak = spread(column(name, "peak"))
        rows.append((name, median, least, most, resident_mb, peak, most_peak))
    print(f"{len(rounds)} rounds in turns, each in a fresh process")
    header = ("", "seconds", "least", "most", "MB more", "peak MB more", "most")
    print_table(header, rows)

    own = "dataset(), whole"
    seconds, peak = max(column(own, "seconds")), max(column(own, "peak"))
    kept = "within" if seconds <= MOST_SECONDS and peak <= MOST_MB else "NOT within"
    print(
        f"dataset() took at most {seconds:.2f} s and {peak:.0f} MB, "
        f"{kept} {MOST_SECONDS} s and {MOST_MB} MB"
    )
    theirs = [name for name in names if name.startswith("reference, sampler")]
    if theirs and (count := len(column(theirs[0], "seconds"))):
        for key in ("seconds", "peak"):
            print(
                f"the reference's sampler: {key} "
                f"{ratios(column(theirs[0], key), column(own, key)[:count])} times ours"
            )


if __name__ == "__main__":
    main()
