"""Metrics of a new task and their confidence intervals."""

import dataclasses
import warnings
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from panns_tf.metrics import average_precision
from panns_tf.metrics.bootstrap import bootstrap, mean_replicates, share_around
from panns_tf.metrics.ranking import checked
from panns_tf.transfer.splits import group_numbers

LEVEL, REPLICATES = 0.95, 2000


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """The test of one trained network.

    Attributes:
        fold: name of the split.
        seed: of the training.
        clips_per_class: training clips taken of each class, or None for all.
        clip_ids, groups: of the test clips; see `panns_tf.transfer.dataset.LabelledClip`.
        target: (clips, classes) float32 of 0 and 1.
        score: (clips, classes) float32, averaged over the windows of a clip.
        training_clips: how many were trained on.
        steps, seconds: of the training.
        notes: what a user should know of it.
    """

    fold: str
    seed: int
    clips_per_class: int | None
    clip_ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    target: np.ndarray
    score: np.ndarray
    training_clips: int
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()


def ranks(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The place of each clip's true label in the ranking of its scores, from 1: int64 (clips,).

    Of equal scores the class of the lower number comes first.

    Raises:
        ValueError: for a clip with several labels or none, or as `panns_tf.metrics` does.
    """
    target, score = checked(target, score)
    several = int((target.sum(axis=-1) != 1).sum())
    if several:
        raise ValueError(
            f"accuracy and mAP@3 are of clips with one label each; received {several} of "
            f"{len(target)} clips with several or none; the metric of such is mAP"
        )
    order = np.argsort(-score, axis=1, kind="stable")
    return 1 + (order == target.argmax(axis=1)[:, None]).argmax(axis=1)


#: Metrics that are a mean over clips: the value of each clip, float64 (clips,) in [0, 1].
BY_CLIP: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": lambda target, score: (ranks(target, score) == 1).astype(np.float64),
    # 1 / rank of the true label, 0 beyond the third place (DCASE 2018 task 2).
    "mAP@3": lambda target, score: np.where((rank := ranks(target, score)) <= 3, 1 / rank, 0.0),
}


def metric_of(metric: str, target: np.ndarray, score: np.ndarray) -> float:
    """``accuracy``, ``mAP@3`` or ``mAP`` of clips; NaN where it is not defined.

    Args:
        metric: its name.
        target: (clips, classes) of 0 and 1; of mAP classes without a positive or a negative clip
            are left out.
        score: (clips, classes), finite.
    """
    if metric in BY_CLIP:
        return _mean(BY_CLIP[metric](target, score))
    used = defined_classes(target)
    return _mean(average_precision(target[:, used], score[:, used])) if used.any() else np.nan


def defined_classes(target: np.ndarray) -> np.ndarray:
    """Which classes have positive and negative clips, bool (classes,)."""
    positives = np.asarray(target).sum(axis=0)
    return (positives > 0) & (positives < len(target))


def mean_chance(metric: str, results: Sequence[FoldResult]) -> float:
    """What random scores give on average; NaN where the metric is not defined."""
    classes = results[0].target.shape[1]
    if metric == "accuracy":
        return 1 / classes
    if metric == "mAP@3":
        return float((1 / np.arange(1, min(3, classes) + 1)).sum() / classes)
    folds = [_mean(r.target[:, defined_classes(r.target)].mean(axis=0)) for r in results]
    return _mean([value for value in folds if not np.isnan(value)])


def confusion(results: Sequence[FoldResult]) -> np.ndarray:
    """Clips by true class and most probable class, int64 (classes, classes)."""
    pairs = [(r.target.argmax(axis=1), r.score.argmax(axis=1)) for r in results if len(r.score)]
    classes = results[0].target.shape[1]
    if not pairs:
        return np.zeros((classes, classes), np.int64)
    true, predicted = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return sklearn_metrics.confusion_matrix(true, predicted, labels=range(classes))


def class_scores(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """``clips``, ``recall``, ``precision`` and ``f1`` of each class of a confusion matrix.

    Recall and F1 are NaN for classes without clips, precision where none was predicted.
    """
    right, clips, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(clips > 0, 2 * right / (clips + predicted), np.nan)
        return {"clips": clips, "recall": right / clips, "precision": right / predicted, "f1": f1}


def macro_f1(matrix: np.ndarray) -> float:
    """The mean of F1 over the classes that have clips; NaN where none has."""
    return _mean(class_scores(matrix)["f1"][matrix.sum(axis=1) > 0])


def _replicates(result: FoldResult, metric: str) -> np.ndarray:
    """The metric of resampled clips, whole groups at a time: (REPLICATES,).

    The draws depend on the fold's name and its number of groups alone, so that they are the same
    for networks tested on the same clips.
    """
    groups = group_numbers(result.groups)
    seed = (0, zlib.crc32(result.fold.encode()))
    if len(np.unique(groups)) < 2:
        return np.full(REPLICATES, np.nan)
    if metric in BY_CLIP:
        values = BY_CLIP[metric](result.target, result.score)
        return mean_replicates(values, REPLICATES, seed, groups)
    used = defined_classes(result.target)
    if not used.any():
        return np.full(REPLICATES, np.nan)
    target, score = result.target[:, used], result.score[:, used]
    return bootstrap(target, score, REPLICATES, seed, clusters=groups).replicates("mAP")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The metric of a task: the mean over its folds, over all seeds.

    Attributes:
        value: the mean; NaN where no fold has a value.
        low, high: its 95 % interval over the choice of clips, given the networks; NaN for none.
        folds, seeds: how many of each there are.
        fold_spread: standard deviation over folds of their means over seeds; NaN for one fold.
        seed_spread: standard deviation over seeds of their means over folds; NaN for one seed.
        notes: what does not exist, a line each.
    """

    value: float
    low: float
    high: float
    folds: int
    seeds: int
    fold_spread: float
    seed_spread: float
    notes: tuple[str, ...] = ()


def estimate(results: Sequence[FoldResult], metric: str) -> Estimate:
    """The mean over folds, with an interval by resampling the clips of every fold.

    Accuracy of one fold's clips without groups has Wilson's interval, which holds with a few dozen
    clips and at 1. All else is resampled, the same draw for all seeds of a fold, and the spread of
    replicates is widened from that of n groups to that of n - 1 (Davison and Hinkley 1997, section
    3.8). Where replicates of a mean over clips do not differ, Wilson's interval with as many
    trials as there are groups stands in.

    Args:
        results: of folds and seeds, with one number of training clips for each class.
        metric: ``accuracy``, ``mAP@3`` or ``mAP``.

    Raises:
        ValueError: if there is no result, or a fold has two results of a seed.
    """
    if not results:
        raise ValueError("no result of a fold; expected at least one")
    values: dict[int, dict[str, float]] = {}
    for result in results:
        of_seed = values.setdefault(result.seed, {})
        if result.fold in of_seed:
            raise ValueError(
                f"fold {result.fold} comes twice with seed {result.seed}; expected results of one "
                "number of clips for each class"
            )
        of_seed[result.fold] = metric_of(metric, result.target, result.score)
    folds = list(dict.fromkeys(result.fold for result in results))
    table = np.array([[row.get(fold, np.nan) for fold in folds] for row in values.values()])
    per_seed = [_mean(row[~np.isnan(row)]) for row in table]
    per_fold = [_mean(row[~np.isnan(row)]) for row in table.T]
    value = _mean([one for one in per_seed if not np.isnan(one)])
    low, high = _interval(results, metric, value)
    notes = [
        f"fold {fold} of seed {seed} has no {metric}: left out"
        for seed, row in zip(values, table, strict=True)
        for fold, one in zip(folds, row, strict=True)
        if np.isnan(one)
    ]
    if np.isnan(low):
        notes.append(f"{metric} has no interval: resampled clips do not differ, or have no value")
    spreads = _spread(per_fold), _spread(per_seed)
    return Estimate(value, low, high, len(folds), len(values), *spreads, tuple(notes))


def _interval(results: Sequence[FoldResult], metric: str, value: float) -> tuple[float, float]:
    if np.isnan(value):
        return np.nan, np.nan
    groups = {r.fold: len(np.unique(group_numbers(r.groups))) for r in results}
    one = results[0] if len(results) == 1 else None
    if metric == "accuracy" and one is not None and groups[one.fold] == len(one.clip_ids):
        return _wilson(value, len(one.clip_ids))
    by_seed: dict[int, list[np.ndarray]] = {}
    for result in results:
        replicates, count = _replicates(result, metric), groups[result.fold]
        if not np.isnan(replicates).all():
            deviations = (replicates - np.nanmean(replicates)) * np.sqrt(count / (count - 1))
            by_seed.setdefault(result.seed, []).append(deviations)
    if not by_seed:
        return np.nan, np.nan
    deviations = np.mean([np.mean(rows, axis=0) for rows in by_seed.values()], axis=0)
    low, high = share_around(value, deviations, LEVEL)
    total = sum(groups.values())
    if np.isnan(low) and metric in BY_CLIP and total > 1:
        return _wilson(value, total)
    return low, high


def _wilson(share: float, trials: int) -> tuple[float, float]:
    found = stats.binomtest(round(share * trials), trials).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of a mean over seeds; None for fewer than two."""
    if len(values) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that are all equal
        found = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    return float(found.low), float(found.high)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")


def _spread(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")
