"""The order in which clips are drawn: a pure function of the seed and the number of the draw.

    sequential  each clip once, in index order; ends
    shuffled    epoch e = d // n; clip = permutation (seed, e) of the n clips, at d % n
    balanced    round r = d // K over the K classes that have clips;
                class = permutation (seed, r) of the K classes, at d % K;
                a class comes once a round, so its clip = permutation (seed, class, r // m) of the
                class's m clips, at r % m
    alternate   batches by turns from a balanced and a shuffled stream, balanced first
    streamed    epoch e = d // n, in an order that reads the shards in long runs: runs of
                `RUN_CLIPS` neighbours, permuted by (seed, e) over all shards, are taken a window of
                `WINDOW_CLIPS` at a time, and the clips of a window permuted among themselves; for
                object stores and disks that seek slowly

There is no state but d, so a stream can start anywhere, in constant time and memory. A class's
clips are all drawn before one of them comes again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import tensorflow as tf

from tfrecords.errors import TFRecordsError
from tfrecords.hashing import mix
from tfrecords.index import Index, starts_of
from tfrecords.permutation import hash_words, permute

SAMPLINGS = ("sequential", "shuffled", "balanced", "alternate", "streamed")

RUN_CLIPS = 16  # 10 MB of 10 s clips
WINDOW_CLIPS = 512

# Keep the streams of one seed independent of each other.
_SHUFFLED_SALT, _CLASS_SALT, _CLIP_SALT, _RUN_SALT, _WINDOW_SALT = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class DrawTables:
    """What drawing needs of an index.

    Attributes:
        clips: (n,) int32, the clips that may be drawn.
        classes: (K,) int64, the classes that have such clips.
        class_clips, class_starts: class `classes[j]` has the clips
            `class_clips[class_starts[j]:class_starts[j + 1]]`; int32 and int64.
        runs: (n,) int32, which run of neighbours within a shard each of `clips` belongs to.
    """

    clips: np.ndarray
    classes: np.ndarray
    class_clips: np.ndarray
    class_starts: np.ndarray
    runs: np.ndarray


def draw_tables(index: Index, clips: np.ndarray | None = None) -> DrawTables:
    """Tables over the given clip numbers (ascending; default: all)."""
    every = clips is None or len(clips) == index.num_clips
    clips = np.arange(index.num_clips, dtype=np.int32) if every else np.asarray(clips, np.int32)
    class_clips, starts = index.clips_of_class
    counts = np.diff(starts)
    if not every:
        kept = np.zeros(index.num_clips, bool)
        kept[clips] = True
        kept = kept[class_clips]
        class_of = np.repeat(np.arange(len(counts)), counts)
        counts = np.bincount(class_of[kept], minlength=len(counts))
        class_clips = class_clips[kept]
    classes = np.flatnonzero(counts)
    runs = _runs(index)[clips]
    return DrawTables(clips, classes, class_clips, starts_of(counts[classes]), runs)


def _runs(index: Index) -> np.ndarray:
    """The number of each clip's run: `RUN_CLIPS` neighbours in a shard, fewer at its end."""
    new_shard = np.diff(index.shard, prepend=-1) != 0
    first = np.flatnonzero(new_shard)
    place = np.arange(index.num_clips) - np.repeat(first, np.diff(first, append=index.num_clips))
    return (np.cumsum(place % RUN_CLIPS == 0) - 1).astype(np.int32)


def as_tensors(tables: DrawTables, sampling: str) -> DrawTables:
    """The tables that a sampling uses as TensorFlow constants, which graphs share, not copy."""
    used = {
        "shuffled": ("clips",),
        "sequential": ("clips",),
        "balanced": ("classes", "class_clips", "class_starts"),
        "alternate": ("clips", "classes", "class_clips", "class_starts"),
        "streamed": (),  # drawn by NumPy
    }
    with tf.device("/CPU:0"):
        constants = {name: tf.constant(getattr(tables, name)) for name in used[sampling]}
    return replace(tables, **constants)


def check_sampling(tables: DrawTables, sampling: str, start: int, batch_size: int) -> None:
    """Raise TFRecordsError for arguments with which nothing can be drawn."""
    if sampling not in SAMPLINGS:
        raise TFRecordsError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
    if batch_size < 1:
        raise TFRecordsError(f"batch_size must be at least 1, got {batch_size}")
    if start < 0:
        raise TFRecordsError(f"start must be 0 or more clips, got {start}")
    if sampling == "sequential" and start > len(tables.clips):
        raise TFRecordsError(
            f"start must be at most the {len(tables.clips)} clips of a sequential pass, got {start}"
        )
    if sampling in ("balanced", "alternate") and not len(tables.classes):
        raise TFRecordsError(
            f"sampling {sampling!r} needs clips with labels and none has any; use 'shuffled'"
        )


