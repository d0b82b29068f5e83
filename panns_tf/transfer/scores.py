"""Metrics of a new task and their confidence intervals."""

import dataclasses
import warnings
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from sklearn import metrics as sklearn_metrics

from panns_tf.metrics import average_precision, bootstrap
from panns_tf.metrics.bootstrap import Estimate, mean_replicates, share_around, share_estimate
from panns_tf.transfer.dataset import group_numbers

REPLICATES = 2000


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """The test of one network."""

    fold: str
    seed: int
    clips_per_class: int | None  # those trained on; None for all
    clip_ids: Sequence[str]
    groups: Sequence[str | None]
    target: np.ndarray  # float32 (clips, classes)
    score: np.ndarray  # float32 (clips, classes), the mean over the windows of a clip
    training_clips: int
    steps: int
    seconds: float
    notes: Sequence[str] = ()


def ranks(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The place of each clip's label by its score, from 1, of equal ones the lower number first."""
    order = np.argsort(-score, axis=1, kind="stable")
    return 1 + (order == target.argmax(axis=1)[:, None]).argmax(axis=1)


#: Metrics that are a mean over clips of one label: the value of each clip, float64 in [0, 1].
BY_CLIP: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": lambda target, score: (ranks(target, score) == 1).astype(np.float64),
    # 1 / rank of the true label, 0 beyond the third place (DCASE 2018 task 2).
    "mAP@3": lambda target, score: np.where((rank := ranks(target, score)) <= 3, 1 / rank, 0.0),
}


def metric_of(metric: str, target: np.ndarray, score: np.ndarray) -> float:
    """The metric of clips, (clips, classes), in classes for which it is defined, or NaN."""
    if metric in BY_CLIP:
        return float(BY_CLIP[metric](target, score).mean())
    used = defined_classes(target)
    return float(average_precision(target, score)[used].mean()) if used.any() else np.nan


def defined_classes(target: np.ndarray) -> np.ndarray:
    """Which classes have positive and negative clips, bool (classes,)."""
    return (target == 1).any(axis=0) & (target == 0).any(axis=0)


def mean_chance(metric: str, results: Sequence[FoldResult]) -> float:
    """What random scores give on average; NaN where the metric is not defined."""
    classes = results[0].target.shape[1]
    if metric == "accuracy":
        return 1 / classes
    if metric == "mAP@3":
        return float((1 / np.arange(1, min(3, classes) + 1)).sum() / classes)
    shares = [r.target.mean(axis=0)[defined_classes(r.target)] for r in results]
    folds = [share.mean() for share in shares if share.size]
    return float(np.mean(folds)) if folds else np.nan


def class_scores(target: np.ndarray, score: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of single labels, (classes,) each, NaN where undefined, and the confusion matrix."""
    labels = range(target.shape[1])
    true, predicted = target.argmax(axis=1), score.argmax(axis=1)
    precision, recall, f1, clips = sklearn_metrics.precision_recall_fscore_support(
        true, predicted, labels=labels, zero_division=np.nan
    )
    confusion = sklearn_metrics.confusion_matrix(true, predicted, labels=labels)
    f1 = np.where(clips > 0, f1, np.nan)
    return {"recall": recall, "precision": precision, "f1": f1, "confusion": confusion}


@dataclasses.dataclass(frozen=True)
class TaskEstimate(Estimate):
    """The mean over folds and seeds, and the standard deviations over the means of each."""

    folds: int = 1
    seeds: int = 1
    fold_spread: float = np.nan  # as that of seeds NaN where there is one only
    seed_spread: float = np.nan
    notes: tuple[str, ...] = ()  # what does not exist, a line each


def estimate(results: Sequence[FoldResult], metric: str) -> TaskEstimate:
    """The mean over folds and seeds, with an interval over the choice of clips, given the networks.

    Accuracy of one fold's clips without groups has Wilson's interval. All else is resampled, the
    same draw for all seeds of a fold; where replicates of a mean over clips do not differ, Wilson's
    interval with as many trials as there are groups stands in.
    """
    folds = list(dict.fromkeys(result.fold for result in results))
    seeds = list(dict.fromkeys(result.seed for result in results))
    table = np.full((len(seeds), len(folds)), np.nan)
    deviations = np.full((*table.shape, REPLICATES), np.nan)
    groups, notes = {}, []
    for result in results:
        place = seeds.index(result.seed), folds.index(result.fold)
        table[place] = metric_of(metric, result.target, result.score)
        deviations[place], groups[result.fold] = _deviations(result, metric)
        if np.isnan(table[place]):
            notes.append(f"fold {result.fold} of seed {result.seed} has no {metric}: left out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what has no value anywhere
        per_seed, per_fold = np.nanmean(table, axis=1), np.nanmean(table, axis=0)
        spreads = [float(np.nanstd(means, ddof=1)) for means in (per_fold, per_seed)]
        value = float(np.nanmean(per_seed))
        low, high = share_around(value, np.nanmean(np.nanmean(deviations, axis=1), axis=0))
    total = sum(groups.values())
    single = metric == "accuracy" and len(results) == 1 and total == len(results[0].clip_ids)
    if single or (np.isnan(low) and metric in BY_CLIP and total > 1):
        wilson = share_estimate(round(value * total), total)
        low, high = wilson.low, wilson.high
    if np.isnan(low):
        notes.append(f"{metric} has no interval: resampled clips do not differ, or have no value")
    return TaskEstimate(value, low, high, len(folds), len(seeds), *spreads, tuple(notes))


def _deviations(result: FoldResult, metric: str) -> tuple[np.ndarray, int]:
    """The metric of resampled clips around its mean, (REPLICATES,), and the number of groups."""
    groups = group_numbers(result.groups)
    count = len(np.unique(groups))
    used = defined_classes(result.target)
    if count < 2 or not (metric in BY_CLIP or used.any()):
        return np.full(REPLICATES, np.nan), count
    # The same for networks tested on the same clips.
    seed = (0, zlib.crc32(result.fold.encode()))
    if metric in BY_CLIP:
        values = BY_CLIP[metric](result.target, result.score)
        replicates = mean_replicates(values, REPLICATES, seed, groups)
    else:
        target, score = result.target[:, used], result.score[:, used]
        replicates = bootstrap(target, score, REPLICATES, seed, clusters=groups).replicates("mAP")
    # The spread of n groups becomes that of n - 1 (Davison and Hinkley 1997, section 3.8).
    return (replicates - np.nanmean(replicates)) * np.sqrt(count / (count - 1)), count
