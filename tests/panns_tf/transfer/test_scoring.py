import numpy as np
import pytest
from sklearn import metrics as sklearn

from panns_tf.transfer.scoring import METRICS, by_class, chance, confusion, ranks
from tests.panns_tf.transfer.support import single_label


def plain_map_at_3(target, score) -> float:
    total = 0.0
    for row, true in zip(score, target.argmax(axis=1), strict=True):
        order = sorted(range(len(row)), key=lambda number: (-row[number], number))
        if true in order[:3]:
            total += 1 / (order.index(true) + 1)
    return total / len(score)


@pytest.mark.parametrize("decimals", [6, 1])  # with 1 decimal, many scores are equal
def test_single_label_metrics_are_those_of_plain_loops(decimals):
    target, score = single_label(200, 6, seed=1)
    score = score.round(decimals)
    true, predicted = target.argmax(axis=1), score.argmax(axis=1)
    assert METRICS["accuracy"](target, score) == sklearn.accuracy_score(true, predicted)
    assert METRICS["mAP@3"](target, score) == pytest.approx(
        plain_map_at_3(target, score), abs=1e-12
    )
    assert 0.3 < METRICS["accuracy"](target, score) < METRICS["mAP@3"](target, score) < 1


def test_ties_go_to_the_lower_class():
    target = np.eye(4)
    score = np.full((4, 4), 0.25)
    assert ranks(target, score).tolist() == [1, 2, 3, 4]
    assert METRICS["accuracy"](target, score) == 0.25
    assert METRICS["mAP@3"](target, score) == pytest.approx((1 + 1 / 2 + 1 / 3) / 4)


def test_map_is_over_the_classes_that_can_be_ranked():
    rng = np.random.default_rng(0)
    target = (rng.random((80, 5)) < 0.3).astype(np.float32)
    score = rng.random((80, 5)).astype(np.float32)
    whole = sklearn.average_precision_score(target, score, average="macro")
    assert METRICS["mAP"](target, score) == pytest.approx(whole)
    target[:, 2], target[:, 4] = 0, 1
    kept = [0, 1, 3]
    rest = sklearn.average_precision_score(target[:, kept], score[:, kept], average="macro")
    assert METRICS["mAP"](target, score) == pytest.approx(rest)
    assert np.isnan(METRICS["mAP"](np.zeros((3, 2)), np.zeros((3, 2))))


def test_no_clip_has_no_figure():
    nothing = np.zeros((0, 4), np.float32)
    assert all(np.isnan(metric(nothing, nothing)) for metric in METRICS.values())


@pytest.mark.parametrize("metric", ["accuracy", "mAP@3"])
@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_clips_need_one_label(metric, labels):
    with pytest.raises(ValueError, match="1 of 2 clips with several or none; the metric of such"):
        METRICS[metric](np.array([[1, 0], labels]), np.zeros((2, 2)))


@pytest.mark.parametrize("metric", METRICS)
def test_scores_that_are_no_numbers_are_refused(metric):
    with pytest.raises(ValueError, match="NaN or infinite"):
        METRICS[metric](np.eye(2), np.array([[1, 0], [np.nan, 1]]))


@pytest.mark.parametrize("metric", METRICS)
def test_chance_is_what_random_scores_give(metric):
    rng = np.random.default_rng(0)
    target = np.eye(5)[rng.integers(5, size=20_000)]
    if metric == "mAP":
        target[:, 0] = rng.random(20_000) < 0.4
    assert METRICS[metric](target, rng.random(target.shape)) == pytest.approx(
        chance(metric, target), abs=0.012
    )
    assert chance("mAP@3", np.eye(2)) == 0.75  # both places are among the first three


def test_confusion_and_figures_of_classes():
    target, score = single_label(150, 5, seed=2)
    target[target[:, 4] == 1] = np.eye(5)[0]  # the last class has no clip
    true, predicted = target.argmax(axis=1), score.argmax(axis=1)
    matrix = confusion(target, score)
    np.testing.assert_array_equal(
        matrix, sklearn.confusion_matrix(true, predicted, labels=np.arange(5))
    )
    found = by_class(matrix)
    precision, recall, f1, clips = sklearn.precision_recall_fscore_support(
        true, predicted, labels=np.arange(4), zero_division=0
    )
    np.testing.assert_array_equal(found.clips[:4], clips)
    np.testing.assert_allclose(found.recall[:4], recall)
    np.testing.assert_allclose(found.precision[:4], precision)
    np.testing.assert_allclose(found.f1[:4], f1)
    assert found.macro_f1 == pytest.approx(f1.mean())
    assert matrix[:, 4].sum() > 0  # it is predicted, wrongly
    assert np.isnan([found.recall[4], found.f1[4]]).all()


def test_a_class_never_recognised_has_f1_0_and_one_never_called_no_precision():
    found = by_class(np.array([[3, 0], [2, 0]]))
    assert (found.f1[1], found.recall[1]) == (0, 0)
    assert np.isnan(found.precision[1])
    assert found.macro_f1 == pytest.approx((6 / 8) / 2)
