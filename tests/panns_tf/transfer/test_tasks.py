"""The table of tasks."""

import pytest

from panns_tf.plots import published as paper
from panns_tf.transfer.tasks import TASKS, find_task


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_row(task):
    assert len(set(task.classes)) == len(task.classes)
    assert task.source
    assert task.shape
    assert set(task.published) == set(task.folds or ("train", "test"))
    of_paper = paper.published(task.name)
    assert (of_paper is None) == (task.name == "esc10")
    if of_paper is not None:
        assert (of_paper.title, of_paper.metric) == (task.title, task.metric)


@pytest.mark.parametrize(
    ("task", "classes", "clips", "seconds"),
    [
        ("esc50", 50, 2000, 5),
        ("esc10", 10, 400, 5),
        ("dcase2019_task1", 10, 13370, 10),
        ("dcase2018_task2", 41, 11073, 4),
        ("msos", 5, 2000, 5),
        ("gtzan", 10, 1000, 30),
        ("ravdess", 8, 1440, 4),
    ],
)
def test_published_numbers(task, classes, clips, seconds):
    row = find_task(task)
    assert len(row.classes) == classes
    assert sum(row.published.values()) == clips
    assert row.clip_seconds == seconds


@pytest.mark.parametrize("text", ["DCASE2019-Task1", "dcase2019_task1", "Dcase2019Task1"])
def test_any_spelling(text):
    assert find_task(text).name == "dcase2019_task1"


def test_unknown():
    with pytest.raises(ValueError, match=r"'gtzn'.*did you mean gtzan.*esc50, esc10, .*ravdess"):
        find_task("gtzn")
    with pytest.raises(ValueError, match=r"no task ''; expected"):
        find_task("")
