"""Dealing groups into parts."""

import numpy as np
import pytest

from panns_tf.transfer.stratify import assign_groups, group_numbers


def test_group_numbers():
    assert group_numbers(["b", None, "a", "b", None]).tolist() == [0, 1, 2, 0, 3]
    assert group_numbers([]).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_unequal_shares(seed):
    target = np.eye(2)[np.arange(100) % 2]
    shares = np.array([0.7, 0.1, 0.2])
    dealt = assign_groups(target, np.arange(100), shares, np.random.default_rng(seed))
    assert np.bincount(dealt).tolist() == [70, 10, 20]
    assert target[dealt == 1].sum(0).tolist() == [5, 5]


def test_clips_without_labels_fill_up():
    target = np.zeros((30, 2))
    target[:6, 0] = 1
    dealt = assign_groups(target, np.arange(30), np.full(3, 1 / 3), np.random.default_rng(0))
    assert np.bincount(dealt).tolist() == [10, 10, 10]
    assert np.bincount(dealt[:6]).tolist() == [2, 2, 2]


def test_large_groups_are_evened_out_by_small_ones():
    groups = np.array([0] * 6 + [1] * 5 + list(range(2, 15)))
    dealt = assign_groups(np.ones((24, 1)), groups, np.full(2, 0.5), np.random.default_rng(0))
    assert np.bincount(dealt).tolist() == [12, 12]


@pytest.mark.parametrize(("least", "small"), [(0, [2, 0]), (1, [1, 1])])
def test_small_classes_reach_small_parts(least, small):
    target = np.eye(2)[[0] * 2 + [1] * 40]
    generator = np.random.default_rng(0)
    dealt = assign_groups(target, np.arange(42), np.array([0.8, 0.2]), generator, least)
    assert np.bincount(dealt[:2], minlength=2).tolist() == small
    assert np.bincount(dealt[2:]).tolist() == [32, 8]
