"""Precision-recall and ROC curves of one class, a point for each distinct score."""

import numpy as np

from panns_tf.metrics.inputs import one_class


def _counts(target, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, lowest first; positives and clips of each score or above."""
    target, score = one_class(target, score)
    positive, ordered = np.sort(score[target]), np.sort(score)
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: ordered.size])
    threshold = ordered[first]
    true = positive.size - np.searchsorted(positive, threshold, "left")
    return threshold, true, ordered.size - first


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
    return np.append(true / called, 1.0), np.append(true / true[0], 0.0), threshold


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
        np.append(0.0, false[::-1] / false[0]),
        np.append(0.0, true[::-1] / true[0]),
        np.append(threshold.dtype.type(np.inf), threshold[::-1]),
    )
