import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from panns_tf import metrics


def draw(dtype="float64", skew=1.0):
    """Probabilities, and targets that come true as often as their power of `skew`."""
    rng = np.random.default_rng(0)
    score = (rng.random((5000, 4)) ** 2).astype(dtype)
    return rng.random(score.shape) < score.astype("float64") ** skew, score


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_diagram_equals_scikit_learn(dtype):
    for bins in (1, 2, 10, 15, 255):
        check_diagram(bins, dtype)


def check_diagram(bins, dtype):
    target, score = draw(dtype)
    # Edges themselves, and their neighbours, must fall into the same bins.
    score[: bins + 1, 0] = np.linspace(0, 1, bins + 1)
    score[300 : 300 + bins, 0] = np.nextafter(score[:bins, 0], np.ones((), dtype))
    found = metrics.calibration(target, score, bins)
    frequency, confidence = calibration_curve(
        target.ravel(), score.ravel().astype("float64"), n_bins=bins
    )
    used = found.count > 0
    np.testing.assert_allclose(found.frequency[used], frequency, atol=1e-9)
    np.testing.assert_allclose(found.confidence[used], confidence, atol=1e-9)
    assert np.isnan(found.confidence[~used]).all()
    assert np.isnan(found.frequency[~used]).all()
    assert found.count.sum() == score.size
    assert found.edges.shape == (bins + 1,)


def test_expected_errors_are_weighted_gaps():
    target, score = draw()
    found = metrics.calibration(target, score)
    gaps = np.abs(found.frequency - found.confidence)
    assert found.expected_error == pytest.approx((gaps * found.count).sum() / score.size)
    for number in range(4):
        alone = metrics.calibration(target[:, number], score[:, number])
        assert found.class_error[number] == pytest.approx(alone.expected_error, abs=1e-12)
        assert alone.class_error.shape == (1,)


def test_overconfidence_is_seen():
    assert metrics.calibration(*draw()).expected_error < 0.01
    assert metrics.calibration(*draw(skew=2)).expected_error > 0.08


def test_bad_input_is_refused():
    for score, bins, message in (
        ([0.5, 1.5], 15, r"1 of 2 scores lie outside \[0, 1\] \(they span 0.5 to 1.5\)"),
        ([-0.5, -1], 15, r"2 of 2 scores lie outside \[0, 1\]"),
        ([0.5, np.nan], 15, "NaN"),
        ([], 15, "no scores"),
        ([0.5, 0.5], 0, "expected 1 to 255 bins; received 0"),
        ([0.5, 0.5], 2.5, "expected 1 to 255 bins; received 2.5"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics.calibration(np.zeros(len(score)), score, bins)
