"""Exact metrics of the ranking: average precision, ROC AUC, d-prime, best F1, curves.

All follow from how many positives, and how many clips, lie at or above each score that a positive
has. So values are sorted, never their places, and ties are exact.
"""

from collections.abc import Iterator

import numpy as np
from scipy import special

# A block of columns is turned into rows at once: reading a cache line serves 16 float32 classes.
_BLOCK = 32


def checked(target, score, ndims: tuple[int, ...] = (1, 2)) -> tuple[np.ndarray, np.ndarray]:
    """Targets of 0 and 1 as bool, and finite scores as float32 or float64, in the same order."""
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


def _rank(hits: np.ndarray, values: np.ndarray) -> tuple[float, float, float, float]:
    """What `by_class` gives of one class's clips, (clips,) each; sorts ``values`` in place."""
    positive = np.sort(values[hits])
    values.sort()
    positives, negatives = positive.size, values.size - positive.size
    if not positives:
        return np.nan, np.nan, np.nan, np.nan
    # At each distinct score of a positive, lowest first.
    first = np.flatnonzero(np.append(True, positive[1:] != positive[:-1]))
    threshold = positive[first]
    gained, true = np.diff(first, append=positives), positives - first  # just there; or above
    called = values.size - np.searchsorted(values, threshold, "left")  # clips there or above
    above = values.size - np.searchsorted(values, threshold, "right")
    average_precision = (gained * (true / called)).sum() / positives
    auc = np.nan
    if negatives:
        below, tied = negatives - (called - true), called - above - gained
        pairs = (gained * (2 * below + tied)).sum()  # each counts twice: exact integers
        auc = pairs / (2 * positives * negatives)
    # A threshold between scores of positives only adds false ones.
    f1 = 2 * true / (positives + called)
    best = f1.size - 1 - f1[::-1].argmax()
    return average_precision, auc, threshold[best], f1[best]


def by_class(target, score) -> np.ndarray | list[float]:
    """Average precision, AUC, and threshold and value of the best F1: four, or (4, classes)."""
    target, score = checked(target, score)
    values = [_rank(*row) for row in class_rows(target, score)]
    values = np.array(values, np.float64).reshape(-1, 4).T
    return values if target.ndim == 2 else values[:, 0].tolist()


def average_precision(target, score):
    """Average precision: the mean precision at the positives, ties in one threshold.

    Targets are 0 and 1 or bool, scores finite, both (clips,) or (clips, classes). Gives a float or
    float64 (classes,), NaN for a class without positives. Source: paper, section V-A; equal to
    scikit-learn's ``average_precision_score``.
    """
    return by_class(target, score)[0]


def roc_auc(target, score):
    """ROC AUC, ties counting half; else as `average_precision`, but NaN without negatives too."""
    return by_class(target, score)[1]


def best_f1(target, score):
    """Threshold and value of the highest F1, each a float or float64 (classes,).

    Takes what `average_precision` takes. Clips of at least the threshold are called positive; it is
    the highest of those that do equally well. NaN for a class without positives. Chosen on the
    clips it is measured on, the F1 is an upper bound.
    """
    return tuple(by_class(target, score)[2:])


def micro_average_precision(target, score) -> float:
    """Average precision over all pairs of clip and class as one ranking; NaN without positives."""
    target, score = checked(target, score)
    return float(_rank(target.ravel(), score.flatten())[0])


def weighted_average_precision(target, score) -> float:
    """Mean average precision over classes, each weighted by its number of positives."""
    return float(weighted_mean(average_precision(target, score), np.sum(target, axis=0)))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean over classes, the last axis, of positive weight; NaN where there are none."""
    total = np.where(weights > 0, values, 0).astype(np.float64) * weights
    count = np.sum(weights, axis=-1)
    return np.where(count > 0, total.sum(axis=-1) / np.maximum(count, 1), np.nan)


def d_prime(auc):
    """Sensitivity index of AUCs in [0, 1]: ``sqrt(2) * inverse normal CDF``; infinite at 1."""
    auc = np.asarray(auc, np.float64)
    if ((auc < 0) | (auc > 1)).any():
        raise ValueError(f"expected areas in [0, 1]; received {auc}")
    values = np.sqrt(2) * special.ndtri(auc)
    return float(values) if values.ndim == 0 else values


def precision_recall_curve(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and thresholds of one class, (clips,), with positives: scikit-learn's."""
    from sklearn.metrics import precision_recall_curve as curve

    return curve(*_one_class(target, score))


def roc_curve(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates of false and true positives, and thresholds, of one class, (clips,): scikit-learn's."""
    from sklearn.metrics import roc_curve as curve

    target, score = _one_class(target, score)
    if target.all():
        raise ValueError(f"none of the {len(score):,} clips is negative; there is no ROC curve")
    return curve(target, score, drop_intermediate=False)


def _one_class(target, score) -> tuple[np.ndarray, np.ndarray]:
    target, score = checked(target, score, ndims=(1,))
    if not target.any():
        raise ValueError(f"none of the {len(score):,} clips is positive; there is no curve")
    return target, score
