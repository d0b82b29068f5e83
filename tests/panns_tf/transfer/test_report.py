import csv
import dataclasses
import json

import numpy as np
import pytest

from panns_tf.plots.fewshot import COLUMNS, fewshot
from panns_tf.transfer.certainty import figure, interval, overall
from panns_tf.transfer.report import check_folder, write
from tests.panns_tf.transfer.support import made_results, made_run, multi_label, result


def table(path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def records(folder) -> list[dict]:
    return json.loads((folder / "results.json").read_text())["results"]


def test_everything_is_in_the_files(tmp_path):
    run, results = made_run(settings={"epochs": 3, "path": tmp_path}), made_results(folds=3)
    paths = write(tmp_path / "new" / "run", run, results)
    names = ["results.json", "fewshot.csv", "predictions.csv", "report.html"]
    assert [path.name for path in paths] == names
    assert all(path.is_file() for path in paths)
    (record,) = records(paths[0].parent)
    whole = overall(results, "accuracy")
    assert (record["value"], record["low"], record["high"]) == (whole.value, whole.low, whole.high)
    assert (record["task"], record["clips_per_class"], record["seed"]) == ("My <sounds>", "all", 0)
    assert record["settings"] == {"epochs": 3, "path": str(tmp_path)}
    assert record["paper"] is None
    for fold, one in zip(record["folds"], results, strict=True):
        assert fold["fold"] == one.fold
        assert fold["value"] == figure(one, "accuracy")
        assert [fold["low"], fold["high"]] == list(interval(one, "accuracy"))
        assert np.trace(fold["confusion"]) == round(fold["value"] * 40)
        assert (fold["training_clips"], fold["steps"], fold["seconds"]) == (160, 120, 12.4)
    rows = table(paths[1])
    assert tuple(rows[0]) == COLUMNS
    assert rows == [
        {
            "task": "My <sounds>",
            "strategy": "finetune",
            "clips_per_class": "all",
            "seed": "0",
            "metric": "accuracy",
            "value": f"{whole.value:.7g}",
        }
    ]


def test_predictions(tmp_path):
    run, results = made_run(), made_results(folds=2)
    write(tmp_path, run, results)
    rows = table(tmp_path / "predictions.csv")
    assert len(rows) == 80
    for row, (one, n) in zip(rows, ((r, n) for r in results for n in range(40)), strict=True):
        true, best = one.target[n].argmax(), one.score[n].argmax()
        assert (row["fold"], row["clip_id"]) == (one.fold, one.clip_ids[n])
        assert (row["label"], row["predicted"]) == (run.classes[true], run.classes[best])
        assert float(row["probability"]) == pytest.approx(one.score[n, best], abs=1e-6)
        assert float(row["probability_of_label"]) == pytest.approx(one.score[n, true], abs=1e-6)


def test_predictions_of_several_labels(tmp_path):
    target = np.array([[1, 1, 0], [0, 0, 0]], np.float32)
    score = np.array([[0.6, 0.2, 0.5], [0.1, 0.2, 0.3]], np.float32)
    run = made_run(metric="mAP", multi_label=True, classes=("a", "b", "c"))
    write(tmp_path, run, [result(target, score)])
    first, second = table(tmp_path / "predictions.csv")
    kept = ("label", "predicted", "probability", "probability_of_label")
    assert [first[name] for name in kept] == ["a;b", "a;c", "0.6", "0.2"]
    assert [second[name] for name in kept] == ["", "", "0.3", ""]


def test_results_of_other_strategies_stay_and_the_same_are_replaced(tmp_path):
    counts = (1, 5, None)
    probe = made_run(strategy="linear_probe")
    write(tmp_path, probe, made_results(folds=2, counts=counts, seeds=(0, 1)))
    before = table(tmp_path / "fewshot.csv")
    write(tmp_path, made_run(strategy="scratch"), made_results(folds=2, counts=counts))
    rows = table(tmp_path / "fewshot.csv")
    assert [(r["strategy"], r["clips_per_class"], r["seed"]) for r in rows] == [
        *(("scratch", count, "0") for count in ("1", "5", "all")),
        *(("linear_probe", count, s) for count in ("1", "5", "all") for s in "01"),
    ]
    assert rows[3:] == before
    predictions = table(tmp_path / "predictions.csv")
    assert len(predictions) == 9 * 80

    again = made_results(folds=2, counts=(5,), seeds=(1,))
    again = [dataclasses.replace(one, score=one.target) for one in again]
    write(tmp_path, probe, again)
    after = table(tmp_path / "fewshot.csv")
    changed = [new for old, new in zip(rows, after, strict=True) if old != new]
    assert changed == [{**rows[6], "value": "1"}]
    assert (changed[0]["clips_per_class"], changed[0]["seed"]) == ("5", "1")
    assert len(table(tmp_path / "predictions.csv")) == 9 * 80
    # The same once more changes nothing at all.
    content = (tmp_path / "results.json").read_bytes()
    write(tmp_path, probe, again)
    assert (tmp_path / "results.json").read_bytes() == content

    chart = fewshot([tmp_path / "fewshot.csv"])
    assert {row["strategy"] for row in chart.rows} == {"scratch", "linear_probe"}
    assert (tmp_path / "curves.svg").is_file()


def test_the_summary_is_over_seeds(tmp_path):
    write(tmp_path, made_run(), made_results(folds=2, seeds=(0, 1, 2)))
    (row,) = json.loads((tmp_path / "results.json").read_text())["summary"]
    values = [record["value"] for record in records(tmp_path)]
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["spread"] == pytest.approx(np.std(values, ddof=1))
    assert row["low"] < row["mean"] < row["high"]


def test_what_has_no_figure_is_null_and_named(tmp_path):
    nothing = np.zeros((0, 10), np.float32)
    write(tmp_path, made_run(), [result(nothing, nothing)])
    (record,) = records(tmp_path)
    assert record["value"] is record["low"] is record["folds"][0]["value"] is None
    assert "fold 1 of seed 0 has no accuracy: left out" in record["notes"]
    assert table(tmp_path / "fewshot.csv")[0]["value"] == ""


def test_average_precision_of_each_class(tmp_path):
    target, score = multi_label(30, 4, seed=0)
    target[:, 2] = 0
    write(tmp_path, made_run(4, metric="mAP", multi_label=True), [result(target, score)])
    (fold,) = records(tmp_path)[0]["folds"]
    assert [value is None for value in fold["average_precision"]] == [False, False, True, False]
    assert "confusion" not in fold


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arch": "Cnn14"}, "received those of My <sounds>, Cnn14, accuracy"),
        ({"task": "esc50"}, "holds results of My <sounds>"),
        ({"metric": "mAP@3"}, "Cnn6, mAP@3: choose another --output"),
        ({"classes": tuple("abcdefghij")}, "with other classes"),
    ],
)
def test_results_of_another_kind_are_not_mixed(changes, said, tmp_path):
    write(tmp_path, made_run(), made_results(folds=1))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = made_run(**changes)
    for call in (
        lambda: check_folder(tmp_path, other),
        lambda: write(tmp_path, other, made_results(folds=1)),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="no result of a fold"):
        write(tmp_path, made_run(), [])
    for content in ("{", "[]", '{"results": [{}]}'):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(ValueError, match=r"results\.json is damaged"):
            check_folder(tmp_path, made_run())
