import numpy as np
import pytest

from panns_tf import metrics
from panns_tf.evaluation.resampling import accuracy_interval, micro_interval, weighted_interval
from tests.panns_tf.evaluation.support import made_scores


def draws(clips: int, replicates: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(clips, size=clips) for _ in range(replicates)]


@pytest.mark.parametrize("decimals", [1, 7])  # many ties, hardly any
def test_micro_replicates_are_those_of_resampled_clips(decimals):
    scores = made_scores(80)
    target, score = scores.target, scores.score.round(decimals)
    micro = metrics.micro_average_precision(target, score)
    drawn = draws(80, 40)
    values = [metrics.micro_average_precision(target[clips], score[clips]) for clips in drawn]
    ends = np.quantile(values, (0.05, 0.95)) + micro - np.mean(values)
    np.testing.assert_allclose(micro_interval(micro, target, score, 40, 0.9, 0), ends, rtol=1e-9)


def test_weighted_interval_holds_the_figure_and_leaves_out_what_a_replicate_lacks():
    scores = made_scores(60)
    boot = metrics.bootstrap(scores.target, scores.score, 100)
    low, high = weighted_interval(boot, 0.95)
    assert 0 < low < boot.summary.weighted_average_precision < high < 1
    boot.average_precision[::2, 0] = np.nan
    assert np.isfinite(weighted_interval(boot, 0.95)).all()


def test_accuracy_has_the_width_of_a_share():
    low, high = accuracy_interval(0.8, 400, 20_000, 0.95, 0)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.8 * 0.2 / 400), rel=0.05)
