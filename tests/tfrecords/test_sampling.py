"""Permutations of the sampler: bijective and uniform. `tests/contract` has the order of clips."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.sampling import hash_words, permute


def whole(size: int, key: int) -> np.ndarray:
    sizes = tf.fill([size], tf.constant(size, tf.int64))
    keys = tf.repeat(hash_words(tf.constant([key], tf.int64)), size)
    return permute(tf.range(size, dtype=tf.int64), sizes, keys).numpy()


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 527, 70000])
def test_is_a_permutation_and_depends_on_the_key(size):
    first, second = whole(size, 0), whole(size, 1)
    np.testing.assert_array_equal(np.sort(first), np.arange(size))
    np.testing.assert_array_equal(np.sort(second), np.arange(size))
    np.testing.assert_array_equal(first, whole(size, 0))
    if size > 20:
        assert (first != second).any()
        assert (first != np.arange(size)).any()


def test_all_orders_of_three_are_equally_likely():
    count = 12000
    keys = hash_words(5, tf.range(count, dtype=tf.int64))
    sizes = tf.fill([count], tf.constant(3, tf.int64))
    orders = [permute(tf.fill([count], tf.constant(k, tf.int64)), sizes, keys) for k in range(3)]
    codes = (np.stack(orders, 1) * [9, 3, 1]).sum(1)
    found = [np.sum(codes == 9 * a + 3 * b + c) for a, b, c in itertools.permutations(range(3))]
    assert sum(found) == count
    assert ((np.array(found) - 2000) ** 2 / 2000).sum() < 20.5  # 5 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("size", "each"), [(10, 1000), (64, 300), (70, 1500), (300, 100)])
def test_every_value_is_equally_likely_anywhere(size, each):
    # 70 * 1500 values are enough to find the shuffle's bias at its default of 4 rounds.
    count = each * size
    keys = hash_words(6, tf.range(count, dtype=tf.int64))
    sizes = tf.fill([count], tf.constant(size, tf.int64))
    values = permute(sizes - 1, sizes, keys)
    counts = np.bincount(values, minlength=size)
    freedom = size - 1
    assert ((counts - each) ** 2 / each).sum() < freedom + 4 * np.sqrt(2 * freedom)


def test_sizes_mix_in_one_call():
    sizes = tf.constant([1, 5, 64, 65, 2_000_000], tf.int64)
    values = permute(sizes - 1, sizes, hash_words(0, sizes))
    assert np.all((values >= 0) & (values < sizes))


def test_hash_of_any_64_bits():
    words = [0, 1, -1, 2**63, 2**64 - 1, -(2**63)]
    hashes = [int(hash_words(word)) for word in words]
    assert len(set(hashes)) == 4  # -1 and 2**64 - 1, 2**63 and -2**63 are the same bits
    assert int(hash_words(1, 2)) != int(hash_words(2, 1))
    vector = hash_words(7, tf.constant([3, 4], tf.int64))
    assert [int(hash_words(7, 3)), int(hash_words(7, 4))] == vector.numpy().tolist()
