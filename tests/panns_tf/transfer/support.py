"""Results of trainings that never were, and small data sets."""

import dataclasses
from pathlib import Path

import numpy as np

from panns_tf.transfer.dataset import Dataset, LabelledClip
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.scores import FoldResult
from panns_tf.transfer.settings import FinetuneConfig, Options
from panns_tf.transfer.tasks import find_task


def dataset(labels, groups=None, splits=(), classes=None) -> Dataset:
    """A data set of clips with these labels."""
    labels = [row if isinstance(row, tuple) else (row,) for row in labels]
    groups = groups or [None] * len(labels)
    count = classes or max(max(row, default=0) for row in labels) + 1
    names = tuple(f"class{number}" for number in range(count))
    clips = tuple(
        LabelledClip(f"{n}.wav", Path(f"{n}.wav"), tuple(names[i] for i in row), group=group)
        for n, (row, group) in enumerate(zip(labels, groups, strict=True))
    )
    return Dataset("own", names, clips, tuple(splits), any(len(row) != 1 for row in labels))


def single_label(clips: int, classes: int, seed: int, strength: float = 1.0):
    """Targets with one label a clip and probabilities that are right more often than not."""
    target = np.eye(classes, dtype=np.float32)[
        np.random.default_rng(seed % 1000).integers(classes, size=clips)
    ]
    logits = 2 * strength * target + np.random.default_rng(seed).standard_normal(target.shape)
    score = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return target, score.astype(np.float32)


def multi_label(clips: int, classes: int, seed: int):
    """Targets with several labels or none, and scores in [0, 1]."""
    rng = np.random.default_rng(seed)
    target = (rng.random((clips, classes)) < 0.3).astype(np.float32)
    score = np.clip(0.3 + 0.3 * target + 0.25 * rng.standard_normal(target.shape), 0, 1)
    return target, score.astype(np.float32)


def result(target, score, groups=None, fold="1", seed=0, clips_per_class=None, **more):
    """A result of clips named by their fold."""
    ids = tuple(f"audio/{fold}-{number:03d}.wav" for number in range(len(target)))
    more = {"training_clips": 4 * len(target), "steps": 120, "seconds": 12.4, **more}
    groups = tuple(groups or (None,) * len(ids))
    return FoldResult(fold, seed, clips_per_class, ids, groups, target, score, **more)


def results(folds=5, seeds=(0,), counts=(None,), clips=40, classes=10, make=single_label):
    """Results of all folds, seeds and numbers of clips."""
    return [
        result(*make(clips, classes, fold + 1000 * seed), fold=str(fold), seed=seed,
               clips_per_class=count)
        for count in counts for seed in seeds for fold in range(1, folds + 1)
    ]  # fmt: skip


def experiment(classes=10, *, task=None, several=False, config=None, **changes) -> Experiment:
    """A run on user data, or on a task with all its clips."""
    names = ("<b>dog", "rain; hail", *(f"class {n}" for n in range(2, classes)))
    clips = tuple(LabelledClip(f"{n}.wav", Path(f"{n}.wav"), names[:1]) for n in range(3))
    data = Dataset("My <sounds>", names, clips, multi_label=several)
    if task is not None:
        task = find_task(task)
        data = Dataset(task.name, task.classes, clips[:1] * sum(task.published.values()))
    options = Options(data=Path("x"), weights="Cnn6_mAP=0.343.pth")
    base = Experiment(data, task, "Cnn6", {}, FinetuneConfig(**(config or {})), options, 5.0)
    return dataclasses.replace(base, **changes)
