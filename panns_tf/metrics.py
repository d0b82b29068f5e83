"""Exact metrics of multi-label tagging: average precision, ROC AUC and d-prime."""

import dataclasses

import numpy as np
from scipy import special


def _checked(target, score) -> tuple[np.ndarray, np.ndarray]:
    # float64 holds every float32; negating unsigned integers or truth values would not rank them
    target, score = np.asarray(target), np.asarray(score, np.float64)
    if target.shape != score.shape or target.ndim not in (1, 2):
        raise ValueError(
            "expected target and score of one shape, (clips,) or (clips, classes); "
            f"received {target.shape} and {score.shape}"
        )
    if not np.isfinite(score).all():
        raise ValueError("the scores hold NaN or infinite values; nothing can be ranked by them")
    if not np.isin(target, (0, 1)).all():
        raise ValueError("expected targets of 0 and 1; mixed or soft targets have no exact metric")
    return target.astype(bool), score


def _curve(target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns true and false positives at each distinct threshold, highest first."""
    order = np.argsort(-score)  # ties, in whatever order, share a threshold
    score, hits = score[order], target[order]
    last_of_tie = np.append(score[1:] != score[:-1], True)
    true = np.cumsum(hits)[last_of_tie]
    return true, np.flatnonzero(last_of_tie) + 1 - true


def _by_class(function, target, score):
    """Applies a function of a `_curve` to each class; its result is a number or several."""
    target, score = _checked(target, score)
    if target.ndim == 1:
        return function(*_curve(target, score))
    columns = zip(target.T, np.ascontiguousarray(score.T), strict=True)
    return np.array([function(*_curve(t, s)) for t, s in columns])


def _average_precision(true: np.ndarray, false: np.ndarray) -> float:
    if not true.size or not true[-1]:
        return np.nan
    gained = np.diff(true, prepend=0)
    return float(np.sum(gained * (true / (true + false))) / true[-1])


def _roc_auc(true: np.ndarray, false: np.ndarray) -> float:
    if not true.size or not true[-1] or not false[-1]:
        return np.nan
    true, false = np.append(0, true), np.append(0, false)
    area = np.sum(np.diff(false) * (true[1:] + true[:-1])) / 2
    return float(area / (true[-1] * false[-1]))


def _both(true: np.ndarray, false: np.ndarray) -> tuple[float, float]:
    return _average_precision(true, false), _roc_auc(true, false)


def average_precision(target, score):
    """Average precision: the mean precision at the positives, ties in one threshold.

    Args:
        target: (clips,) or (clips, classes), of 0 and 1 or bool.
        score: the same shape, finite; higher means more likely.

    Returns:
        A float, or float64 (classes,). NaN for a class without positives.

    Source: paper, section V-A; equal to scikit-learn's ``average_precision_score``.
    """
    return _by_class(_average_precision, target, score)


def roc_auc(target, score):
    """Area under the ROC curve; ties count half.

    Args and returns as `average_precision`. NaN for a class without positives or negatives.
    """
    return _by_class(_roc_auc, target, score)


def d_prime(auc):
    """Sensitivity index of a ROC AUC: ``sqrt(2) * inverse normal CDF``; infinite at 1.

    Args:
        auc: a float or an array, in [0, 1].
    """
    auc = np.asarray(auc, np.float64)
    if ((auc < 0) | (auc > 1)).any():
        raise ValueError(f"expected areas in [0, 1]; received {auc}")
    result = np.sqrt(2) * special.ndtri(auc)
    return float(result) if result.ndim == 0 else result


@dataclasses.dataclass(frozen=True)
class Summary:
    """Class-wise metrics and their means over the classes where they are defined.

    Attributes:
        average_precision, auc: float64 (classes,), NaN where undefined.
        positives: int64 (classes,), clips of each class.
        num_clips: clips evaluated.
    """

    average_precision: np.ndarray
    auc: np.ndarray
    positives: np.ndarray
    num_clips: int

    @property
    def defined(self) -> np.ndarray:
        """Classes with at least one positive and one negative clip: bool (classes,)."""
        return np.isfinite(self.auc)

    def as_dict(self) -> dict[str, float | int]:
        """``mAP``, ``mAUC``, ``d_prime`` (of the mean AUC, as the paper), and the counts.

        ``chance_mAP`` is what ranking at random would give: the mean share of positives.
        """
        used = self.defined
        mean_auc = float(self.auc[used].mean())
        return {
            "mAP": float(self.average_precision[used].mean()),
            "mAUC": mean_auc,
            "d_prime": d_prime(mean_auc),
            "chance_mAP": float(self.positives[used].mean() / self.num_clips),
            "num_clips": self.num_clips,
            "num_classes": len(used),
            "classes_left_out": int((~used).sum()),
        }


def summarise(target, score) -> Summary:
    """Evaluates (clips, classes) scores.

    Raises:
        ValueError: if no class has both positive and negative clips.
    """
    target = np.asarray(target)
    if target.ndim != 2:
        raise ValueError(f"expected targets (clips, classes); received shape {target.shape}")
    both = _by_class(_both, target, score).reshape(-1, 2)
    summary = Summary(both[:, 0], both[:, 1], (target > 0).sum(axis=0), len(target))
    if not summary.defined.any():
        raise ValueError(
            f"no class has both positive and negative clips among the {len(target)} evaluated; "
            "nothing to measure"
        )
    return summary
