"""Intervals of figures that are no mean over classes."""

import numpy as np

from panns_tf.metrics import Bootstrap
from panns_tf.metrics.intervals import around

#: Pairs of clip and class that micro average precision is resampled over, in all replicates.
_PAIRS = 200_000_000
_FEWEST = 100


def accuracy_interval(
    accuracy: float, clips: int, replicates: int, level: float, seed: int
) -> tuple[float, float]:
    """Of a share of clips: resampled clips that are right or wrong count as a binomial does."""
    drawn = np.random.default_rng(seed).binomial(clips, accuracy, replicates)
    return around(accuracy, drawn / clips, level)


def weighted_interval(boot: Bootstrap, level: float) -> tuple[float, float]:
    """Of the weighted mAP; the classes weigh in every replicate as they do in the clips."""
    ap = np.asarray(boot.average_precision, np.float64)
    weights = np.where(np.isfinite(ap), boot.summary.positives, 0)
    total = weights.sum(axis=1)
    sums = (np.nan_to_num(ap) * weights).sum(axis=1)
    replicates = np.where(total > 0, sums / np.maximum(total, 1), np.nan)
    return _share(around(boot.summary.weighted_average_precision, replicates, level))


def _share(ends: tuple[float, float]) -> tuple[float, float]:
    """Ends of a share of 1, of which one may reach beyond."""
    return max(ends[0], 0.0), min(ends[1], 1.0)


def micro_interval(
    micro: float,
    target: np.ndarray,
    score: np.ndarray,
    replicates: int,
    level: float,
    seed: int,
) -> tuple[float, float]:
    """Of micro average precision.

    Every replicate passes over all pairs, so large sets get fewer replicates, at least 100.

    Args:
        micro: of the clips themselves.
        target: (clips, classes) bool.
        score: (clips, classes).
    """
    clips, classes = score.shape
    order = np.argsort(-score, axis=None, kind="stable")
    clip, ordered = (order // classes).astype(np.int32), score.ravel()[order]
    hit = np.flatnonzero(target.ravel()[order])
    # Of each positive: the last pair of its score, and the last positive among those.
    last_of_tie = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    end = last_of_tie[np.searchsorted(last_of_tie, hit)]
    last_hit = np.searchsorted(hit, end, "right") - 1
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(min(replicates, max(_FEWEST, _PAIRS // score.size))):
        drawn = np.bincount(rng.integers(clips, size=clips), minlength=clips)
        called = np.cumsum(drawn[clip])[end]
        gained = drawn[clip[hit]]
        true = np.cumsum(gained)[last_hit]
        if gained.any():
            found.append(np.sum(gained * (true / np.maximum(called, 1))) / gained.sum())
    return _share(around(micro, np.array(found), level))
