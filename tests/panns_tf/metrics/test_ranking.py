"""Curves, and bad input; that metrics equal scikit-learn's is in tests/contract/test_metrics.py."""

import numpy as np
import pytest

from panns_tf import metrics


def draw(levels: int, share: float, dtype: str):
    rng = np.random.default_rng(levels)
    target = rng.random(400) < share
    target[:2] = True, False
    return target, (rng.integers(0, levels, 400) / 8).astype(dtype)


@pytest.mark.parametrize("levels", [1, 2, 30, 10**5])
def test_areas_under_the_curves_are_the_metrics(levels):
    for share in (0.01, 0.5, 0.99):
        for dtype in ("float64", "float32", "float16"):
            target, score = draw(levels, share, dtype)
            precision, recall, threshold = metrics.precision_recall_curve(target, score)
            area = -(np.diff(recall) * precision[:-1]).sum()
            assert area == pytest.approx(metrics.average_precision(target, score), abs=1e-12)
            np.testing.assert_array_equal(threshold, np.unique(score))
            false_rate, true_rate, threshold = metrics.roc_curve(target, score)
            area = np.trapezoid(true_rate, false_rate)
            assert area == pytest.approx(metrics.roc_auc(target, score), abs=1e-12)
            assert len(threshold) == len(np.unique(score)) + 1


def test_bad_input_is_refused():
    curve, roc = metrics.precision_recall_curve, metrics.roc_curve
    for function, target, score, message in (
        (curve, [0, 0, 0], [0, 0, 0], "none of the 3 clips is positive"),
        (curve, [], [], "none of the 0 clips is positive"),
        (roc, [0, 0, 0], [0, 0, 0], "none of the 3 clips is positive"),
        (roc, [1, 1], [0, 0], "none of the 2 clips is negative"),
        (roc, [[1, 0]], [[0, 0]], r"one shape, \(clips,\); received \(1, 2\)"),
        (roc, [0, 1], [0, np.nan], r"1 of 2 scores, in 1 of 2 clips, .* clip 1 and class 0"),
        (metrics.roc_auc, np.zeros((3, 2)), np.zeros((2, 3)), "one shape"),
        (metrics.roc_auc, np.zeros((3, 2, 1)), np.zeros((3, 2, 1)), "one shape"),
        (metrics.average_precision, np.full(3, 0.5), np.zeros(3), "targets of 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            function(target, score)
    with pytest.raises(ValueError, match=r"areas in \[0, 1\]"):
        metrics.d_prime(1.2)
    assert metrics.d_prime(0.973) == pytest.approx(2.725, abs=2e-3)  # Table IV prints 2.732


def test_scores_of_any_number_type_rank_alike():
    target, score = [1, 0, 0], [0, 1, 2]
    for dtype in ("uint8", "float16", "int64", "float64"):
        assert metrics.average_precision(target, np.array(score, dtype)) == pytest.approx(1 / 3)
    assert metrics.roc_auc([1, 0], np.array([True, False])) == 1
