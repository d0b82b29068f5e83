"""Precision-recall and ROC curves of one class, a point for each distinct score."""

import numpy as np

from panns_tf.metrics.inputs import one_class


def _counts(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, lowest first; positives and clips of each score or above, float64."""
    target, score = one_class(target, score)
    positive, ordered = np.sort(score[target]), np.sort(score)
    new = ordered[1:] != ordered[:-1]
    if new.all():
        threshold, called = ordered, np.arange(ordered.size, 0.0, -1.0)
    else:
        first = np.flatnonzero(np.append(True, new))
        threshold, called = ordered[first], (ordered.size - first).astype(np.float64)
    # Up to the lowest positive all of them are at or above, up to the next one fewer ...
    place = np.searchsorted(threshold, positive)
    steps = np.diff(place, prepend=-1, append=threshold.size - 1)
    true = np.repeat(np.arange(positive.size, -1.0, -1.0), steps)
    return threshold, true, called


def _with_end(last: float, values: np.ndarray, divisor) -> np.ndarray:
    """values / divisor, and one more."""
    found = np.empty(values.size + 1)
    np.divide(values, divisor, out=found[:-1])
    found[-1] = last
    return found


def precision_recall_curve(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall when clips of at least a threshold are called positive.

    Args:
        target: (clips,), of 0 and 1 or bool.
        score: (clips,), finite.

    Returns:
        ``precision`` and ``recall``, float64 (thresholds + 1,), whose last point is 1 and 0, and
        ``threshold`` (thresholds,), the distinct scores, rising. As scikit-learn's.

    Raises:
        ValueError: if no clip is positive.
    """
    threshold, true, called = _counts(target, score)
    if not true.size or not true[0]:
        raise ValueError(
            f"none of the {np.size(score):,} clips is positive; such a class has no "
            "precision-recall curve"
        )
    return _with_end(1, true, called), _with_end(0, true, true[0]), threshold


def roc_curve(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False and true positive rates when clips of at least a threshold are called positive.

    Args as `precision_recall_curve`.

    Returns:
        ``false_rate`` and ``true_rate``, float64 (thresholds + 1,), from 0 to 1, and ``threshold``
        (thresholds + 1,), infinite and then the distinct scores, falling. As scikit-learn's with
        ``drop_intermediate=False``.

    Raises:
        ValueError: if no clip is positive, or none is negative.
    """
    threshold, true, called = _counts(target, score)
    if not true.size or not true[0] or true[0] == called[0]:
        missing = "negative" if true.size and true[0] else "positive"
        raise ValueError(
            f"none of the {np.size(score):,} clips is {missing}; such a class has no ROC curve"
        )
    false = called - true
    return (
        _with_end(0, false, false[0])[::-1],
        _with_end(0, true, true[0])[::-1],
        np.append(threshold, threshold.dtype.type(np.inf))[::-1],
    )
