import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from panns_tf.evaluation.compare import compare, compare_scores, notes
from panns_tf.evaluation.scores import EvaluateSettings, save_scores
from tests.panns_tf.evaluation.support import LABELS, synthetic_scores

OPTIONS = EvaluateSettings(bootstrap=100, report=False)


def folders(tmp_path, **scores) -> list[Path]:
    for name, each in scores.items():
        save_scores(tmp_path / name, each)
    return [tmp_path / name for name in scores]


def table(tmp_path) -> list[dict]:
    with (tmp_path / "out" / "comparison.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_better_run_is_seen_and_an_equal_one_is_not(tmp_path, capsys):
    first, better = synthetic_scores(300, noise=0.4), synthetic_scores(300, seed=1, noise=0.1)
    runs = folders(tmp_path, first=first, better=better, same=first)
    compare(runs, OPTIONS, tmp_path / "out")
    printed = capsys.readouterr().out
    counts = {line.split()[0]: line.split()[-2:] for line in printed.splitlines() if "(" in line}
    assert counts["better"] == ["5", "0"]
    assert counts["same"] == ["0", "0"]
    assert counts["first"] == ["–", "–"]
    assert "0.0000 (0.0000 to 0.0000)" in printed
    rows = table(tmp_path)
    assert {row["label"] for row in rows} == set(LABELS)
    gains = [float(row["difference better"]) for row in rows]
    assert gains == sorted(gains, reverse=True)
    for row in rows:
        ap = [float(row[f"average_precision {name}"]) for name in ("first", "better")]
        assert float(row["difference better"]) == pytest.approx(ap[1] - ap[0], abs=2e-6)
        assert 0 < float(row["low better"]) < float(row["high better"])
        assert float(row["difference same"]) == 0


def test_intervals_of_differences_are_paired():
    first, near = synthetic_scores(200), synthetic_scores(200)
    near.score[:, 0] += np.where(np.arange(200) % 50 == 0, 0.01, 0)
    table, classes = compare_scores(("a", "b"), (first, near), 100)
    (base, none), (mean, found) = ((row[1], row[4]) for row in table.rows)
    assert none is None
    assert found.value == pytest.approx(mean.value - base.value)
    assert found.value == pytest.approx(classes["difference b"].mean())
    assert found.value != 0
    assert found.high - found.low < 0.1 * (mean.high - mean.low)


def test_undefined_classes_stay_empty(tmp_path):
    both = synthetic_scores(), synthetic_scores(seed=1)
    for scores in both:
        scores.target[:, 1] = False
    compare(folders(tmp_path, a=both[0], b=both[1]), OPTIONS, tmp_path / "out")
    row = next(row for row in table(tmp_path) if row["label"] == LABELS[1])
    assert [row[name] for name in ("average_precision a", "difference b", "low b")] == [""] * 3


def test_without_a_bootstrap_there_are_differences_alone(tmp_path, capsys):
    runs = folders(tmp_path, a=synthetic_scores(), b=synthetic_scores(seed=1))
    compare(runs, EvaluateSettings(bootstrap=0, report=False), tmp_path / "out")
    assert "without intervals" in capsys.readouterr().out
    assert not (tmp_path / "out" / "comparison.html").exists()


def test_what_cannot_be_compared_is_named(tmp_path):
    scores = synthetic_scores()
    fewer = dataclasses.replace(
        scores, clip_ids=scores.clip_ids[1:], target=scores.target[1:], score=scores.score[1:]
    )
    model = tmp_path / "run" / "final.keras"
    model.parent.mkdir()
    model.touch()
    folders(tmp_path, a=scores, fewer=fewer, classes=synthetic_scores(labels=["x", *LABELS[1:]]))
    for name, message in (
        ("fewer", "fewer and a were evaluated on other clips: 1 only in one"),
        ("classes", "classes and a have other classes"),
        ("nowhere", "nowhere does not exist"),
        ("run", "holds 0 evaluations of the present model of .*/run, not one"),
    ):
        with pytest.raises(ValueError, match=message):
            compare([tmp_path / "a", tmp_path / name], OPTIONS, tmp_path / "out")
    save_scores(tmp_path / "run" / "evaluation" / "made", scores)
    with pytest.raises(ValueError, match="holds 0 evaluations of the present model"):
        compare([tmp_path / "a", tmp_path / "run"], OPTIONS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unfinished_runs_and_other_windows_are_reported():
    first = synthetic_scores()
    unfinished = "step 1 of 9; best.keras is evaluated"
    other = synthetic_scores(seed=1, unfinished=unfinished, heard="windows")
    names, both = ("a", "b"), (first, other)
    found = " / ".join(notes(names, both, compare_scores(names, both, 0)[1]))
    assert f"unfinished: b, {unfinished}" in found
    assert "given the clips differently: a whole clips of 0.5 s, b windows" in found
