"""Figures of the ranking: average precision, ROC AUC, d-prime and the best F1.

All follow from a class's positives alone: how many positives, and how many clips, lie at or above
each score that a positive has. So values are sorted, never their places, and ties are exact.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from panns_tf.metrics.inputs import checked, rows


class Ranks(NamedTuple):
    """The thresholds at which a class gains positives, lowest first; counts of clips there.

    Attributes:
        threshold: (thresholds,), the distinct scores of positives.
        gained: positives of just that score.
        true: positives of that score or above.
        called: clips of that score or above.
        above: clips above that score.
        num_clips: all clips.
    """

    threshold: np.ndarray
    gained: np.ndarray
    true: np.ndarray
    called: np.ndarray
    above: np.ndarray
    num_clips: int

    @property
    def positives(self) -> int:
        return int(self.true[0]) if self.true.size else 0


def ranks(hits: np.ndarray, values: np.ndarray) -> Ranks:
    """Ranks one class's clips; sorts `values` in place."""
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
        values.size,
    )


def average_precision_of(found: Ranks) -> float:
    """NaN without positives."""
    if not found.positives:
        return np.nan
    return float((found.gained * (found.true / found.called)).sum() / found.positives)


def auc_of(found: Ranks) -> float:
    """NaN without positives or without negatives."""
    negatives = found.num_clips - found.positives
    if not found.positives or not negatives:
        return np.nan
    below = negatives - (found.called - found.true)
    tied = found.called - found.above - found.gained
    pairs = (found.gained * (2 * below + tied)).sum()  # each counts twice: exact integers
    return float(pairs / (2 * found.positives * negatives))


def best_f1_of(found: Ranks) -> tuple[float, float]:
    """The threshold and its F1; NaN without positives."""
    if not found.positives:
        return np.nan, np.nan
    # A threshold between scores of positives only adds false ones.
    f1 = 2 * found.true / (found.positives + found.called)
    best = f1.size - 1 - f1[::-1].argmax()
    return float(found.threshold[best]), float(f1[best])


def by_class(function, target, score) -> np.ndarray:
    """Applies a function of `Ranks`, whose result is a number or several, to each class."""
    target, score = checked(target, score)
    found = [function(ranks(hits, values)) for hits, values in rows(target, score)]
    return np.array(found if target.ndim == 2 else found[0], np.float64)


def _plain(values: np.ndarray):
    return float(values) if values.ndim == 0 else values


def average_precision(target, score):
    """Average precision: the mean precision at the positives, ties in one threshold.

    Args:
        target: (clips,) or (clips, classes), of 0 and 1 or bool.
        score: the same shape, finite; higher means more likely.

    Returns:
        A float, or float64 (classes,). NaN for a class without positives.

    Source: paper, section V-A; equal to scikit-learn's ``average_precision_score``.
    """
    return _plain(by_class(average_precision_of, target, score))


def roc_auc(target, score):
    """Area under the ROC curve; ties count half.

    Args and returns as `average_precision`. NaN for a class without positives or negatives.
    """
    return _plain(by_class(auc_of, target, score))


def best_f1(target, score):
    """The threshold at which F1, the harmonic mean of precision and recall, is highest.

    Args as `average_precision`.

    Returns:
        ``threshold`` and ``f1``, floats or float64 (classes,). A clip is called positive where its
        score is at least the threshold, the highest of those that do equally well. NaN for a class
        without positives. Chosen on the clips it is measured on, the F1 is an upper bound.
    """
    both = by_class(best_f1_of, target, score)
    if np.ndim(target) == 1:
        return float(both[0]), float(both[1])
    both = both.reshape(-1, 2)
    return both[:, 0], both[:, 1]


def micro_average_precision(target, score) -> float:
    """Average precision over all pairs of clip and class as one ranking; NaN without positives.

    Sorts all scores at once: on 18,887 x 527 that takes longer than all classes one by one.
    """
    target, score = checked(target, score)
    return average_precision_of(ranks(target.ravel(), score.flatten()))


def weighted_average_precision(target, score) -> float:
    """Mean average precision over classes, each weighing as many as it has positives."""
    target, score = checked(target, score)
    if target.ndim == 1:
        return average_precision(target, score)
    return weighted_mean(average_precision(target, score), target.sum(axis=0))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """The mean over classes of positive weight; NaN where there are none."""
    used = weights > 0
    return float(np.average(values[used], weights=weights[used])) if used.any() else np.nan


def d_prime(auc):
    """Sensitivity index of a ROC AUC: ``sqrt(2) * inverse normal CDF``; infinite at 1.

    Args:
        auc: a float or an array, in [0, 1]; NaN stays NaN.
    """
    auc = np.asarray(auc, np.float64)
    if ((auc < 0) | (auc > 1)).any():
        raise ValueError(f"expected areas in [0, 1]; received {auc}")
    return _plain(np.sqrt(2) * special.ndtri(auc))
