"""Metrics by class with their means, and notes on what could not be measured."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from panns_tf.metrics.ranking import by_class, checked, d_prime, weighted_mean
from tfrecords.text import some

#: Below so many positive clips the metrics of a class are mostly luck.
_FEW_CLIPS = 5


@dataclasses.dataclass(frozen=True)
class Summary:
    """Metrics by class, and their means over the classes where they are defined.

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

    @property
    def d_prime(self) -> np.ndarray:
        """Of each class's AUC: float64 (classes,), NaN where undefined, infinite at an AUC of 1."""
        return d_prime(self.auc)

    @property
    def chance(self) -> np.ndarray:
        """The average precision that ranking at random would give: float64 (classes,)."""
        return self.positives / self.num_clips

    @property
    def lift(self) -> np.ndarray:
        """How many times chance the average precision is: float64 (classes,), NaN undefined."""
        used = self.positives > 0
        return np.where(used, self.average_precision / np.where(used, self.chance, 1), np.nan)

    @property
    def mean_lift(self) -> float:
        """How many times ``chance_mAP`` the mAP is."""
        means = self.as_dict()
        return means["mAP"] / means["chance_mAP"]

    @property
    def weighted_average_precision(self) -> float:
        """mAP in which each class is weighted by its number of positives."""
        return weighted_mean(self.average_precision, self.positives)

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
        ValueError: if no class has both positive and negative clips; as `ranking.checked`.
    """
    target, score = checked(target, score, ndims=(2,))
    both = by_class(lambda ranks: (ranks.average_precision, ranks.auc), target, score)
    both = both.reshape(-1, 2)
    summary = Summary(both[:, 0], both[:, 1], target.sum(axis=0), len(target))
    if not summary.defined.any():
        raise ValueError(
            f"no class has both positive and negative clips among the {len(target)} evaluated; "
            "nothing to measure"
        )
    return summary


def remarks(target, score, labels: Sequence[str] | None = None) -> list[str]:
    """Notes on classes that have no metrics, or metrics that mean little, and why.

    Args:
        target, score: (clips, classes), as `summarise` takes them.
        labels: names of the classes, to name the first of those concerned.
    """
    target, score = checked(target, score, ndims=(2,))
    positives, clips = target.sum(axis=0), len(target)
    defined = (positives > 0) & (positives < clips)
    left_out = (
        "they have no AP and no AUC and are left out of the means over classes; micro AP and "
        "calibration take in their scores"
    )
    kinds = {
        f"have no positive clip: {left_out}": positives == 0,
        f"have no negative clip: {left_out}": positives == clips,
        f"have fewer than {_FEW_CLIPS} positive clips": defined & (positives < _FEW_CLIPS),
        "have one score for all clips": defined & (score == score[:1]).all(axis=0),
    }
    notes = []
    for what, which in kinds.items():
        if which.any():
            names = [labels[number] for number in np.flatnonzero(which)] if labels else []
            names = f" ({some(names)})" if names else ""
            notes.append(f"{which.sum()} of {len(positives)} classes {what}{names}")
    if score.size and (score.min() < 0 or score.max() > 1):
        notes.append(
            f"scores lie outside [0, 1] (from {score.min():.4g} to {score.max():.4g}): they are "
            "ranked, but calibration and F1 need probabilities and are left out"
        )
    return notes
