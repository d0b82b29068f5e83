"""The order in which clips are sampled: a pure function of the seed and the sample number d.

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
clips are all sampled before one of them comes again.

A permutation is evaluated at single positions. Those of many elements come from a block cipher of
TensorFlow's, walked until the result falls within the range; `index_shuffle` takes one seed for a
whole vector, so the operation below it is called. Measured over 100,000 seeds: with 4 rounds small
permutations are not uniform, hence 6, and hashed seeds; and a walk takes 65536 / n steps, hence
permutations of few elements are made by sorting hashes.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import tensorflow as tf

from tfrecords.index import Index, mix, starts_of
from tfrecords.storage import TFRecordsError

SAMPLINGS = ("sequential", "shuffled", "balanced", "alternate", "streamed")

RUN_CLIPS = 16  # 10 MB of 10 s clips
WINDOW_CLIPS = 512

# Keep the streams of one seed independent of each other.
_SHUFFLED_SALT, _CLASS_SALT, _CLIP_SALT, _RUN_SALT, _WINDOW_SALT = 1, 2, 3, 4, 5
_GOLDEN = 0x9E3779B97F4A7C15
_FEW = 64
_ROUNDS = 6


@dataclass(frozen=True)
class SampleTables:
    """What sampling needs of an index.

    Attributes:
        clips: (n,) int32, the clips that may be sampled.
        classes: (K,) int64, the classes that have such clips.
        class_clips, class_starts: class `classes[j]` has the clips
            `class_clips[class_starts[j]:class_starts[j + 1]]`; int32 and int64.
        runs: (n,) int32, the run of neighbours within a shard that each of `clips` belongs to.
    """

    clips: np.ndarray
    classes: np.ndarray
    class_clips: np.ndarray
    class_starts: np.ndarray
    runs: np.ndarray

    def as_tensors(self, sampling: str) -> "SampleTables":
        """The tables that a sampling uses as TensorFlow constants, which graphs share, not copy."""
        used = () if sampling == "streamed" else ("clips",)  # streamed is sampled by NumPy
        if sampling in ("balanced", "alternate"):
            used += ("classes", "class_clips", "class_starts")
        with tf.device("/CPU:0"):
            return replace(self, **{name: tf.constant(getattr(self, name)) for name in used})


def sample_tables(index: Index, clips: np.ndarray | None = None) -> SampleTables:
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
    # Runs: `RUN_CLIPS` neighbours in a shard, fewer at its end.
    first = np.flatnonzero(np.diff(index.shard, prepend=-1) != 0)
    place = np.arange(index.num_clips) - np.repeat(first, np.diff(first, append=index.num_clips))
    runs = (np.cumsum(place % RUN_CLIPS == 0) - 1).astype(np.int32)[clips]
    return SampleTables(clips, classes, class_clips, starts_of(counts[classes]), runs)


def check_sampling(tables: SampleTables, sampling: str, start: int, batch_size: int) -> None:
    """Raises TFRecordsError for arguments with which nothing can be sampled."""
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
def sample_indices(
    tables: SampleTables, sampling: str, seed: int, d: tf.Tensor, batch_size: int = 1
) -> tf.Tensor:
    """The clips, (n,) int64, of the sample numbers `d`, (n,) int64; eagerly and in graphs.

    `batch_size` is the length of the turns of `alternate`. For `streamed` see `StreamedOrder`.
    """
    d = tf.cast(d, tf.int64)
    with tf.device("/CPU:0"):  # the shuffle has no GPU kernel
        if sampling == "sequential":
            return tf.cast(tf.gather(tables.clips, d), tf.int64)
        if sampling == "shuffled":
            return _shuffled(tables, seed, d)
        if sampling == "balanced":
            return _balanced(tables, seed, d)
        block, place = d // batch_size, d % batch_size
        within = block // 2 * batch_size + place
        return tf.where(
            block % 2 == 0, _balanced(tables, seed, within), _shuffled(tables, seed, within)
        )


class StreamedOrder:
    """The sampling `streamed` by NumPy, which keeps the order of the last epochs."""

    def __init__(self, tables: SampleTables, seed: int):
        self._tables, self._seed = tables, seed
        self._order = lru_cache(maxsize=2)(self._epoch)

    def __call__(self, d: np.ndarray) -> np.ndarray:
        """(n,) sample numbers to (n,) int64 clip numbers."""
        epochs, places = np.divmod(d, len(self._tables.clips))
        out = np.empty(len(d), np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            out[here] = self._order(int(epoch))[places[here]]
        return out

    def _epoch(self, epoch: int) -> np.ndarray:
        """The clips of one epoch in the order in which they are sampled."""
        clips, runs = self._tables.clips, self._tables.runs
        # Permute the runs, by sorting hashes; one place after another for their clips.
        numbers, run_of = np.unique(runs, return_inverse=True)
        order = np.argsort(_hashes(numbers, self._seed, _RUN_SALT, epoch), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        in_runs = np.argsort(rank[run_of], kind="stable")
        # Permute the clips of each window.
        window = np.arange(len(clips)) // WINDOW_CLIPS
        hashes = _hashes(clips[in_runs], self._seed, _WINDOW_SALT, epoch)
        return clips[in_runs[np.lexsort((hashes, window))]]


def _hashes(numbers: np.ndarray, *words: int) -> np.ndarray:
    """(n,) uint64, one hash for each of the numbers, another function for other words."""
    state = np.zeros(len(numbers), np.uint64)
    with np.errstate(over="ignore"):
        for word in (*(np.uint64(word % 2**64) for word in words), numbers.astype(np.uint64)):
            state = mix((state ^ word) + np.uint64(_GOLDEN))
    return state


def _shuffled(tables: SampleTables, seed: int, d: tf.Tensor) -> tf.Tensor:
    size = tf.fill(tf.shape(d), tf.constant(tables.clips.shape[0], tf.int64))
    key = hash_words(seed, _SHUFFLED_SALT, d // size)
    return tf.cast(tf.gather(tables.clips, permute(d % size, size, key)), tf.int64)


def _balanced(tables: SampleTables, seed: int, d: tf.Tensor) -> tf.Tensor:
    num_classes = tf.fill(tf.shape(d), tf.constant(tables.classes.shape[0], tf.int64))
    sample_round = d // num_classes
    key = hash_words(seed, _CLASS_SALT, sample_round)
    row = permute(d % num_classes, num_classes, key)
    first = tf.gather(tables.class_starts, row)
    size = tf.gather(tables.class_starts, row + 1) - first
    # Keyed by the class's own number: other classes' clips do not change this class's order.
    class_number = tf.gather(tables.classes, row)
    key = hash_words(seed, _CLIP_SALT, class_number, sample_round // size)
    place = first + permute(sample_round % size, size, key)
    return tf.cast(tf.gather(tables.class_clips, place), tf.int64)


def permute(position: tf.Tensor, size: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """The values, (n,) int64, of seeded permutations at positions in [0, size), (n,) int64.

    `size`, (n,) int64, is the number of elements of each permutation, `key`, (n,) uint64, which it
    is. For a fixed key and size the values are a bijection of the positions.
    """
    is_small = tf.cast(size <= _FEW, tf.int32)
    large_at, small_at = tf.dynamic_partition(tf.range(tf.size(is_small)), is_small, 2)
    large_key = tf.gather(key, large_at)
    words = tf.bitcast(tf.stack([_mix(large_key), hash_words(large_key, 1)], axis=1), tf.int32)
    large = tf.raw_ops.RandomIndexShuffle(
        index=tf.gather(position, large_at),
        max_index=tf.gather(size, large_at) - 1,
        seed=tf.reshape(words, [-1, 4])[:, :3],
        rounds=_ROUNDS,
    )
    small = _permute_by_rank(*(tf.gather(value, small_at) for value in (position, size, key)))
    return tf.dynamic_stitch([large_at, small_at], [large, small])


def _permute_by_rank(position: tf.Tensor, size: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Element number `position` of 0..size - 1 sorted by hash; size is at most `_FEW`."""
    elements = tf.range(_FEW, dtype=tf.int64)
    hashes = hash_words(key[:, None], tf.cast(elements, tf.uint64)[None, :])  # (n, _FEW)
    # 63 bits, so that the largest int64 can put the elements beyond size at the end.
    sortable = tf.cast(tf.bitwise.right_shift(hashes, _uint64(1)), tf.int64)
    sortable = tf.where(elements[None, :] < size[:, None], sortable, tf.int64.max)
    order = tf.argsort(sortable, axis=1, stable=True)
    return tf.cast(tf.gather(order, position, axis=1, batch_dims=1), tf.int64)


def hash_words(*words: int | tf.Tensor) -> tf.Tensor:
    """Hashes a few 64-bit integers (tensors that broadcast, or Python integers) to uint64."""
    state = _uint64(0)
    for word in words:
        state = _mix(tf.bitwise.bitwise_xor(state, _uint64(word)) + _uint64(_GOLDEN))
    return state


def _mix(state: tf.Tensor) -> tf.Tensor:
    """The output function of splitmix64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = _xor_shift(state, shift) * _uint64(factor)
    return _xor_shift(state, 31)


def _xor_shift(state: tf.Tensor, shift: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(state, tf.fill(tf.shape(state), _uint64(shift)))
    return tf.bitwise.bitwise_xor(state, shifted)


def _uint64(value: int | tf.Tensor) -> tf.Tensor:
    if tf.is_tensor(value):
        return value if value.dtype == tf.uint64 else tf.bitcast(value, tf.uint64)
    return tf.constant(np.uint64(value & 0xFFFFFFFFFFFFFFFF))
