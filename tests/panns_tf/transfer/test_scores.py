"""Metrics against scikit-learn, and intervals against simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from panns_tf.transfer.scores import (
    class_scores,
    estimate,
    mean_chance,
    metric_of,
    ranks,
)
from tests.panns_tf.transfer.support import multi_label, result, results, single_label


def test_metrics_of_single_labels():
    target, score = single_label(200, 7, 3)
    true, predicted = target.argmax(1), score.argmax(1)
    assert metric_of("accuracy", target, score) == pytest.approx((true == predicted).mean())
    reference = np.mean([
        next((1 / place for place, c in enumerate(np.argsort(-row)[:3], 1) if c == label), 0)
        for row, label in zip(score, true, strict=True)
    ])  # fmt: skip
    assert metric_of("mAP@3", target, score) == pytest.approx(reference)
    found = class_scores(target, score)
    assert (found["confusion"] == sklearn_metrics.confusion_matrix(true, predicted)).all()
    target[true == 6], score[:, 5] = target[0], 0  # one class without clips, one never predicted
    found = class_scores(target, score)
    undefined = [np.isnan(found[name]).nonzero()[0].tolist() for name in ("recall", "f1")]
    assert undefined == [[6], [6]]
    assert np.isnan(found["precision"][5])
    assert found["f1"][5] == found["recall"][5] == 0
    ties = ranks(np.eye(3)[[0, 2]], np.zeros((2, 3)))  # the lower number counts as the higher
    assert ties.tolist() == [1, 3]


def test_map_leaves_out_classes_without_positives_or_negatives():
    target, score = multi_label(60, 5, 0)
    target[:, 2], target[:, 3] = 0, 1
    used = [0, 1, 4]
    reference = np.mean([
        sklearn_metrics.average_precision_score(target[:, c], score[:, c]) for c in used
    ])  # fmt: skip
    assert metric_of("mAP", target, score) == pytest.approx(reference, abs=1e-6)
    assert np.isnan(metric_of("mAP", np.ones((4, 2)), np.zeros((4, 2))))


def test_chance_is_what_random_scores_give():
    rng = np.random.default_rng(0)
    target, _ = single_label(20_000, 6, 0)
    for metric in ("accuracy", "mAP@3"):
        found = metric_of(metric, target, rng.random(target.shape))
        assert mean_chance(metric, [result(target, target)]) == pytest.approx(found, abs=0.01)
    target, score = multi_label(20_000, 4, 0)
    found = metric_of("mAP", target, rng.random(target.shape))
    assert mean_chance("mAP", [result(target, score)]) == pytest.approx(found, abs=0.01)


def test_estimate_of_one_fold():
    target, score = single_label(80, 5, 1)
    one = estimate([result(target, score)], "accuracy")
    hits = int((target.argmax(1) == score.argmax(1)).sum())
    wilson = stats.binomtest(hits, 80).proportion_ci(method="wilson")
    assert (one.low, one.high) == pytest.approx((wilson.low, wilson.high))
    perfect = estimate([result(target, target)], "accuracy")
    assert (perfect.value, perfect.high) == (1, 1)
    assert 0.9 < perfect.low < 1
    assert np.isnan(estimate([result(target, target)], "mAP").low)
    # Clips of one group are resampled together.
    single = estimate([result(target, score)], "mAP@3")
    groups = [str(number // 8) for number in range(80)]
    order = np.argsort(target.argmax(1), kind="stable")
    grouped = estimate([result(target[order], score[order], groups)], "mAP@3")
    assert grouped.high - grouped.low > single.high - single.low
    nothing = estimate([result(np.ones((4, 2), np.float32), np.zeros((4, 2)))], "mAP")
    assert np.isnan(nothing.value)
    assert "fold 1 of seed 0 has no mAP: left out" in nothing.notes


def test_estimate_over_folds_and_seeds():
    found = results(folds=3, seeds=(0, 1))
    values = np.array([metric_of("accuracy", r.target, r.score) for r in found]).reshape(2, 3)
    whole = estimate(found, "accuracy")
    assert whole.value == pytest.approx(values.mean())
    assert (whole.folds, whole.seeds) == (3, 2)
    assert whole.fold_spread == pytest.approx(values.mean(0).std(ddof=1))
    assert whole.seed_spread == pytest.approx(values.mean(1).std(ddof=1))
    assert whole.low < whole.value < whole.high


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Accuracy of grouped clips whose groups succeed or fail together."""
    rng, inside, trials = np.random.default_rng(0), 0, 60
    for _ in range(trials):
        rate = np.clip(rng.normal(0.7, 0.2, 40), 0, 1)
        right = rng.random((40, 4)) < rate[:, None]
        target = np.eye(2)[np.zeros(160, int)]
        score = np.where(right.reshape(-1, 1), [[0.9, 0.1]], [[0.1, 0.9]])
        one = estimate([result(target, score, [str(n // 4) for n in range(160)])], "accuracy")
        inside += one.low <= 0.697 <= one.high  # the mean of the clipped rates
    assert inside / trials > 0.85
