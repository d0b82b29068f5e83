import dataclasses

import numpy as np
import pytest

from panns_tf.transfer import beside as module
from panns_tf.transfer.beside import beside
from panns_tf.transfer.measured import Measured
from tests.panns_tf.transfer.support import made_results, made_run, multi_label, result

OWN = Measured("esc50", "Cnn6", "finetune", "", "accuracy", 0.8, 0.7, 0.9, 5, 1, "here", "python x")


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    monkeypatch.setattr(module, "measured", lambda task, *_: OWN if task == "esc50" else None)


def test_the_papers_and_this_projects_figure():
    found = beside(made_run(task="esc50", comparable=True), made_results(folds=2))
    assert (found.paper, found.project, found.chance, found.why_not) == (0.947, OWN, 0.1, "")


@pytest.mark.parametrize(
    ("changes", "count", "said"),
    [
        ({"comparable": False, "why_not": "fold 5 was not run"}, None, "fold 5 was not run"),
        ({"comparable": False}, None, "other clips or folds"),
        ({"metric": "mAP"}, None, "the paper gives accuracy"),
        ({"strategy": "linear_probe"}, None, "it has no linear_probe"),
        ({"task": "dcase2019_task1", "strategy": "freeze_l1"}, None, "in doubt"),
        ({}, 5, "with all clips"),
    ],
)
def test_what_is_not_compared_with_the_paper(changes, count, said):
    run = dataclasses.replace(made_run(task="esc50", comparable=True), **changes)
    found = beside(run, made_results(folds=2, counts=(count,)))
    assert found.paper is None
    assert found.why_not.startswith("not compared: ")
    assert said in found.why_not
    if not run.comparable or count:
        assert found.project is None


def test_a_task_of_ones_own_has_nothing_but_chance():
    found = beside(made_run(), made_results(folds=2))
    assert (found.paper, found.project, found.why_not) == (None, None, "")


def test_chance_of_map_is_the_share_of_positives():
    target, score = multi_label(50, 4, seed=0)
    found = beside(made_run(metric="mAP", multi_label=True), [result(target, score)])
    assert found.chance == pytest.approx(target.mean())
    empty = result(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))
    assert np.isnan(beside(made_run(metric="mAP", multi_label=True), [empty]).chance)
