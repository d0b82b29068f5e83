"""Balanced sampling over a synthetic index with AudioSet's 527 class counts.

    python benchmarks/sampling.py

Checks, over 2,000 rounds of 527 draws, that every round holds each class once and that every class
is exhausted before one of its clips repeats, and that the stream from draw n is the rest of the
stream from 0; then times the draws. Takes about a minute.
"""

import csv
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tfrecords.quiet import import_tensorflow_quietly  # noqa: E402

import_tensorflow_quietly()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfrecords.index import starts_of  # noqa: E402
from tfrecords.sampling import DrawTables, as_tensors, draws  # noqa: E402

COUNTS = ROOT / "panns_tf/data/training_clips_per_class.csv"
ROUNDS = 2000
BLOCK = 256  # draws at a time, as the reader takes them


def audioset_tables() -> DrawTables:
    """Returns tables in which every label of AudioSet's training set is a clip of one class."""
    with COUNTS.open(newline="") as file:
        counts = np.array([int(row["training_clips"]) for row in csv.DictReader(file)])
    clips = np.arange(counts.sum())
    numbers = clips.astype(np.int32)
    return DrawTables(numbers, np.arange(len(counts)), numbers, starts_of(counts), numbers)


def take(tables: DrawTables, seed: int, start: int, count: int) -> np.ndarray:
    """Returns ``count`` balanced draws from draw ``start`` on."""
    data = tf.data.Dataset.range(start, start + count).batch(BLOCK)
    data = data.map(lambda d: draws(tables, "balanced", seed, d), num_parallel_calls=2)
    return np.concatenate(list(data.as_numpy_iterator()))


def main() -> None:
    """Checks and prints."""
    tables = audioset_tables()
    starts, classes = tables.class_starts, len(tables.classes)
    counts = np.diff(starts)
    print(f"{len(tables.clips):,} labels, {classes} classes of {counts.min()} to {counts.max():,}")
    tensors = as_tensors(tables, "balanced")
    for seed in (0, 1):
        began = time.perf_counter()
        clips = take(tensors, seed, 0, ROUNDS * classes)
        speed = len(clips) / (time.perf_counter() - began)
        of = np.searchsorted(starts, clips, side="right") - 1
        if not (np.sort(of.reshape(ROUNDS, classes), axis=1) == np.arange(classes)).all():
            raise SystemExit("a round lacks a class")
        small = np.flatnonzero(counts <= ROUNDS // 2)
        for number in range(classes):
            own = clips[of == number]
            for first in range(0, ROUNDS, counts[number]):
                one_pass = own[first : first + counts[number]]
                if len(np.unique(one_pass)) < len(one_pass):
                    raise SystemExit(f"class {number} repeats a clip before it is exhausted")
        rng = np.random.default_rng(seed)
        for start in rng.integers(0, len(clips), 5):
            rest = take(tensors, seed, int(start), min(5000, len(clips) - int(start)))
            if not (rest == clips[start : start + len(rest)]).all():
                raise SystemExit(f"the stream from {start} differs")
        print(
            f"seed {seed}: {ROUNDS} rounds hold each class once; no clip repeats before its class "
            f"is exhausted ({len(small)} classes went through at least two passes); five streams "
            f"from random starts agree; {speed:,.0f} draws a second"
        )


if __name__ == "__main__":
    main()
