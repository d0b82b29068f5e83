"""The order in which clips are sampled: a pure function of the seed and the sample number d.

    sequential  each clip once, in index order; ends
    shuffled    epoch e = d // n; clip = permutation (seed, e) of the n clips, at d % n
    balanced    round r = d // K over the K classes that have clips;
                class = permutation (seed, r) of the K classes, at d % K;
                a class comes once a round, so its clip = permutation (seed, class, r // m) of the
                class's m clips, at r % m
    alternate   batches by turns from a balanced and a shuffled stream, balanced first
    streamed    as shuffled, for object stores and disks that seek slowly: runs of ``RUN_CLIPS``
                neighbours are permuted, and the clips within each window of ``WINDOW_CLIPS``

A permutation is evaluated at single positions, by a block cipher of TensorFlow's, walked until the
result is in range; ``index_shuffle`` takes one seed for a whole vector, so the operation below it
is called. Over 100,000 seeds small permutations of 4 rounds are not uniform, hence 6 rounds and
hashed seeds; a walk takes 65536 / n steps, hence few elements are permuted by sorting hashes.
"""

from functools import lru_cache

import numpy as np
import tensorflow as tf

from tfrecords.files import TFRecordsError
from tfrecords.index import Index, mix, starts_of

SAMPLINGS = ("sequential", "shuffled", "balanced", "alternate", "streamed")

RUN_CLIPS = 16  # 10 MB of 10 s clips
WINDOW_CLIPS = 512

# Keep the streams of one seed independent of each other.
_SHUFFLED_SALT, _CLASS_SALT, _CLIP_SALT, _RUN_SALT, _WINDOW_SALT = 1, 2, 3, 4, 5
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FEW = 64
_ROUNDS = 6


class Sampler:
    """Sample numbers to clips, of ``clips``, (n,), ascending; ``alternate`` has ``batch_size``."""

    def __init__(
        self, index: Index, clips: np.ndarray, sampling: str, seed: int = 0, batch_size: int = 1
    ):
        self.clips, self.sampling, self._seed = clips, sampling, seed
        self._batch_size = batch_size
        # Class ``_classes[j]`` has the clips from ``_class_starts[j]`` on of ``_class_clips``.
        values, counts = index.labels(clips)
        of_clips = np.repeat(clips.astype(np.int32), counts)
        # NumPy sorts 16 bits by radix, ten times as fast as 32.
        self._class_clips = of_clips[np.argsort(values, kind="stable")]
        class_counts = np.bincount(values, minlength=index.num_classes)
        self._classes = np.flatnonzero(class_counts)
        self._class_starts = starts_of(class_counts[self._classes])
        if sampling in ("balanced", "alternate") and not len(self._classes):
            raise TFRecordsError(
                f"sampling {sampling!r} needs clips with labels and none has any; use 'shuffled'"
            )
        if sampling == "streamed":
            # Runs of neighbours in a shard, fewer at its end.
            first = np.searchsorted(index.shard, index.shard)
            begins = (np.arange(index.num_clips) - first) % RUN_CLIPS == 0
            self._runs = (np.cumsum(begins) - 1)[clips]
        self._epoch = lru_cache(maxsize=2)(self._streamed_epoch)

    def __call__(self, d: np.ndarray) -> np.ndarray:
        """(n,) int64 sample numbers to (n,) int64 clip numbers."""
        if self.sampling == "sequential":
            return self.clips[d]
        if self.sampling == "shuffled":
            return self._shuffled(d)
        if self.sampling == "balanced":
            return self._balanced(d)
        if self.sampling == "streamed":
            return self._streamed(d)
        batch, row = np.divmod(d, self._batch_size)
        within = batch // 2 * self._batch_size + row
        return np.where(batch % 2 == 0, self._balanced(within), self._shuffled(within))

    def alike(self, clip: int, index: Index) -> np.ndarray:
        """The clips of the rarest class of a clip, from the clip after it on, then those before."""
        rows = np.flatnonzero(np.isin(self._classes, index.labels_of(clip)))
        clips = self.clips
        if len(rows):
            row = rows[np.argmin(np.diff(self._class_starts)[rows])]
            clips = self._class_clips[self._class_starts[row] : self._class_starts[row + 1]]
        position = np.searchsorted(clips, clip)
        others = np.concatenate([clips[position:], clips[:position]])
        return others[others != clip]

    def _shuffled(self, d: np.ndarray) -> np.ndarray:
        epoch, position = np.divmod(d, len(self.clips))
        size = np.full_like(d, len(self.clips))
        return self.clips[permute(position, size, hash_words(self._seed, _SHUFFLED_SALT, epoch))]

    def _balanced(self, d: np.ndarray) -> np.ndarray:
        sample_round, position = np.divmod(d, len(self._classes))
        size = np.full_like(d, len(self._classes))
        row = permute(position, size, hash_words(self._seed, _CLASS_SALT, sample_round))
        first = self._class_starts[row]
        size = self._class_starts[row + 1] - first
        # Keyed by the number of the class: other classes' clips do not change this class's order.
        key = hash_words(self._seed, _CLIP_SALT, self._classes[row], sample_round // size)
        return self._class_clips[first + permute(sample_round % size, size, key)].astype(np.int64)

    def _streamed(self, d: np.ndarray) -> np.ndarray:
        epochs, positions = np.divmod(d, len(self.clips))
        out = np.empty(len(d), np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            out[here] = self._epoch(int(epoch))[positions[here]]
        return out

    def _streamed_epoch(self, epoch: int) -> np.ndarray:
        # Permute the runs by sorting hashes, then give each clip the rank of its run.
        numbers, run_of = np.unique(self._runs, return_inverse=True)
        order = np.argsort(hash_words(self._seed, _RUN_SALT, epoch, numbers), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        clips = self.clips[np.argsort(rank[run_of], kind="stable")]
        # Permute the clips of each window.
        window = np.arange(len(clips)) // WINDOW_CLIPS
        return clips[np.lexsort((hash_words(self._seed, _WINDOW_SALT, epoch, clips), window))]


def permute(position: np.ndarray, size: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Permutations of [0, size) at positions, both (n,) int64, seeded by ``key``, uint64."""
    values = np.empty_like(position)
    few = size <= _FEW
    if few.any():
        elements = np.arange(size[few].max())
        # 63 bits, and beyond the size the largest number, which sorts last.
        hashes = hash_words(key[few, None], elements) >> np.uint64(1)
        hashes[elements >= size[few, None]] = 2**63 - 1
        order = np.argsort(hashes, axis=1)
        values[few] = np.take_along_axis(order, position[few, None], axis=1)[:, 0]
    many = ~few
    if many.any():
        words = np.stack([mix(key[many]), hash_words(key[many], 1)], axis=1)
        with tf.device("/CPU:0"):  # the shuffle has no GPU kernel
            values[many] = tf.raw_ops.RandomIndexShuffle(
                index=position[many],
                max_index=size[many] - 1,
                seed=words.view(np.int32)[:, :3],
                rounds=_ROUNDS,
            )
    return values


def hash_words(*words: int | np.ndarray) -> np.ndarray:
    """Hashes a few 64-bit integers, or arrays of them that broadcast, to uint64."""
    state = np.zeros(1, np.uint64)
    for word in words:
        word = np.uint64(word % 2**64) if isinstance(word, int) else word.astype(np.uint64)
        state = mix((state ^ word) + _GOLDEN)
    return state
