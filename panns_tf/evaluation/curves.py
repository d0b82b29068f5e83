"""Curves of precision, recall and false alarms, thinned out for a page."""

import dataclasses

import numpy as np

from panns_tf import metrics
from panns_tf.evaluation.scores import Scores

#: Points of a curve on a page, at most.
POINTS = 100
_GRID = np.linspace(0, 1, POINTS)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve in the unit square: (points,) each."""

    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Curves:
    """All curves of an evaluation; None for a class without positive or negative clips.

    Attributes:
        precision_recall, roc: for each class; recall and false alarms on the x axis.
        mean_precision_recall, mean_roc: means over the classes at equal x.
        micro_precision_recall, micro_roc: of all pairs of clip and class in one ranking.
    """

    precision_recall: list[Curve | None]
    roc: list[Curve | None]
    mean_precision_recall: Curve
    mean_roc: Curve
    micro_precision_recall: Curve
    micro_roc: Curve


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> Curve:
    """Keeps both ends and at most so many points, evenly spaced along the curve's length."""
    if len(x) > points:
        length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        places = np.searchsorted(length, np.linspace(0, length[-1], points))
        kept = np.unique(np.concatenate([[0], places, [len(x) - 1]]).clip(0, len(x) - 1))
        if len(kept) > points:
            kept = np.delete(kept, -2)
        x, y = x[kept], y[kept]
    return Curve(np.asarray(x, np.float64), np.asarray(y, np.float64))


def all_curves(scores: Scores) -> Curves:
    """Computes the curves of finite scores."""
    pr, roc, grids = [], [], []
    for target, score in zip(scores.target.T, scores.score.T, strict=True):
        if target.all() or not target.any():
            pr.append(None)
            roc.append(None)
            continue
        recall, precision, false_rate, true_rate = _one(target, score)
        pr.append(thin(recall, precision))
        roc.append(thin(false_rate, true_rate))
        # Precision at the first threshold that reaches a recall; recall at most so many alarms.
        places = np.searchsorted(recall, _GRID - 1e-9).clip(0, len(recall) - 1)
        reached = np.searchsorted(false_rate, _GRID + 1e-9) - 1
        grids.append((precision[places], true_rate[reached]))
    mean_precision, mean_true = np.mean(grids, axis=0)
    recall, precision, false_rate, true_rate = _one(scores.target.ravel(), scores.score.ravel())
    return Curves(
        pr,
        roc,
        Curve(_GRID, mean_precision),
        Curve(_GRID, mean_true),
        thin(recall, precision),
        thin(false_rate, true_rate),
    )


def _one(target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, ...]:
    """Recall and precision, false and true rates, by rising recall."""
    precision, recall, _ = metrics.precision_recall_curve(target, score)
    false_rate, true_rate, _ = metrics.roc_curve(target, score)
    # scikit-learn's curve ends in recall 0 with precision 1, where nothing is found at all.
    recall, precision = recall[-2::-1], precision[-2::-1]
    # Lower thresholds, once all is found, would only draw a line down.
    end = int(np.searchsorted(recall, 1 - 1e-12)) + 1
    return recall[:end], precision[:end], false_rate, true_rate


def as_pairs(curve: Curve | None) -> list[int] | None:
    """x and y in turn, in thousandths, for a page."""
    if curve is None:
        return None
    pairs = np.stack([curve.x, curve.y], axis=1)
    return np.rint(1000 * pairs).astype(int).ravel().tolist()
