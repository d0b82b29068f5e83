"""Seeded permutations without state: the value at one position, for a vector of permutations.

`tf.random.experimental.index_shuffle` takes one seed for a whole vector, so the operation below
it is called, which takes a seed an element. It is a 4-round block cipher on at least 16 bits,
walked until the result falls within the range; measured over 100,000 seeds, two things about
it matter here:

* with 4 rounds small permutations are not uniform (chi-square 3 to 9 times its expectation below
  100 elements, and structured seeds such as counters are far worse): hence 6 rounds, hashed seeds;
* the walk takes 65536 / n steps: 4,000 values a second for n = 2, 600,000 for n = 527. Small
  permutations are therefore made by sorting hashes.
"""

import numpy as np
import tensorflow as tf

_SMALL = 64
_ROUNDS = 6


def permute(position: tf.Tensor, size: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """The values of seeded permutations at given positions.

    Args:
        position: (n,) int64, each in [0, size).
        size: (n,) int64, how many elements each permutation has, at least 1.
        key: (n,) uint64, which permutation; see `hash_words`.

    Returns:
        (n,) int64 in [0, size). For a fixed key and size it is a bijection of the positions.
    """
    is_small = tf.cast(size <= _SMALL, tf.int32)
    (large_at, small_at), parts = _split(is_small, position, size, key)
    large_position, large_size, large_key = (part[0] for part in parts)
    large = tf.raw_ops.RandomIndexShuffle(
        index=large_position,
        max_index=large_size - 1,
        seed=_three_words(large_key),
        rounds=_ROUNDS,
    )
    small = _permute_by_rank(*(part[1] for part in parts))
    return tf.dynamic_stitch([large_at, small_at], [large, small])


def _split(half: tf.Tensor, *values: tf.Tensor) -> tuple[list[tf.Tensor], list[list[tf.Tensor]]]:
    """Part vectors by 0 or 1 in `half`: where the elements of each part were, and the parts."""
    places = tf.dynamic_partition(tf.range(tf.size(half)), half, 2)
    return places, [[tf.gather(value, place) for place in places] for value in values]


def _permute_by_rank(position: tf.Tensor, size: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Element number `position` of 0..size - 1 sorted by hash; size is at most `_SMALL`."""
    elements = tf.range(_SMALL, dtype=tf.int64)
    hashes = hash_words(key[:, None], tf.cast(elements, tf.uint64)[None, :])  # (n, _SMALL)
    # 63 bits, so that the largest int64 can put the elements beyond size at the end.
    sortable = tf.cast(tf.bitwise.right_shift(hashes, _uint64(1)), tf.int64)
    sortable = tf.where(elements[None, :] < size[:, None], sortable, tf.int64.max)
    order = tf.argsort(sortable, axis=1, stable=True)
    return tf.cast(tf.gather(order, position, axis=1, batch_dims=1), tf.int64)


def hash_words(*words: int | tf.Tensor) -> tf.Tensor:
    """Hash a few 64-bit integers (tensors that broadcast, or Python integers) to uint64."""
    state = _uint64(0)
    for word in words:
        state = _mix(tf.bitwise.bitwise_xor(state, _uint64(word)) + _uint64(0x9E3779B97F4A7C15))
    return state


def _three_words(key: tf.Tensor) -> tf.Tensor:
    """(n,) uint64 to the (n, 3) int32 that the operation wants as its seed."""
    words = tf.bitcast(tf.stack([_mix(key), hash_words(key, 1)], axis=1), tf.int32)
    return tf.reshape(words, [-1, 4])[:, :3]


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
