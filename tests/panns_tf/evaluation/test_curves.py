import numpy as np
import pytest

from panns_tf import metrics
from panns_tf.evaluation.curves import POINTS, all_curves, as_pairs, thin
from tests.panns_tf.evaluation.support import made_scores


def test_thin_curves_keep_their_ends_and_their_area():
    x = np.linspace(0, 1, 5000)
    curve = thin(x, np.sqrt(x))
    assert len(curve.x) <= POINTS
    assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0, 1, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(2 / 3, abs=2e-3)
    few = thin(x[:3], x[:3])
    np.testing.assert_array_equal(few.x, x[:3])


def test_curves_of_classes_have_the_areas_of_the_metrics():
    scores = made_scores(400)
    curves = all_curves(scores)
    auc = metrics.roc_auc(scores.target, scores.score)
    for number, (pr, roc) in enumerate(zip(curves.precision_recall, curves.roc, strict=True)):
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(auc[number], abs=0.01)
        assert max(len(pr.x), len(roc.x)) <= POINTS
        assert pr.x[-1] == 1
        assert (np.diff(pr.x) >= 0).all()
    mean = curves.mean_roc
    assert np.trapezoid(mean.y, mean.x) == pytest.approx(auc.mean(), abs=0.02)
    pairs = metrics.roc_auc(scores.target.ravel(), scores.score.ravel())
    micro = curves.micro_roc
    assert np.trapezoid(micro.y, micro.x) == pytest.approx(pairs, abs=0.01)


def test_mean_precision_is_that_of_the_classes():
    scores = made_scores(400)
    curves = all_curves(scores)
    ap = metrics.average_precision(scores.target, scores.score)
    mean = curves.mean_precision_recall
    assert np.trapezoid(mean.y, mean.x) == pytest.approx(ap.mean(), abs=0.02)


def test_classes_without_curves_are_none():
    scores = made_scores()
    scores.target[:, 1], scores.target[:, 3] = False, True
    curves = all_curves(scores)
    assert [pr is None for pr in curves.precision_recall] == [False, True, False, True, False]
    assert as_pairs(None) is None
    pairs = as_pairs(curves.roc[0])
    assert pairs[:2] == [0, 0]
    assert pairs[-2:] == [1000, 1000]
