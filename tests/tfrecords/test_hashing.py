"""The hash of clip ids."""

import numpy as np
import pytest

from tfrecords.index import hash_ids


def test_fixed_values():
    # Packed data sets and fractions depend on these: they must never change.
    ids = np.array([b"a", b"--PJHxphWEs", b"clip_001.wav"])
    assert hash_ids(ids).tolist() == [198367012849983736, 2462063597073891377, 15896306682121811477]


def test_width_of_the_array_does_not_matter():
    narrow, wide = np.array([b"abc"]), np.array([b"abc", b"a much longer id"])
    assert hash_ids(narrow)[0] == hash_ids(wide)[0]


def test_uniform_and_salted():
    ids = np.array([b"clip%06d" % number for number in range(50000)])
    first, second = hash_ids(ids) / 2.0**64, hash_ids(ids, 1) / 2.0**64
    for values in (first, second):
        counts = np.histogram(values, 100, (0, 1))[0]
        assert ((counts - 500) ** 2 / 500).sum() < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_wants_bytes():
    with pytest.raises(TypeError, match="bytes"):
        hash_ids(np.array(["a"]))
