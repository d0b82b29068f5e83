import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from panns_tf.evaluation.comparing import compare, notes, short_names, side_by_side
from panns_tf.evaluation.evaluating import Wishes
from panns_tf.evaluation.scores import save_scores
from tests.panns_tf.evaluation.support import LABELS, made_scores

WISHES = Wishes(bootstrap=100)


def folders(tmp_path, **scores) -> list[Path]:
    for name, each in scores.items():
        save_scores(tmp_path / name, each)
    return [tmp_path / name for name in scores]


def test_a_better_run_is_seen_and_an_equal_one_is_not(tmp_path, capsys):
    first, better = made_scores(300, noise=0.4), made_scores(300, seed=1, noise=0.1)
    runs = folders(tmp_path, first=first, better=better, same=first)
    compare(runs, None, tmp_path / "out", WISHES)
    printed = capsys.readouterr().out
    assert "classes better 5, worse 0" in printed
    assert "difference +0.0000 (+0.0000 to +0.0000)  classes better 0, worse 0" in printed
    assert "the same model: first and same" in printed
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == set(LABELS)
    gains = [float(row["difference better"]) for row in rows]
    assert gains == sorted(gains, reverse=True)
    for row in rows:
        ap = [float(row[f"average_precision {name}"]) for name in ("first", "better")]
        assert float(row["difference better"]) == pytest.approx(ap[1] - ap[0], abs=2e-6)
        assert 0 < float(row["low better"]) < float(row["high better"])
        assert float(row["difference same"]) == 0


def test_intervals_of_differences_are_paired():
    first, near = made_scores(200), made_scores(200)
    near.score[:, 0] += np.where(np.arange(200) % 50 == 0, 0.01, 0)
    _, other = side_by_side(("a", "b"), (first, near), 100)
    low, high = other.difference_intervals["mAP"]
    alone = other.intervals["mAP"]
    assert high - low < 0.1 * (alone[1] - alone[0])


def test_undefined_classes_stay_empty(tmp_path):
    scores = made_scores()
    scores.target[:, 1] = False
    other = made_scores(seed=1)
    other.target[:, 1] = False
    compare(folders(tmp_path, a=scores, b=other), None, tmp_path / "out", WISHES)
    with (tmp_path / "out" / "comparison.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["label"] == LABELS[1])
    assert [row[name] for name in ("average_precision a", "difference b", "low b")] == [""] * 3


def test_without_a_bootstrap_there_are_differences_alone(tmp_path, capsys):
    runs = folders(tmp_path, a=made_scores(), b=made_scores(seed=1))
    compare(runs, None, tmp_path / "out", Wishes(bootstrap=0, report=False))
    assert "without intervals" in capsys.readouterr().out
    assert not (tmp_path / "out" / "comparison.html").exists()


def test_other_clips_or_classes_are_refused(tmp_path):
    scores = made_scores()
    fewer = dataclasses.replace(
        scores, clip_ids=scores.clip_ids[1:], target=scores.target[1:], score=scores.score[1:]
    )
    others = {
        "fewer": (
            fewer,
            r"fewer and a were evaluated on other clips: 0 only in fewer, 1 only in a",
        ),
        "classes": (made_scores(labels=["x", *LABELS[1:]]), "classes and a have other classes"),
    }
    for name, (each, message) in others.items():
        runs = folders(tmp_path, a=scores, **{name: each})
        with pytest.raises(ValueError, match=message):
            compare(runs, None, tmp_path / "out", WISHES)
    assert not (tmp_path / "out").exists()


def test_what_has_no_scores_says_what_to_do(tmp_path):
    (run,) = folders(tmp_path, a=made_scores())
    with pytest.raises(ValueError, match="nowhere does not exist"):
        compare([run, tmp_path / "nowhere"], None, tmp_path / "out", WISHES)
    model = tmp_path / "run" / "final.keras"
    model.parent.mkdir()
    model.touch()
    with pytest.raises(ValueError, match="are not there; evaluate it with --model"):
        compare([run, tmp_path / "run"], None, tmp_path / "out", WISHES)
    save_scores(tmp_path / "run" / "evaluation" / "made", made_scores())
    with pytest.raises(ValueError, match="were given by another model"):
        compare([run, tmp_path / "run"], None, tmp_path / "out", WISHES)


def test_unfinished_runs_and_other_windows_are_told():
    first = made_scores()
    other = made_scores(seed=1, unfinished="step 1 of 9; best.keras is evaluated", heard="windows")
    said = " / ".join(notes(side_by_side(("a", "b"), (first, other), 0)))
    assert "unfinished: b, step 1 of 9" in said
    assert "heard differently: a whole clips of 0.5 s, b windows" in said


def test_names_are_short_and_differ(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "best.keras").touch()
    assert short_names([Path("runs/a"), Path("runs/b")]) == ["a", "b"]
    assert short_names([Path("one/a"), Path("two/a")]) == ["one/a", "two/a"]
    assert short_names([Path("a"), Path("a")]) == ["a", "a (2)"]
    best = tmp_path / "x" / "best.keras"
    assert short_names([best, Path("runs/b")]) == ["x/best.keras", "b"]
