import numpy as np
import pytest

from panns_tf.transfer.windows import cut, window_starts


@pytest.mark.parametrize(
    ("samples", "starts"),
    [(1, [0]), (100, [0]), (109, [0]), (111, [0, 11]), (200, [0, 100]), (205, [0, 100]),
     (250, [0, 100, 150])],
)  # fmt: skip
def test_windows_cover_a_recording(samples, starts):
    assert window_starts(samples, 100) == starts


def test_only_a_tenth_of_a_window_is_ever_passed_over():
    for samples in range(1, 1000, 7):
        heard = np.zeros(samples, bool)
        for start in window_starts(samples, 100):
            assert 0 <= start < samples
            heard[start : start + 100] = True
        assert (~heard).sum() <= 10


def test_a_short_recording_ends_in_zeros():
    assert cut(np.arange(1, 4), 0, 5).tolist() == [1, 2, 3, 0, 0]
    assert cut(np.arange(10), 3, 5).tolist() == [3, 4, 5, 6, 7]
