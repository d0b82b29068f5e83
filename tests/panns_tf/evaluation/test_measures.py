import dataclasses
import json

import numpy as np
import pytest

from panns_tf import metrics
from panns_tf.evaluation.facts import Facts
from panns_tf.evaluation.measures import as_metrics, class_columns, measure
from panns_tf.training.callbacks import finite
from tests.panns_tf.evaluation.support import made_scores, no_facts


def test_figures_are_those_of_the_metrics():
    scores = made_scores()
    found = measure(scores, no_facts(), replicates=50)
    figures = as_metrics(found)
    pairs = (scores.target, scores.score)
    assert figures["mAP_micro"] == pytest.approx(metrics.micro_average_precision(*pairs))
    assert figures["mAP_weighted"] == pytest.approx(metrics.weighted_average_precision(*pairs))
    assert figures["expected_calibration_error"] == metrics.calibration(*pairs).expected_error
    values = metrics.summarise(*pairs).as_dict()
    assert figures["lift"] == pytest.approx(values["mAP"] / values["chance_mAP"])
    assert figures["accuracy"] is None  # some clips have several labels
    for name in ("mAP", "mAUC", "d_prime", "mAP_micro", "mAP_weighted", "lift"):
        low, high = figures["intervals"][name]
        value = {**values, **figures}[name]
        assert low < value < high, name


def test_intervals_shrink_with_clips():
    widths = []
    for clips in (60, 600):
        intervals = measure(made_scores(clips), no_facts(), replicates=200).intervals
        widths.append({name: high - low for name, (low, high) in intervals.items()})
    for name, width in widths[0].items():
        assert widths[1][name] < 0.6 * width, name


def test_without_a_bootstrap_there_are_no_intervals():
    scores = made_scores()
    found = measure(scores, no_facts(), replicates=0)
    assert set(as_metrics(found)["intervals"].values()) == {None}
    assert np.isnan(class_columns(found, no_facts())["ap_low"]).all()


def test_accuracy_where_each_clip_has_one_label():
    scores = made_scores()
    one = dataclasses.replace(scores, target=np.eye(5, dtype=bool)[np.arange(60) % 5])
    one.score[:] = 0.1
    one.score[np.arange(60), np.where(np.arange(60) < 45, np.arange(60) % 5, 0)] = 0.9
    found = measure(one, no_facts(), replicates=100)
    assert found.accuracy == pytest.approx((45 + 3) / 60)  # of the last 15 every fifth is class 0
    low, high = found.intervals["accuracy"]
    assert low < found.accuracy < high


def test_scores_outside_0_to_1_are_ranked_and_no_more():
    scores = made_scores()
    inside = measure(scores, no_facts(), replicates=0)
    logits = dataclasses.replace(scores, score=8 * scores.score - 4)
    found = measure(logits, no_facts(), replicates=0)
    assert found.summary.as_dict() == inside.summary.as_dict()
    figures = as_metrics(found)
    assert figures["expected_calibration_error"] is None
    assert any("outside [0, 1] (from -4 to 4)" in note for note in figures["notes"])
    columns = class_columns(found, no_facts())
    assert np.isnan(columns["best_f1"]).all()
    assert columns["calibration_error"] == [None] * 5
    assert not np.isnan(class_columns(inside, no_facts())["best_f1"]).any()


def test_classes_without_figures_are_named_and_stay_empty():
    scores = made_scores()
    scores.target[:, 1], scores.target[:, 4] = False, True
    facts = Facts(np.array([1, 20, 300, 3, 5]), "x", None, [()] * 5)
    found = measure(scores, facts, replicates=20)
    notes = " / ".join(found.notes)
    assert "1 of 5 classes have no positive clip: they have no AP" in notes
    assert 'A "quoted" one' in notes
    assert "have no negative clip" in notes
    columns = class_columns(found, facts)
    for name in ("ap_low", "ap_high", "auc_low", "lift", "chance", "best_f1"):
        assert np.isnan(columns[name][1]), name
    assert np.isnan(columns["auc_low"][4])
    left_out = {row["name"]: row["classes_left_out"] for row in found.rows}
    assert left_out["10 to 99"] == 1
    assert next(row for row in found.rows if row["name"] == "10 to 99")["mAP"] is None


def test_one_clip_cannot_be_measured():
    with pytest.raises(ValueError, match="no class has both positive and negative clips"):
        measure(made_scores(10).__class__(*_first(made_scores(10))), no_facts())


def _first(scores):
    return scores.clip_ids[:1], scores.target[:1], scores.score[:1], scores.meta


def test_what_json_cannot_say_is_null():
    values = {"a": np.float32(1), "b": (np.nan, np.inf), "c": [{"d": np.int64(3)}], "e": "x"}
    assert finite(values) == {"a": 1.0, "b": [None, None], "c": [{"d": 3}], "e": "x"}
    json.dumps(finite(values), allow_nan=False)
