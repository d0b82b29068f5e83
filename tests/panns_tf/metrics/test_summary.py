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


def test_undefined_classes_are_left_out_and_counted():
    target = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    summary = metrics.summarise(target, np.random.default_rng(0).random((3, 3)))
    assert summary.defined.tolist() == [True, False, False]
    assert summary.as_dict()["classes_left_out"] == 2
    assert summary.as_dict()["chance_mAP"] == pytest.approx(2 / 3)


def test_lift_is_over_the_share_of_positives():
    rng = np.random.default_rng(0)
    target = rng.random((4000, 4)) < [0.05, 0.1, 0.2, 0]
    random = metrics.summarise(target, rng.random(target.shape))
    np.testing.assert_allclose(random.lift[:3], 1, atol=0.25)
    perfect = metrics.summarise(target, target)
    np.testing.assert_allclose(perfect.lift[:3], 1 / target[:, :3].mean(axis=0))
    np.testing.assert_allclose(perfect.chance, target.mean(axis=0))
    assert np.isnan(perfect.lift[3])
    assert random.mean("lift") == pytest.approx(1, abs=0.1)
    assert random.mean("lift") == random.as_dict()["mAP"] / random.as_dict()["chance_mAP"]


def test_metrics_beside_the_means():
    rng = np.random.default_rng(0)
    target = rng.random((200, 3)) < [0.1, 0.5, 0]
    score = rng.random((200, 3))
    summary = metrics.summarise(target, score)
    weighted = sklearn_metrics.average_precision_score(
        target[:, :2], score[:, :2], average="weighted"
    )
    assert summary.mean("mAP_weighted") == pytest.approx(weighted, abs=1e-12)
    np.testing.assert_array_equal(summary.d_prime[:2], metrics.d_prime(summary.auc[:2]))
    assert np.isnan(summary.d_prime[2])
    # What costs a sort of all scores is not part of every evaluation in training.
    assert list(summary.as_dict()) == [
        *("mAP", "mAUC", "d_prime", "chance_mAP", "num_clips", "num_classes"),
        "classes_left_out",
    ]


def test_nothing_to_measure_is_an_error():
    for target, clips in (
        (np.zeros((3, 2)), 3),
        (np.ones((3, 2)), 3),
        ([[0, 1]], 1),
        (np.zeros((0, 2)), 0),
        (np.zeros((3, 0)), 3),
    ):
        message = f"no class has both positive and negative clips among the {clips} evaluated"
        with pytest.raises(ValueError, match=message):
            metrics.summarise(target, np.zeros(np.shape(target)))
    with pytest.raises(ValueError, match=r"one shape, \(clips, classes\); received \(3,\)"):
        metrics.summarise(np.zeros(3), np.zeros(3))


def test_remarks_name_what_could_not_be_measured():
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
    without = "they have no AP and no AUC and are left out of the means over classes"
    expected = [
        f"1 of 6 classes have no positive clip: {without}",
        f"1 of 6 classes have no negative clip: {without}",
        "1 of 6 classes have fewer than 5 positive clips",
        "1 of 6 classes have one score for all clips",
        "scores lie outside [0, 1] (from -3 to 1.5)",
    ]
    for labels, names in ((None, [""] * 4), (list("abcdef"), [f" ({x})" for x in "abcd"])):
        remarks = metrics.remarks(target, score, labels)
        for remark, begin, end in zip(remarks, expected, [*names, ""], strict=True):
            assert remark.startswith(begin)
            assert remark.endswith(end)
    with pytest.raises(ValueError, match="one shape"):
        metrics.remarks([1, 0], [0.1, 0.2])
