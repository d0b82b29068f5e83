import csv
import json

import numpy as np
import pytest

from panns_tf import metrics
from panns_tf.training.evaluation import check_records, compiled_predictor, predict, write_report
from panns_tf.weights.loading import create_model
from tfrecords import load_index, synthesize_clips


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "eval"
    synthesize_clips(folder, clips=25, clip_seconds=0.5, sample_rate=8000, progress=False)
    return folder


def test_scores_do_not_depend_on_the_batch_size(data):
    predictor = compiled_predictor(create_model("Tiny", num_classes=12))
    found = predict(predictor, data, 25, quiet=True)
    np.testing.assert_array_equal(found.target, load_index(data).targets())
    np.testing.assert_array_equal(found.clip_ids, load_index(data).clip_ids)
    for batch_size in (1, 7, 100):
        again = predict(predictor, data, batch_size, quiet=True)
        np.testing.assert_array_equal(again.target, found.target)
        np.testing.assert_array_equal(again.clip_ids, found.clip_ids)
        np.testing.assert_allclose(again.score, found.score, atol=1e-5)


def test_report_holds_the_figures(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.random((50, 3)) < 0.4
    target[:, 2] = False
    summary = metrics.summarise(target, rng.random((50, 3)))
    write_report(tmp_path, summary, ["dog, barking", "b", "never"], {"model": "x"})
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["mAP"] == summary.as_dict()["mAP"]
    assert figures["model"] == "x"
    assert {"mAP", "mAUC", "d_prime", "num_clips"} <= set(figures)
    with (tmp_path / "per_class.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert float(rows["dog, barking"]["average_precision"]) == pytest.approx(
        summary.average_precision[0], abs=1e-6
    )
    assert rows["never"]["average_precision"] == rows["never"]["auc"] == ""
    assert rows["never"]["positives"] == "0"


def test_more_columns_keep_unknown_figures_empty(tmp_path):
    target = np.eye(4)[:, :3]
    columns = {"training_clips": [None, 0, 3], "lift": np.array([np.nan, 2.0, np.inf])}
    summary = metrics.summarise(target, target)
    write_report(tmp_path, summary, ["a", "b", 'c "x", y'], {}, columns)
    with (tmp_path / "per_class.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert [rows["a"][name] for name in columns] == ["", ""]
    assert [rows["b"][name] for name in columns] == ["0", "2.000000"]
    assert [rows['c "x", y'][name] for name in columns] == ["3", "inf"]


def test_a_perfect_score_is_still_json(tmp_path):
    target = np.eye(4)
    write_report(tmp_path, metrics.summarise(target, target), list("abcd"), {})
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word))["d_prime"] is None


@pytest.mark.parametrize(
    ("rate", "labels", "classes", "message"),
    [
        (32000, None, 12, "is sampled at 8000 Hz but the model expects 32000 Hz"),
        (
            8000,
            ["x"] * 12,
            12,
            "not the model's 12; number 0 is '.*', the model's",
        ),
        (8000, "reversed", 12, "has the model's classes in another order; number 0 is"),
        (8000, None, 11, "has 12 classes but the model has 11 outputs"),
    ],
)
def test_records_of_another_kind_are_refused(data, rate, labels, classes, message):
    info = load_index(data).info
    if labels == "reversed":
        labels = info.classes[::-1]
    with pytest.raises(ValueError, match=message):
        check_records(info, rate, labels, classes, "the data")
