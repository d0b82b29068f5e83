import numpy as np
import pytest
from scipy.ndimage import median_filter

from panns_tf.inference.median import CentredMedian


@pytest.mark.parametrize("half", [0, 1, 2, 30])
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 61, 200])
def test_is_the_median_of_the_rows_around(half, rows):
    rng = np.random.default_rng(rows)
    values = rng.random((rows, 3), dtype=np.float32)
    wanted = [np.median(values[max(0, i - half) : i + half + 1], axis=0) for i in range(rows)]
    wanted = np.reshape(wanted, (-1, 3))
    median = CentredMedian(half, np.zeros(3, np.float32))
    for sizes in ([1], [50, 0, 3], [1000]):  # the same one begins anew after the last
        found, at, turn = [], 0, 0
        while at < rows:
            size = sizes[turn % len(sizes)]
            found.append(median.feed(values[at : at + size]))
            at, turn = at + size, turn + 1
        found.append(median.feed(values[:0], last=True))
        np.testing.assert_array_equal(np.concatenate(found), wanted)


def test_comes_half_a_window_late():
    median = CentredMedian(2, np.zeros(1, np.float32))
    assert [len(median.feed(np.ones((1, 1), np.float32))) for _ in range(5)] == [0, 0, 1, 1, 1]
    assert len(median.feed(np.ones((0, 1), np.float32), last=True)) == 2


def test_only_a_class_that_stays_below_is_left_out():
    rng = np.random.default_rng(0)
    values = rng.random((100, 2), dtype=np.float32) * np.array([0.4, 1], np.float32)
    median = CentredMedian(1, np.full(2, 0.5, np.float32))
    found = median.feed(values, last=True)
    assert not found[:, 0].any()
    inner = median_filter(values, (3, 1))[1:-1]
    np.testing.assert_array_equal(found[1:-1, 1], inner[:, 1])
