"""The figures of one evaluation: by class, their means, and what could not be measured."""

import dataclasses

import numpy as np

from panns_tf.metrics.inputs import checked
from panns_tf.metrics.ranking import (
    Ranks,
    auc_of,
    average_precision_of,
    by_class,
    d_prime,
    weighted_mean,
)


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
        chance = np.where(used, self.chance, 1)
        return np.where(used, self.average_precision / chance, np.nan)

    @property
    def mean_lift(self) -> float:
        """How many times ``chance_mAP`` the mAP is."""
        figures = self.as_dict()
        return figures["mAP"] / figures["chance_mAP"]

    @property
    def weighted_average_precision(self) -> float:
        """mAP in which each class weighs as many as it has positives."""
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


def _both(found: Ranks) -> tuple[float, float]:
    return average_precision_of(found), auc_of(found)


def summarise(target, score) -> Summary:
    """Evaluates (clips, classes) scores.

    Raises:
        ValueError: if no class has both positive and negative clips; as `inputs.checked`.
    """
    target, score = _checked_table(target, score)
    both = by_class(_both, target, score).reshape(-1, 2)
    summary = Summary(both[:, 0], both[:, 1], target.sum(axis=0), len(target))
    if not summary.defined.any():
        raise ValueError(
            f"no class has both positive and negative clips among the {len(target)} evaluated; "
            "nothing to measure"
        )
    return summary


def _checked_table(target, score) -> tuple[np.ndarray, np.ndarray]:
    shape = np.shape(target)
    if len(shape) != 2:
        raise ValueError(f"expected targets (clips, classes); received shape {shape}")
    return checked(target, score)


def remarks(target, score) -> list[str]:
    """Says in sentences what of an evaluation could not be measured, or means little.

    Args:
        target, score: (clips, classes), as `summarise` takes them.
    """
    target, score = _checked_table(target, score)
    clips, positives = len(target), target.sum(axis=0)
    alike = (score == score[:1]).all(axis=0) if clips > 1 else np.zeros(len(positives), bool)
    of_classes = (
        (positives == 0, "no positive clip: left out of all means"),
        ((positives == clips) & (positives > 0), "no negative clip: left out of all means"),
        (
            (positives > 0) & (positives < 5) & (positives < clips),
            "fewer than 5 positive clips: their figures are uncertain",
        ),
        (alike, "one score for all clips: nothing is ranked"),
    )
    found = [
        f"{which.sum()} of {which.size} classes have {what}"
        for which, what in of_classes
        if which.any()
    ]
    outside = ((score < 0) | (score > 1)).sum()
    if outside:
        found.append(
            f"{outside:,} of {score.size:,} scores lie outside [0, 1]: no calibration is given"
        )
    return found
