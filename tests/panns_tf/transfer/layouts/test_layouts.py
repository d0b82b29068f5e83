"""What holds of every published data set."""

import subprocess
import sys

import numpy as np
import pytest

from panns_tf.transfer.layouts import read_task
from panns_tf.transfer.splits import check_splits, make_splits
from panns_tf.transfer.tasks import TASKS, find_task
from tests.panns_tf.transfer import trees


def tree_of(task):
    return "esc50" if task.name == "esc10" else task.name


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_counts_folds_and_classes(published, task):
    read = read_task(published[tree_of(task)], task)
    assert read.name == task.name
    assert read.classes == task.classes
    assert len(read.clips) == sum(task.published.values())
    folds = np.array([clip.fold for clip in read.clips])
    assert {part: int((folds == part).sum()) for part in task.published} == task.published
    assert len(read.splits) == (len(task.folds) or 1)
    assert [split.name for split in read.splits] == list(task.folds or ["test"])
    # every clip is tested once, or in one of the two sets
    tested = np.concatenate([split.test for split in read.splits])
    others = [] if task.folds else read.splits[0].train
    assert sorted([*tested, *others]) == list(range(len(read.clips)))
    assert (read.target().sum(1) == 1).all()
    assert (read.target().sum(0) > 0).all()
    assert all(clip.path.is_file() for clip in read.clips)
    ids = [clip.clip_id for clip in read.clips]
    assert ids == sorted(set(ids))
    assert not any(clip_id.startswith(("/", "..")) for clip_id in ids)
    assert [note for note in read.notes if "known to be corrupt" not in note] == []


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_source_speaker_or_place_crosses(published, task):
    read = make_splits(read_task(published[tree_of(task)], task), validation=0.15, seed=3)
    check_splits(read)
    for split in read.splits:
        parts = [split.train, split.validation, split.test]
        groups = [{read.clips[n].group for n in part} - {None} for part in parts]
        assert not groups[0] & groups[1]
        assert not groups[2] & (groups[0] | groups[1])
        assert bool(groups[0]) == (task.layout in ("esc", "ravdess", "dcase2019"))
        share = len(split.validation) / (len(split.validation) + len(split.train))
        # whole groups: of ESC 4 or 6 of a class's 32 clips, of RAVDESS 2 or 3 of 18 actors
        assert 0.11 <= share <= 0.19


@pytest.mark.parametrize("task", trees.TREES)
def test_folder_and_its_parent_are_alike(published, task):
    row = find_task(task)
    around = read_task(published[task], row)
    further = read_task(published[task].parent / task, row)
    roots = [path for path in published[task].iterdir() if path.is_dir()]
    if task in ("esc50", "gtzan", "dcase2019_task1"):
        further = read_task(roots[0], row)
    assert [clip.clip_id for clip in further.clips] == [clip.clip_id for clip in around.clips]
    assert further.splits == around.splits


def test_tensorflow_is_not_needed():
    code = "import sys, panns_tf.transfer.layouts, panns_tf.transfer.own, panns_tf.transfer.splits"
    code += "; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
