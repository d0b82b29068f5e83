"""Permutations of the sampler: bijective and uniform. `tests/contract` has the order of clips."""

import itertools

import numpy as np
import pytest

from tfrecords.sampling import hash_words, permute


def whole(size: int, key: int) -> np.ndarray:
    return permute(np.arange(size), np.full(size, size), np.repeat(hash_words(key), size))


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
    keys = hash_words(5, np.arange(count))
    orders = [permute(np.full(count, k), np.full(count, 3), keys) for k in range(3)]
    codes = (np.stack(orders, 1) * [9, 3, 1]).sum(1)
    found = [np.sum(codes == 9 * a + 3 * b + c) for a, b, c in itertools.permutations(range(3))]
    assert sum(found) == count
    assert ((np.array(found) - 2000) ** 2 / 2000).sum() < 20.5  # 5 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("size", "each"), [(10, 1000), (64, 300), (70, 1500), (300, 100)])
def test_every_value_is_equally_likely_anywhere(size, each):
    # 70 * 1500 values are enough to find the shuffle's bias at its default of 4 rounds.
    count = each * size
    keys = hash_words(6, np.arange(count))
    sizes = np.full(count, size)
    values = permute(sizes - 1, sizes, keys)
    counts = np.bincount(values, minlength=size)
    freedom = size - 1
    assert ((counts - each) ** 2 / each).sum() < freedom + 4 * np.sqrt(2 * freedom)


def test_sizes_mix_in_one_call():
    sizes = np.array([1, 5, 64, 65, 2_000_000])
    values = permute(sizes - 1, sizes, hash_words(0, sizes))
    assert np.all((values >= 0) & (values < sizes))


def test_hash_of_any_64_bits():
    words = [0, 1, -1, 2**63, 2**64 - 1, -(2**63)]
    hashes = [hash_words(word).item() for word in words]
    assert len(set(hashes)) == 4  # -1 and 2**64 - 1, 2**63 and -2**63 are the same bits
    assert hash_words(1, 2) != hash_words(2, 1)
    vector = hash_words(7, np.array([3, 4]))
    assert [hash_words(7, 3).item(), hash_words(7, 4).item()] == vector.tolist()