@tf.autograph.experimental.do_not_convert  # nothing to convert, and tracing takes half as long
def draws(
    tables: DrawTables, sampling: str, seed: int, d: tf.Tensor, batch_size: int = 1
) -> tf.Tensor:
    """The clips of the draws number `d`.

    Args:
        tables: of the index, by `draw_tables`.
        sampling: one of `SAMPLINGS`.
        seed: any integer; its lowest 64 bits count.
        d: (n,) int64, numbers of draws, not negative; for `sequential` below the number of clips.
        batch_size: the length of the turns of `alternate`.

    Returns:
        (n,) int64 clip numbers. Works eagerly and in graphs.
    """
    d = tf.cast(d, tf.int64)
    with tf.device("/CPU:0"):  # the shuffle has no GPU kernel
        if sampling == "sequential":
            return tf.cast(tf.gather(tables.clips, d), tf.int64)
        if sampling == "shuffled":
            return _shuffled(tables, seed, d)
        if sampling == "balanced":
            return _balanced(tables, seed, d)
        if sampling == "streamed":
            return numpy_draws(Streamed(tables, seed), d)
        if sampling == "alternate":
            block, place = d // batch_size, d % batch_size
            within = block // 2 * batch_size + place
            return tf.where(
                block % 2 == 0, _balanced(tables, seed, within), _shuffled(tables, seed, within)
            )
    raise TFRecordsError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")


def numpy_draws(function: Callable[[np.ndarray], np.ndarray], d: tf.Tensor) -> tf.Tensor:
    """The draws number `d` (n,) by a NumPy function, within a graph."""
    return tf.ensure_shape(tf.numpy_function(function, [d], tf.int64, stateful=False), d.shape)


class Streamed:
    """The draws of `streamed`, by NumPy: a function of draw numbers that keeps the last epochs."""

    def __init__(self, tables: DrawTables, seed: int):
        self._tables, self._seed = tables, seed
        self._order = lru_cache(maxsize=2)(self._epoch)

    def __call__(self, d: np.ndarray) -> np.ndarray:
        """(n,) draw numbers to (n,) int64 clip numbers."""
        epochs, places = np.divmod(d, len(self._tables.clips))
        out = np.empty(len(d), np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            out[here] = self._order(int(epoch))[places[here]]
        return out

    def _epoch(self, epoch: int) -> np.ndarray:
        """The clips of one epoch in the order in which they are drawn."""
        clips, runs = self._tables.clips, self._tables.runs
        # Permute the runs, by sorting hashes; one place after another for their clips.
        numbers, run_of = np.unique(runs, return_inverse=True)
        order = np.argsort(_hashes(numbers, self._seed, _RUN_SALT, epoch), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        in_runs = np.argsort(rank[run_of], kind="stable")
        # Permute the clips of each window of so many.
        window = np.arange(len(clips)) // WINDOW_CLIPS
        hashes = _hashes(clips[in_runs], self._seed, _WINDOW_SALT, epoch)
        return clips[in_runs[np.lexsort((hashes, window))]]


def _hashes(numbers: np.ndarray, *words: int) -> np.ndarray:
    """(n,) uint64, one hash for each of the numbers, another function for other words."""
    state = np.zeros(len(numbers), np.uint64)
    with np.errstate(over="ignore"):
        for word in (*words, None):
            word = numbers.astype(np.uint64) if word is None else np.uint64(word % 2**64)
            state = mix((state ^ word) + np.uint64(0x9E3779B97F4A7C15))
    return state


def _shuffled(tables: DrawTables, seed: int, d: tf.Tensor) -> tf.Tensor:
    size = tf.fill(tf.shape(d), tf.constant(tables.clips.shape[0], tf.int64))
    key = hash_words(seed, _SHUFFLED_SALT, d // size)
    return tf.cast(tf.gather(tables.clips, permute(d % size, size, key)), tf.int64)


def _balanced(tables: DrawTables, seed: int, d: tf.Tensor) -> tf.Tensor:
    num_classes = tf.fill(tf.shape(d), tf.constant(tables.classes.shape[0], tf.int64))
    draw_round = d // num_classes
    key = hash_words(seed, _CLASS_SALT, draw_round)
    row = permute(d % num_classes, num_classes, key)
    first = tf.gather(tables.class_starts, row)
    size = tf.gather(tables.class_starts, row + 1) - first
    # Keyed by the class's own number: other classes' clips do not change this class's order.
    class_number = tf.gather(tables.classes, row)
    key = hash_words(seed, _CLIP_SALT, class_number, draw_round // size)
    place = first + permute(draw_round % size, size, key)
    return tf.cast(tf.gather(tables.class_clips, place), tf.int64)
