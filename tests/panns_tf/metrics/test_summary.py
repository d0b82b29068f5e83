import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from panns_tf import metrics
from tests.support import read_npz


def test_equals_the_reference():
    data = read_npz("metrics")
    target, score = data["target"], data["score"]
    precision, area = metrics.average_precision(target, score), metrics.roc_auc(target, score)
    # A class without positives has no average precision; the reference counts it as 0.
    positives = target.any(axis=0)
    np.testing.assert_allclose(
        precision[positives], data["average_precision"][positives], atol=1e-12
    )
    assert np.isnan(precision[~positives]).all()
    np.testing.assert_allclose(area, data["auc"], atol=1e-12)
    np.testing.assert_allclose(metrics.d_prime(area), data["d_prime"], atol=1e-9)
    summary = metrics.summarise(target, score).as_dict()
    assert summary["mAP"] == pytest.approx(float(data["mean_average_precision"]), abs=1e-12)
    assert summary["mAUC"] == pytest.approx(float(data["mean_auc"]), abs=1e-12)
    assert summary["d_prime"] == pytest.approx(float(data["d_prime_of_mean_auc"]), abs=1e-9)
    assert summary["classes_left_out"] == np.isnan(data["auc"]).sum() > 0


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn_with_ties(levels, seed):
    rng = np.random.default_rng(seed)
    target = rng.random((200, 6)) < 0.2
    score = rng.integers(0, levels, (200, 6)) / levels
    for mine, theirs in (
        (metrics.average_precision, sklearn_metrics.average_precision_score),
        (metrics.roc_auc, sklearn_metrics.roc_auc_score),
    ):
        np.testing.assert_allclose(mine(target, score), theirs(target, score, average=None))
        assert mine(target[:, 0], score[:, 0]) == pytest.approx(theirs(target[:, 0], score[:, 0]))


def test_d_prime():
    assert metrics.d_prime(0.5) == 0
    assert metrics.d_prime(1.0) == np.inf
    assert metrics.d_prime(0.973) == pytest.approx(2.725, abs=2e-3)  # Table IV prints 2.732
    with pytest.raises(ValueError, match=r"areas in \[0, 1\]"):
        metrics.d_prime(1.2)


def test_undefined_classes_are_left_out_and_counted():
    target = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    summary = metrics.summarise(target, np.random.default_rng(0).random((3, 3)))
    assert summary.defined.tolist() == [True, False, False]
    assert summary.as_dict()["classes_left_out"] == 2
    assert summary.as_dict()["chance_mAP"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("target", "score", "message"),
    [
        (np.zeros((3, 2)), np.zeros((2, 3)), "one shape"),
        (np.zeros((3, 2, 1)), np.zeros((3, 2, 1)), "one shape"),
        (np.zeros((3, 2)), np.full((3, 2), np.nan), "NaN"),
        (np.full((3, 2), 0.5), np.zeros((3, 2)), "targets of 0 and 1"),
    ],
)
def test_bad_input_is_refused(target, score, message):
    with pytest.raises(ValueError, match=message):
        metrics.average_precision(target, score)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros((3, 2)), "no class has both positive and negative clips among the 3 evaluated"),
        (np.ones((3, 2)), "no class has both positive and negative clips among the 3 evaluated"),
        ([[0, 1]], "no class has both positive and negative clips among the 1 evaluated"),
        (np.zeros((0, 2)), "no class has both positive and negative clips among the 0 evaluated"),
        (np.zeros((3, 0)), "no class has both"),
        (np.zeros(3), r"expected targets \(clips, classes\); received shape \(3,\)"),
    ],
)
def test_nothing_to_measure_is_an_error(target, message):
    with pytest.raises(ValueError, match=message):
        metrics.summarise(target, np.zeros(np.shape(target)))


def test_lift_is_over_the_share_of_positives():
    rng = np.random.default_rng(0)
    target = rng.random((4000, 4)) < [0.05, 0.1, 0.2, 0]
    random = metrics.summarise(target, rng.random(target.shape))
    np.testing.assert_allclose(random.lift[:3], 1, atol=0.25)
    perfect = metrics.summarise(target, target)
    np.testing.assert_allclose(perfect.lift[:3], 1 / target[:, :3].mean(axis=0))
    np.testing.assert_allclose(perfect.chance, target.mean(axis=0))
    assert np.isnan(perfect.lift[3])
    assert random.mean_lift == pytest.approx(1, abs=0.1)
    assert random.mean_lift == random.as_dict()["mAP"] / random.as_dict()["chance_mAP"]


def test_figures_beside_the_means():
    rng = np.random.default_rng(0)
    target = rng.random((200, 3)) < [0.1, 0.5, 0]
    score = rng.random((200, 3))
    summary = metrics.summarise(target, score)
    weighted = sklearn_metrics.average_precision_score(
        target[:, :2], score[:, :2], average="weighted"
    )
    assert summary.weighted_average_precision == pytest.approx(weighted, abs=1e-12)
    np.testing.assert_array_equal(summary.d_prime[:2], metrics.d_prime(summary.auc[:2]))
    assert np.isnan(summary.d_prime[2])
    # What costs a sort of all scores is not among the figures of every evaluation in training.
    assert list(summary.as_dict()) == [
        *("mAP", "mAUC", "d_prime", "chance_mAP", "num_clips", "num_classes"),
        "classes_left_out",
    ]


def test_remarks_say_what_could_not_be_measured():
    rng = np.random.default_rng(0)
    score = rng.random((40, 6))
    target = rng.random((40, 6)) < 0.5
    assert metrics.remarks(target, score) == []
    target[:, 0] = False
    target[:, 1] = True
    target[3:, 2] = False
    target[0, 2] = True
    score[:, 3] = 0.25
    score[4, 4], score[5, 5] = -3, 1.5
    assert metrics.remarks(target, score) == [
        "1 of 6 classes have no positive clip: left out of all means",
        "1 of 6 classes have no negative clip: left out of all means",
        "1 of 6 classes have fewer than 5 positive clips: their figures are uncertain",
        "1 of 6 classes have one score for all clips: nothing is ranked",
        "2 of 240 scores lie outside [0, 1]: no calibration is given",
    ]
    with pytest.raises(ValueError, match=r"expected targets \(clips, classes\)"):
        metrics.remarks([1, 0], [0.1, 0.2])


def test_scores_of_any_number_type_rank_alike():
    target, score = [1, 0, 0], [0, 1, 2]
    for dtype in ("uint8", "float16", "int64", "float64"):
        assert metrics.average_precision(target, np.array(score, dtype)) == pytest.approx(1 / 3)
    assert metrics.roc_auc([1, 0], np.array([True, False])) == 1
