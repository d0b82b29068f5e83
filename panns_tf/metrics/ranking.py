"""Exact metrics of the ranking: average precision, ROC AUC, d-prime, best F1, curves.

All follow from a class's positives alone: how many positives, and how many clips, lie at or above
each score that a positive has. So values are sorted, never their places, and ties are exact.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import special

# A block of columns is turned into rows at once: reading a cache line serves 16 float32 classes.
_BLOCK = 32


def checked(target, score, ndims: tuple[int, ...] = (1, 2)) -> tuple[np.ndarray, np.ndarray]:
    """Targets as bool and scores as float32 or float64, without loss of order.

    Raises:
        ValueError: if shapes differ, scores are not finite, or targets are not 0 and 1.
    """
    target, score = np.asarray(target), np.asarray(score)
    if target.shape != score.shape or target.ndim not in ndims:
        shapes = " or ".join(("(clips,)", "(clips, classes)")[ndim - 1] for ndim in ndims)
        raise ValueError(
            f"expected target and score of one shape, {shapes}; received {target.shape} and "
            f"{score.shape}"
        )
    if score.dtype not in (np.float32, np.float64):
        # float32 holds every float16 and small integer; other numbers are ranked as float64.
        score = score.astype(np.float32 if score.dtype.itemsize <= 2 else np.float64)
    bad = ~np.isfinite(score)
    if bad.any():
        clip, *number = np.argwhere(bad)[0].tolist()
        clips = bad.reshape(len(bad), -1).any(axis=1).sum()
        raise ValueError(
            f"{bad.sum():,} of {bad.size:,} scores, in {clips:,} of {len(bad):,} clips, are NaN or "
            f"infinite values, the first of clip {clip} and class {number[0] if number else 0} "
            "(counted from 0); nothing can be ranked by them; look for NaN among weights"
        )
    hits = target == 1
    if not (hits | (target == 0)).all():
        raise ValueError("expected targets of 0 and 1; mixed or soft targets have no exact metric")
    return hits, score


def class_rows(target: np.ndarray, score: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each class of checked (clips, classes) as contiguous (clips,); scores are a copy."""
    if target.ndim == 1:
        target, score = target[:, None], score[:, None]
    for start in range(0, target.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        hits, values = target[:, block].T.copy(order="C"), score[:, block].T.copy(order="C")
        yield from zip(hits, values, strict=True)


class Ranks(NamedTuple):
    """Counts at each distinct score of a class's positives, lowest first: (thresholds,) each.

    ``gained`` positives have just that score; ``true`` positives and ``called`` clips have it or
    more, ``above`` clips more.
    """

    threshold: np.ndarray
    gained: np.ndarray
    true: np.ndarray
    called: np.ndarray
    above: np.ndarray
    positives: int
    negatives: int


def rank(hits: np.ndarray, values: np.ndarray) -> Ranks:
    """Ranks one class's clips, (clips,) each; sorts ``values`` in place."""
    positive = np.sort(values[hits])
    values.sort()
    first = np.flatnonzero(np.append(True, positive[1:] != positive[:-1])[: positive.size])
    threshold = positive[first]
    return Ranks(
        threshold,
        np.diff(first, append=positive.size),
        positive.size - first,
        values.size - np.searchsorted(values, threshold, "left"),
        values.size - np.searchsorted(values, threshold, "right"),
        positive.size,
        values.size - positive.size,
    )


def by_class(metric: Callable[[Ranks], float | tuple], target, score):
    """Applies a metric of one or several numbers to each class: a float, or float64 (classes,)."""
    target, score = checked(target, score)
    values = [metric(rank(*row)) for row in class_rows(target, score)]
    return np.array(values, np.float64) if target.ndim == 2 else values[0]


def average_precision(target, score):
    """Average precision: the mean precision at the positives, ties in one threshold.

    Args:
        target: (clips,) or (clips, classes), of 0 and 1 or bool.
        score: the same shape, finite; higher means more likely.

    Returns:
        A float, or float64 (classes,). NaN for a class without positives.

    Source: paper, section V-A; equal to scikit-learn's ``average_precision_score``.
    """
    return by_class(_average_precision, target, score)


def roc_auc(target, score):
    """Area under the ROC curve; ties count half.

    Args and returns as `average_precision`. NaN for a class without positives or negatives.
    """
    return by_class(_auc, target, score)


def ap_and_auc(target, score) -> np.ndarray:
    """Both of each class, of one sort: float64 (2, classes)."""
    both = by_class(lambda ranks: (_average_precision(ranks), _auc(ranks)), target, score)
    return both.reshape(-1, 2).T


def best_f1(target, score):
    """Threshold and value of the highest F1, each a float or float64 (classes,).

    Args as `average_precision`. Clips of at least the threshold are called positive; it is the
    highest of those that do equally well. NaN for a class without positives. Chosen on the clips
    it is measured on, the F1 is an upper bound.
    """
    both = by_class(_best_f1, target, score)
    return both if isinstance(both, tuple) else tuple(both.reshape(-1, 2).T)


def micro_average_precision(target, score) -> float:
    """Average precision over all pairs of clip and class as one ranking; NaN without positives."""
    target, score = checked(target, score)
    return _average_precision(rank(target.ravel(), score.flatten()))


def weighted_average_precision(target, score) -> float:
    """Mean average precision over classes, each weighted by its number of positives."""
    return float(weighted_mean(average_precision(target, score), np.sum(target, axis=0)))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean over classes, the last axis, of positive weight; NaN where there are none."""
    total = np.where(weights > 0, values, 0).astype(np.float64) * weights
    count = np.sum(weights, axis=-1)
    return np.where(count > 0, total.sum(axis=-1) / np.maximum(count, 1), np.nan)


def d_prime(auc):
    """Sensitivity index of a ROC AUC: ``sqrt(2) * inverse normal CDF``; infinite at 1.

    Args:
        auc: a float or an array, in [0, 1]; NaN stays NaN.
    """
    auc = np.asarray(auc, np.float64)
    if ((auc < 0) | (auc > 1)).any():
        raise ValueError(f"expected areas in [0, 1]; received {auc}")
    values = np.sqrt(2) * special.ndtri(auc)
    return float(values) if values.ndim == 0 else values


def _average_precision(ranks: Ranks) -> float:
    if not ranks.positives:
        return np.nan
    return float((ranks.gained * (ranks.true / ranks.called)).sum() / ranks.positives)


def _auc(ranks: Ranks) -> float:
    if not ranks.positives or not ranks.negatives:
        return np.nan
    below = ranks.negatives - (ranks.called - ranks.true)
    tied = ranks.called - ranks.above - ranks.gained
    pairs = (ranks.gained * (2 * below + tied)).sum()  # each counts twice: exact integers
    return float(pairs / (2 * ranks.positives * ranks.negatives))


def _best_f1(ranks: Ranks) -> tuple[float, float]:
    if not ranks.positives:
        return np.nan, np.nan
    # A threshold between scores of positives only adds false ones.
    f1 = 2 * ranks.true / (ranks.positives + ranks.called)
    best = f1.size - 1 - f1[::-1].argmax()
    return float(ranks.threshold[best]), float(f1[best])


def precision_recall_curve(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and thresholds of one class, (clips,): scikit-learn's.

    Raises:
        ValueError: if no clip is positive.
    """
    from sklearn.metrics import precision_recall_curve as curve

    return curve(*_curve_input(target, score, "precision-recall curve", negatives=False))


def roc_curve(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False and true positive rates and thresholds of one class, (clips,): scikit-learn's.

    Raises:
        ValueError: if no clip is positive, or none is negative.
    """
    from sklearn.metrics import roc_curve as curve

    target, score = _curve_input(target, score, "ROC curve", negatives=True)
    return curve(target, score, drop_intermediate=False)


def _curve_input(target, score, what: str, negatives: bool) -> tuple[np.ndarray, np.ndarray]:
    target, score = checked(target, score, ndims=(1,))
    if not target.any() or (negatives and target.all()):
        missing = "negative" if target.any() else "positive"
        raise ValueError(
            f"none of the {len(score):,} clips is {missing}; such a class has no {what}"
        )
    return target, score
