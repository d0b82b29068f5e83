"""Calibration: whether, of the clips given a probability of 0.7, 70 % are positive."""

import dataclasses

import numpy as np

from panns_tf.metrics.ranking import checked, class_rows


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A reliability diagram over all pairs of clip and class, and expected errors."""

    edges: np.ndarray  # (bins + 1,), from 0 to 1; a bin holds its upper edge, the first one 0 too
    confidence: np.ndarray  # (bins,), the mean score in each bin; NaN in an empty one
    frequency: np.ndarray  # (bins,), the share of positives in each bin; NaN in an empty one
    count: np.ndarray  # int64 (bins,), pairs in each bin
    expected_error: float  # the mean of |frequency - confidence| over all pairs
    class_error: np.ndarray  # (classes,), the same within each class


def calibration(target, score, bins: int = 15) -> Calibration:
    """How often probabilities come true, in bins of equal width.

    Targets and scores are as of `average_precision`; ValueError for scores outside [0, 1], or no
    scores or bins. Source: expected calibration error, Guo et al. 2017; bins as scikit-learn's.
    """
    if not isinstance(bins, int | np.integer) or not 1 <= bins <= 255:
        raise ValueError(f"expected 1 to 255 bins; received {bins!r}")
    target, score = checked(target, score)
    if not score.size:
        raise ValueError(f"no scores to calibrate: received shape {score.shape}")
    if outside := ((score < 0) | (score > 1)).sum():
        raise ValueError(
            f"calibration needs probabilities; {outside:,} of {score.size:,} scores lie outside "
            f"[0, 1] (they span {score.min():g} to {score.max():g})"
        )
    edges = np.linspace(0, 1, bins + 1)
    # Of each class: clips, sum of scores and positives in each bin.
    tables = []
    for hits, values in class_rows(target, score):
        index = np.searchsorted(edges[1:-1], values.astype(np.float64))
        tables.append([np.bincount(index, of, bins) for of in (None, values, hits)])
    count, confident, true = np.moveaxis(np.array(tables, np.float64), 1, 0)  # (classes, bins)
    gaps = np.abs(true - confident).sum(axis=1)
    count, confident, true = (each.sum(axis=0) for each in (count, confident, true))
    error = float(np.abs(true - confident).sum() / count.sum())
    with np.errstate(invalid="ignore"):
        confidence, frequency = confident / count, true / count
    count = count.astype(np.int64)
    return Calibration(edges, confidence, frequency, count, error, gaps / len(score))
