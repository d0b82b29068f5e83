"""How good predictions of a new task are: single figures, and figures of each class."""

import dataclasses
from collections.abc import Callable

import numpy as np

from panns_tf.metrics import average_precision
from panns_tf.metrics.ranking import checked

#: Places of a ranking that mAP@3 rewards.
_PLACES = 3


def accuracy(target, score) -> float:
    """The share of clips whose one label has the highest score.

    Args:
        target: (clips, classes) of 0 and 1, with one label a clip.
        score: (clips, classes), finite; of equal scores the class of the lower number counts as
            the higher, as everywhere where the most probable class is named.

    Returns:
        A float; NaN without clips.

    Raises:
        ValueError: for a clip with several labels or none, or as `panns_tf.metrics` does.
    """
    return _mean(ranks(target, score) == 1)


def map_at_3(target, score) -> float:
    """mAP@3: the mean over clips of 1 / rank of the true label, 0 beyond the third.

    Args, returns and raises as `accuracy`; ties are ranked by the number of the class.

    Source: DCASE 2018 task 2, with one label a clip.
    """
    return _mean(at_3(target, score))


def mean_average_precision(target, score) -> float:
    """mAP: the mean of average precision over the classes with positive and negative clips.

    Args:
        target: (clips, classes) of 0 and 1.
        score: (clips, classes), finite.

    Returns:
        A float; NaN where no class has both.
    """
    target, score = checked(target, score)
    used = defined(target)
    return _mean(average_precision(target[:, used], score[:, used])) if used.any() else np.nan


#: The figures of a task by name: functions of target and score, (clips, classes) each.
METRICS: dict[str, Callable[..., float]] = {
    "accuracy": accuracy,
    "mAP@3": map_at_3,
    "mAP": mean_average_precision,
}
#: Those that are a mean over clips: what each clip counts, float64 (clips,) in [0, 1].
BY_CLIP: dict[str, Callable[..., np.ndarray]] = {
    "accuracy": lambda target, score: (ranks(target, score) == 1).astype(np.float64),
    "mAP@3": lambda target, score: at_3(target, score),
}


def ranks(target, score) -> np.ndarray:
    """The place of each clip's true label in the ranking of its scores, from 1: int64 (clips,).

    Args and raises as `accuracy`.
    """
    target, score = checked(target, score)
    if target.ndim != 2 or (target.sum(axis=1) != 1).any():
        raise ValueError(
            "accuracy and mAP@3 are of clips with one label each; received "
            f"{int((target.sum(axis=-1) != 1).sum())} of {len(target)} clips with several or none; "
            "the metric of such is mAP"
        )
    true = target.argmax(axis=1)  # (clips,)
    own = np.take_along_axis(score, true[:, None], axis=1)
    before = np.arange(score.shape[1]) < true[:, None]
    return 1 + ((score > own) | ((score == own) & before)).sum(axis=1)


def at_3(target, score) -> np.ndarray:
    """1 / rank of the true label, 0 beyond the third place: float64 (clips,)."""
    rank = ranks(target, score)
    return np.where(rank <= _PLACES, 1 / rank, 0.0)


def defined(target: np.ndarray) -> np.ndarray:
    """Which classes have positive and negative clips, (classes,) bool."""
    positives = np.asarray(target).sum(axis=0)
    return (positives > 0) & (positives < len(target))


def chance(metric: str, target) -> float:
    """What scores at random would give on average; NaN where the metric is not defined.

    Args:
        metric: one of `METRICS`.
        target: (clips, classes) of 0 and 1.
    """
    target = np.asarray(target)
    classes = target.shape[1]
    if metric == "accuracy":
        return 1 / classes
    if metric == "mAP@3":
        return float((1 / np.arange(1, min(_PLACES, classes) + 1)).sum() / classes)
    used = defined(target)
    return _mean(target[:, used].mean(axis=0)) if used.any() else np.nan


def confusion(target, score) -> np.ndarray:
    """How many clips of each class were taken for which: int64 (true classes, predicted classes).

    Args:
        target: (clips, classes) of 0 and 1, with one label a clip.
        score: (clips, classes).
    """
    ranks(target, score)  # checks both
    classes = np.shape(target)[1]
    true, predicted = np.argmax(target, axis=1), np.argmax(score, axis=1)
    counts = np.bincount(true * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


@dataclasses.dataclass(frozen=True)
class ByClass:
    """Figures of each class where clips have one label.

    Attributes:
        clips: tested, int64 (classes,).
        recall: the share of a class's clips that were recognised; NaN without clips.
        precision: the share of the clips taken for a class that are of it; NaN where none was.
        f1: the harmonic mean of both; NaN for a class without clips, 0 where none is recognised.
    """

    clips: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray

    @property
    def macro_f1(self) -> float:
        """The mean of F1 over the classes that have clips; NaN where none has."""
        return _mean(self.f1[self.clips > 0])


def by_class(matrix: np.ndarray) -> ByClass:
    """Returns the figures of each class of a confusion matrix, (classes, classes)."""
    right, clips, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = np.where(clips > 0, _share(2 * right, clips + called), np.nan)
    return ByClass(clips, _share(right, clips), _share(right, called), f1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")
