"""Results on disk: of each training, of all runs of a folder, and the report."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from panns_tf.figures.fewshot import fewshot
from panns_tf.transfer.report import Report, write_report
from panns_tf.transfer.results import ResultStore, check_folder, write_results
from panns_tf.transfer.scores import estimate
from panns_tf.transfer.settings import Options
from tests.panns_tf.transfer.support import experiment, multi_label, result, results, single_label

IDENTITY = {"arch": "Tiny", "epochs": 30, "classes": ["a", "b"], "ema": None}


def records(folder):
    return json.loads((folder / "results.json").read_text())["results"]


def table(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---- of each training


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out" / "parts" / "Tiny-finetune"


def test_results_come_back_equal(folder):
    for make in (single_label, multi_label):
        groups = ("a", None, "b", "c", None, None, "é")
        before = result(*make(7, 4, 0), groups, seed=3, notes=("one; two", "née"))
        ResultStore(folder, IDENTITY).put("all-seed3-fold1", before)
        after = ResultStore(folder, IDENTITY).get("all-seed3-fold1", before.clip_ids)
        for name, value in vars(before).items():
            assert np.array_equal(getattr(after, name), value)
    store = ResultStore(folder, IDENTITY)
    assert store.get("another", before.clip_ids) is None
    assert store.get("all-seed3-fold1", before.clip_ids[::-1]) is None
    path = folder / "all-seed3-fold1.npz"
    whole = path.read_bytes()
    for part in (0.0, 0.3, 0.9, 0.99):
        path.write_bytes(whole[: int(part * len(whole))])
        assert store.get("all-seed3-fold1", before.clip_ids) is None


def test_other_settings_are_refused_and_force_forgets(folder):
    before = result(*single_label(6, 3, 0))
    ResultStore(folder, IDENTITY).put("one", before)
    for changes, message in (
        ({"epochs": 31}, "epochs was 30, now 31"),
        ({"ema": 0.99, "arch": "Cnn6"}, "arch was 'Tiny', now 'Cnn6'; ema was None, now 0.99"),
        ({"fingerprint": "0123456789abcdef"}, "the weights differ"),
        ({"classes": ["line\nbreak"] * 99}, "classes was"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            ResultStore(folder, {**IDENTITY, **changes})
        assert "--force" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    assert ResultStore(folder, IDENTITY).get("one", before.clip_ids) is not None
    (folder / "plan.json").write_bytes(b'{"arch": "Ti')
    with pytest.raises(ValueError, match=r"plan\.json is damaged"):
        ResultStore(folder, IDENTITY)
    assert ResultStore(folder, IDENTITY, force=True).get("one", before.clip_ids) is None


# ---- of all runs of a folder


def test_records_predictions_and_merging(tmp_path):
    run = experiment()
    made = results(folds=2, seeds=(0, 1))
    write_results(tmp_path, run, made)
    (first, second) = records(tmp_path)
    assert [first["seed"], second["seed"]] == [0, 1]
    assert first["value"] == pytest.approx(estimate(made[:2], "accuracy").value)
    assert (first["task"], first["title"], first["arch"]) == ("My <sounds>", "My <sounds>", "Cnn6")
    assert (first["comparable"], first["why_not"]) == (False, "no task of the paper")
    assert first["settings"]["learning_rate"] == 1e-4
    fold = first["folds"][0]
    assert np.sum(fold["confusion"]) == fold["tested_clips"] == 40
    rows = table(tmp_path / "predictions.csv")
    assert len(rows) == 4 * 40
    assert rows[0]["clip_id"] == "audio/1-000.wav"
    assert rows[0]["label"] in run.dataset.classes
    assert float(rows[0]["probability"]) == pytest.approx(made[0].score[0].max(), abs=1e-6)

    probe = experiment(config={"strategy": "linear_probe"})
    again = results(folds=2, counts=(1, None))
    write_results(tmp_path, probe, again)
    content = (tmp_path / "results.json").read_bytes()
    write_results(tmp_path, probe, again)  # replaces what was there
    assert (tmp_path / "results.json").read_bytes() == content
    kinds = [(r["strategy"], r["clips_per_class"], r["seed"]) for r in records(tmp_path)]
    assert kinds == [("finetune", "all", 0), ("finetune", "all", 1), ("linear_probe", 1, 0),
                     ("linear_probe", "all", 0)]  # fmt: skip
    summary = json.loads(content)["summary"][0]
    values = [first["value"], second["value"]]
    assert summary["mean"] == pytest.approx(np.mean(values))
    assert summary["spread"] == pytest.approx(np.std(values, ddof=1))
    (chart,) = fewshot([tmp_path / "fewshot.csv"])
    assert {row["strategy"] for row in chart.rows} == {"finetune", "linear_probe"}


def test_what_has_no_value_is_null(tmp_path):
    target, score = multi_label(30, 4, seed=0)
    target[:, 2] = 0
    (tmp_path / "a").mkdir()
    write_results(tmp_path / "a", experiment(4, several=True), [result(target, score)])
    (fold,) = records(tmp_path / "a")[0]["folds"]
    assert [value is None for value in fold["average_precision"]] == [False, False, True, False]
    assert "confusion" not in fold
    target = np.ones((4, 4), np.float32)
    (tmp_path / "b").mkdir()
    write_results(tmp_path / "b", experiment(4, several=True), [result(target, target)])
    (record,) = records(tmp_path / "b")
    assert record["value"] is record["low"] is record["folds"][0]["value"] is None
    assert table(tmp_path / "b/fewshot.csv")[0]["value"] == ""


def test_results_of_another_kind_are_not_mixed(tmp_path):
    write_results(tmp_path, experiment(), results(folds=1))
    metric = dataclasses.replace(experiment().options, metric="mAP@3")
    for other, error in (
        (experiment(arch="Cnn14"), "arch was 'Cnn6', now 'Cnn14'"),
        (
            experiment(task="esc50"),
            "holds results of other settings .task was 'My <sounds>', now 'esc50'",
        ),
        (
            experiment(options=metric),
            "metric was 'accuracy', now 'mAP@3'.; choose another --output",
        ),
        (experiment(9), "classes was "),
    ):
        with pytest.raises(ValueError, match=error):
            check_folder(tmp_path, other)
    check_folder(tmp_path, experiment(), force=True)
    assert records(tmp_path)
    check_folder(tmp_path, experiment(9), force=True)
    assert not (tmp_path / "results.json").exists()
    for content in ("{", "[]", '{"results": [{}]}'):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(ValueError, match=r"results\.json is damaged"):
            check_folder(tmp_path, experiment())


def test_the_papers_results_are_compared_like_with_like():
    assert experiment(task="gtzan").paper(None) == (0.915, "")
    probe = experiment(task="gtzan", config={"strategy": "linear_probe"})
    doubtful = experiment(task="dcase2019_task1", config={"strategy": "freeze_l1"})
    some_folds = Options(data="x", only_folds="1")
    for run, count, why in (
        (experiment(), None, ""),
        (experiment(task="gtzan"), 5, "with all clips"),
        (probe, None, "it has no certain result of linear_probe"),
        (doubtful, None, "no certain result of freeze_l1"),
        (experiment(task="gtzan", options=some_folds), None, "not all folds were run"),
        (experiment(task="gtzan", dataset=experiment().dataset), None, "3 clips, where the paper"),
        (experiment(task="gtzan", options=Options(data="x", metric="mAP")), None, "mAP measured"),
    ):
        assert run.paper(count)[0] is None
        assert why in run.paper(count)[1]


# ---- the report


def test_lines_and_page(tmp_path):
    run = experiment(seconds=75.0)
    lines = write_report(tmp_path, run, results(folds=3, seeds=(0, 1)))
    assert lines[0] == "My <sounds>: Cnn6, fine-tune from Cnn6_mAP=0.343.pth; accuracy"
    assert len(re.findall(r"\n +\d +[01] +0\.\d{3}", lines[1])) == 6
    whole = estimate(results(folds=3, seeds=(0, 1)), "accuracy")
    assert any(
        f"mean of folds (3) and seeds (2), all clips of each class: {whole.value:.3f}" in line
        for line in lines
    )
    assert "  chance: 0.100" in lines
    page = (tmp_path / "report.html").read_text()
    assert "<b>dog" not in page
    assert "My &lt;sounds&gt;" in page
    for title in ("Summary", "Folds", "Confusion", "Classes", "Mistakes", "Settings"):
        assert f">{title}<" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert not (tmp_path / "curves.svg").exists()


def test_few_clips_are_drawn_and_tabled(tmp_path):
    run = experiment(task="gtzan")
    made = results(folds=2, seeds=(0, 1), counts=(1, 5, None))
    lines = write_report(tmp_path, run, made)
    assert (tmp_path / "curves.svg").is_file()
    (row,) = re.findall("    fine-tune .*", "\n".join(lines))
    assert len(re.findall(r"0\.\d{3} ± 0\.\d{3}", row)) == 3
    assert "  paper (Cnn14): 0.915" in lines
    assert "Strategies and clips" in (tmp_path / "report.html").read_text()


def test_several_labels_and_notes(tmp_path):
    run = experiment(4, several=True)
    made = results(folds=1, classes=4, make=multi_label)
    made[0] = dataclasses.replace(made[0], notes=("stopped early",))
    summary, predictions = write_results(tmp_path, run, made)
    report = Report(run, made, summary)
    assert "note: fold 1: stopped early" in list(report.lines())
    report.write_page(tmp_path / "report.html", predictions)
    page = (tmp_path / "report.html").read_text()
    assert "Fold 1: stopped early." in page
    assert ">Confusion<" not in page
    assert ">Mistakes<" in page
