import csv
import json

import numpy as np
import pytest
import tensorflow as tf

from panns_tf import metrics
from panns_tf.config import TrainConfig
from panns_tf.training import evaluator as evaluator_module
from panns_tf.training.distribution import Distribution
from panns_tf.training.evaluator import (
    RecordEvaluator,
    check_records,
    compiled_predictor,
    default_eval_steps,
    predict,
    write_report,
)
from panns_tf.weights.loading import create_model
from tfrecords import load_index


@pytest.fixture(scope="module")
def network():
    return create_model("Tiny", num_classes=12)


def test_scores_do_not_depend_on_the_batch_size(data, network):
    predictor, index = compiled_predictor(network), load_index(data / "eval")
    found = predict(predictor, data / "eval", 40)
    np.testing.assert_array_equal(found.target, index.targets())
    np.testing.assert_array_equal(found.clip_ids, index.clip_ids)
    again = predict(predictor, data / "eval", 7)
    np.testing.assert_array_equal(again.clip_ids, found.clip_ids)
    np.testing.assert_allclose(again.score, found.score, atol=1e-5)


def evaluator(data, network, **settings) -> RecordEvaluator:
    paths = {"data": str(data / "train"), "eval_data": str(data / "eval")}
    config = TrainConfig(arch="Tiny", **paths, **settings)
    return RecordEvaluator(config, network, Distribution(tf.distribute.get_strategy()))


def test_evaluates_held_out_clips_and_the_same_training_clips_each_time(data, network, monkeypatch):
    predicted = []

    def noted(*args, **options):
        predicted.append(predict(*args, **options))
        return predicted[-1]

    monkeypatch.setattr(evaluator_module, "predict", noted)
    evaluate = evaluator(data, network, eval_training_clips=25, fraction=0.9)
    values = evaluate()
    assert values == evaluate()
    assert {"mAP", "mAUC", "d_prime", "num_clips", "training_mAP", "training_mAUC"} <= set(values)
    held_out, training, _, again = (found.clip_ids.tolist() for found in predicted)
    assert len(held_out) == values["num_clips"] == 40
    assert training == again
    assert 15 <= len(training) <= 35
    assert evaluate.summary.as_dict()["mAP"] == values["mAP"]
    predicted.clear()
    assert "training_mAP" not in evaluator(data, network, eval_training_clips=0)()
    assert len(predicted) == 1


def test_too_few_training_clips_to_measure_are_reported_once(data, network, monkeypatch):
    messages: list[str] = []
    monkeypatch.setattr(evaluator_module.logger, "info", messages.append)
    evaluate = evaluator(data, network, eval_training_clips=1)
    assert "training_mAP" not in {**evaluate(), **evaluate()}
    (line,) = messages
    assert line.startswith("No metrics on training clips: ")


def test_evaluations_stay_below_three_percent(data, network):
    assert evaluator(data, network).eval_steps == 2000
    assert evaluator(data, network, eval_steps=7).eval_steps == 7
    for clips, batch_size, steps in ((80, 32, 2000), (18887, 32, 11000), (18887, 512, 2000)):
        assert default_eval_steps(clips, batch_size) == steps
        assert clips / (3 * batch_size * steps) <= 0.03


def test_the_report_holds_the_metrics(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.random((50, 3)) < 0.4
    target[:, 2] = False
    summary = metrics.summarise(target, rng.random((50, 3)))
    columns = {"training_clips": [None, 0, 3], "lift": np.array([np.nan, 2.0, np.inf])}
    labels = ["dog, barking", 'b "x"', "never"]
    write_report(tmp_path, summary, labels, {"model": "x"}, columns)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert (written["mAP"], written["model"]) == (summary.as_dict()["mAP"], "x")
    with (tmp_path / "per_class.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert list(rows)[-1] == "never", "best classes first"
    first, second, never = (rows[label] for label in labels)
    precision = float(first["average_precision"])
    assert precision == pytest.approx(summary.average_precision[0], abs=1e-6)
    assert (never["average_precision"], never["auc"], never["positives"]) == ("", "", "0")
    assert [(row["training_clips"], row["lift"]) for row in (first, second, never)] == [
        ("", ""),
        ("0", "2.000000"),
        ("3", "inf"),
    ]
    # A perfect score, whose d-prime is infinite, is still JSON.
    write_report(tmp_path, metrics.summarise(np.eye(4), np.eye(4)), list("abcd"), {})
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word))["d_prime"] is None


def test_records_of_another_kind_are_refused(data):
    info = load_index(data / "eval").info
    for rate, labels, classes, message in (
        (32000, None, 12, "is sampled at 8000 Hz but the model expects 32000 Hz"),
        (8000, ["x"] * 12, 12, "not the model's 12; number 0 is '.*', the model's"),
        (8000, info.classes[::-1], 12, "has the model's classes in another order; number 0 is"),
        (8000, None, 11, "has 12 classes that are not the model's 11"),
    ):
        with pytest.raises(ValueError, match=message):
            check_records(info, rate, labels, classes, "the data")
