import numpy as np
import pytest
from sklearn import metrics as theirs

from panns_tf import metrics


def draw(levels: int, share: float, dtype: str):
    rng = np.random.default_rng(levels)
    target = rng.random(400) < share
    target[:2] = True, False
    return target, (rng.integers(0, levels, 400) / 8).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("levels", [1, 2, 30, 10**5])
def test_curves_equal_scikit_learn(levels, share, dtype):
    target, score = draw(levels, share, dtype)
    mine = metrics.precision_recall_curve(target, score)
    expected = theirs.precision_recall_curve(target, score)
    for one, other in zip(mine, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9, rtol=0)
    mine = metrics.roc_curve(target, score)
    expected = theirs.roc_curve(target, score, drop_intermediate=False)
    for one, other in zip(mine, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9, rtol=0)


def test_areas_under_the_curves_are_the_metrics():
    target, score = draw(30, 0.2, "float32")
    precision, recall, _ = metrics.precision_recall_curve(target, score)
    area = -(np.diff(recall) * precision[:-1]).sum()
    assert area == pytest.approx(metrics.average_precision(target, score), abs=1e-12)
    false_rate, true_rate, _ = metrics.roc_curve(target, score)
    area = np.trapezoid(true_rate, false_rate)
    assert area == pytest.approx(metrics.roc_auc(target, score), abs=1e-12)


@pytest.mark.parametrize(
    ("curve", "target", "message"),
    [
        (metrics.precision_recall_curve, [0, 0, 0], "none of the 3 clips is positive"),
        (metrics.precision_recall_curve, [], "none of the 0 clips is positive"),
        (metrics.roc_curve, [0, 0, 0], "none of the 3 clips is positive"),
        (metrics.roc_curve, [1, 1], "none of the 2 clips is negative"),
        (metrics.roc_curve, [[1, 0]], "expected one class"),
    ],
)
def test_a_class_without_a_curve_is_an_error(curve, target, message):
    with pytest.raises(ValueError, match=message):
        curve(target, np.zeros(np.shape(target)))


def test_nan_is_refused():
    with pytest.raises(ValueError, match=r"1 of 2 scores, in 1 of 2 clips, .* clip 1 and class 0"):
        metrics.roc_curve([0, 1], [0, np.nan])
