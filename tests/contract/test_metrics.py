"""Metrics equal scikit-learn's to 1e-9."""

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as theirs

from panns_tf import metrics

CASES = ("random", "tied", "two values", "constant", "perfect", "reversed", "single")


def draw(kind: str, dtype: str = "float64", clips: int = 300, classes: int = 5):
    """Targets and scores, (clips, classes), in which every class has both kinds of clips."""
    rng = np.random.default_rng(len(kind))
    target = rng.random((clips, classes)) < np.linspace(0.01, 0.9, classes)
    target[0], target[1] = True, False
    if kind == "single":
        target[:] = False
        target[7] = True
    score = rng.random((clips, classes))
    if kind == "tied":
        score = np.round(score * 20) / 20
    if kind == "two values":
        score = np.round(score)
    if kind == "constant":
        score = np.full_like(score, 0.3)
    if kind in ("perfect", "reversed"):
        score = np.where(target == (kind == "perfect"), 0.5 + score / 2, score / 2 - 0.1)
    if np.dtype(dtype).kind in "iu":
        score = np.round(100 * (score + 0.1))
    return target, score.astype(dtype)


@pytest.mark.parametrize("kind", CASES)
def test_equals_scikit_learn(kind):
    for dtype in ("float64", "float32", "float16", "int64", "int32", "uint8"):
        check_against_scikit_learn(*draw(kind, dtype))


def check_against_scikit_learn(target, score):
    for mine, other in (
        (metrics.average_precision, theirs.average_precision_score),
        (metrics.roc_auc, theirs.roc_auc_score),
    ):
        expected = other(target, score, average=None)
        np.testing.assert_allclose(mine(target, score), expected, atol=1e-9, rtol=0)
        single = mine(target[:, 0], score[:, 0])
        assert isinstance(single, float)
        assert single == pytest.approx(expected[0], abs=1e-9)
    for mine, average in (
        (metrics.micro_average_precision, "micro"),
        (metrics.weighted_average_precision, "weighted"),
    ):
        expected = theirs.average_precision_score(target, score, average=average)
        assert mine(target, score) == pytest.approx(expected, abs=1e-9)


def test_close_scores_of_float64_are_not_merged():
    # As float32 these are one value.
    target, score = np.array([1, 0, 0]), 0.5 + np.array([3e-12, 2e-12, 1e-12])
    assert metrics.average_precision(target, score) == 1
    assert metrics.average_precision(target, score.astype("float32")) == pytest.approx(1 / 3)


def test_the_order_of_clips_is_nothing_but_a_shuffled_score_is():
    target, score = draw("random")
    order = np.random.default_rng(0).permutation(len(score))
    expected = metrics.average_precision(target, score)
    np.testing.assert_array_equal(metrics.average_precision(target[order], score[order]), expected)
    assert (np.abs(metrics.average_precision(target, score[order]) - expected) > 1e-4).any()


@pytest.mark.parametrize("kind", CASES)
def test_best_f1_is_the_highest_of_the_curve(kind):
    target, score = draw(kind, clips=40)
    threshold, f1 = metrics.best_f1(target, score)
    for number in range(score.shape[1]):
        hits, values = target[:, number], score[:, number]
        each = [theirs.f1_score(hits, values >= at, zero_division=0) for at in np.unique(values)]
        assert f1[number] == pytest.approx(max(each), abs=1e-12)
        called = values >= threshold[number]
        assert theirs.f1_score(hits, called) == pytest.approx(f1[number], abs=1e-12)
        assert metrics.best_f1(hits, values) == (threshold[number], f1[number])


def test_best_f1_takes_the_highest_of_equal_thresholds():
    # At 0.9 two thirds, at 0.4 with all clips four sixths.
    assert metrics.best_f1([1, 0, 0, 1], [0.9, 0.6, 0.5, 0.4]) == (0.9, pytest.approx(2 / 3))


def test_classes_without_positives_or_negatives_are_nan():
    target = np.array([[0, 1, 1], [0, 1, 0]], bool)
    score = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.2]])
    np.testing.assert_array_equal(metrics.average_precision(target, score), [np.nan, 1, 1])
    np.testing.assert_array_equal(metrics.roc_auc(target, score), [np.nan, np.nan, 1])
    threshold, f1 = metrics.best_f1(target, score)
    np.testing.assert_array_equal(threshold, [np.nan, 0.2, 0.3])
    np.testing.assert_array_equal(f1, [np.nan, 1, 1])
    assert metrics.weighted_average_precision(target, score) == 1
    nothing = np.zeros((2, 3), bool)
    assert np.isnan(metrics.micro_average_precision(nothing, score))
    assert np.isnan(metrics.weighted_average_precision(nothing, score))
    assert np.isnan(metrics.d_prime(metrics.roc_auc(target, score))[:2]).all()


def test_no_clips_and_no_classes_have_no_figures():
    assert np.isnan(metrics.average_precision(np.zeros((0, 2)), np.zeros((0, 2)))).all()
    assert np.isnan(metrics.roc_auc([], []))
    assert metrics.best_f1(np.zeros((3, 0)), np.zeros((3, 0)))[0].shape == (0,)


@pytest.mark.parametrize("metric", [metrics.average_precision, metrics.roc_auc])
def test_scores_that_are_not_finite_are_counted_and_placed(metric):
    score = np.zeros((5, 4))
    score[2, 3] = score[2, 1] = np.nan
    score[4, 0] = np.inf
    message = "3 of 20 scores, in 2 of 5 clips, .* the first of clip 2 and class 1 "
    with pytest.raises(ValueError, match=message):
        metric(score > 1, score)


def test_d_prime():
    expected = np.sqrt(2) * scipy.stats.norm.ppf([0.5, 0.76, 0.99])
    np.testing.assert_allclose(metrics.d_prime(np.array([0.5, 0.76, 0.99])), expected, atol=1e-12)
    assert metrics.d_prime(0.5) == 0
