import dataclasses

import numpy as np
import pytest

from panns_tf.transfer.certainty import figure, interval, overall
from panns_tf.transfer.report import printed, write
from panns_tf.transfer.report_text import between, duration, value
from tests.panns_tf.transfer.support import made_results, made_run, result


def test_folds_mean_spread_and_chance():
    results = made_results(folds=3)
    lines = printed(made_run(), results)
    assert lines[0] == "My <sounds>: Cnn6, fine-tune from Cnn6_mAP=0.343.pth; accuracy"
    assert lines[1].split("  ")[1] == "fold"
    for line, one in zip(lines[2:5], results, strict=True):
        low, high = interval(one, "accuracy")
        own = [one.fold, f"{figure(one, 'accuracy'):.3f}", f"{low:.3f}", "to", f"{high:.3f}"]
        assert line.split() == [*own, "160", "12", "s"]
    whole = overall(results, "accuracy")
    assert lines[5:] == [
        f"  mean of 3 folds: {whole.value:.3f} ({whole.low:.3f} to {whole.high:.3f})",
        f"  spread (standard deviation) over folds: {whole.fold_spread:.3f}",
        "  chance: 0.100",
    ]


def test_one_fold_is_a_few_lines():
    lines = printed(made_run(weights=None), made_results(folds=1))
    assert lines[0] == "My <sounds>: Cnn6, fine-tune; accuracy"
    assert len(lines) == 4
    assert lines[1].startswith("  accuracy: 0.")
    assert "clips learnt from" in lines[2]


def test_the_paper_only_where_like_is_like():
    run, results = made_run(task="esc50", comparable=True), made_results(folds=2)
    assert "  paper (Cnn14): 0.947" in printed(run, results)
    other = dataclasses.replace(run, comparable=False, why_not="fold 5 was not run")
    lines = printed(other, results)
    assert "  paper: not compared: fold 5 was not run" in lines
    assert not any("0.947" in line for line in lines)


def test_strategies_by_number_of_clips(tmp_path):
    counts = (1, 20, None)
    write(tmp_path, made_run(strategy="scratch"), made_results(folds=2, counts=(1,)))
    results = made_results(folds=2, counts=counts, seeds=(0, 1, 2))
    run = made_run(strategy="linear_probe")
    write(tmp_path, run, results)
    lines = printed(run, results, tmp_path)
    assert lines[1] == "  accuracy, mean and standard deviation over 1 to 3 seeds:"
    assert lines[2].split() == ["of", "each", "class", "1", "clip", "20", "clips", "all", "clips"]
    assert lines[3].split()[0] == "scratch"
    cells = lines[4].split("  ")
    assert cells[1] == "linear probe"
    for cell, count in zip(filter(None, cells[2:]), counts, strict=True):
        whole = overall([r for r in results if r.clips_per_class == count], "accuracy")
        assert cell.strip() == f"{whole.value:.3f} ± {whole.seed_spread:.3f}"
    assert lines[5].startswith("  mean of 2 folds and 3 seeds: ")
    without = printed(run, results)
    assert not any(line.split()[0] == "scratch" for line in without)


def test_few_clips_are_said_where_there_is_no_all():
    lines = printed(made_run(), made_results(folds=1, counts=(5,)))
    assert any(line.startswith("  accuracy, 5 clips of a class: 0.") for line in lines)
    assert lines[1] == "  accuracy, mean over folds:"


def test_notes_come_once_and_say_their_fold():
    results = [
        dataclasses.replace(one, notes=("stopped early", f"note of {one.fold}"))
        for one in made_results(folds=2)
    ]
    nothing = np.zeros((0, 10), np.float32)
    lines = printed(
        made_run(notes=("2 files are missing",)), [*results, result(nothing, nothing, fold="3")]
    )
    assert lines[-6:] == [
        "note: 2 files are missing",
        "note: fold 1: stopped early",
        "note: fold 1: note of 1",
        "note: fold 2: stopped early",
        "note: fold 2: note of 2",
        "note: fold 3 of seed 0 has no accuracy: left out",
    ]
    assert any(line.split()[:2] == ["3", "–"] for line in lines)
    assert printed(made_run(notes=("a",)), [])[1:] == ["no result", "note: a"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0.04, "0.0 s"), (42.4, "42 s"), (150, "2.5 min"), (9000, "2.5 h")],
)
def test_times(seconds, said):
    assert duration(seconds) == said


def test_what_is_undefined_is_a_dash_never_0():
    assert (value(None), value(float("nan")), value(0.0)) == ("–", "–", "0.000")
    assert between((float("nan"), 1.0)) == between((None, None)) == ""
