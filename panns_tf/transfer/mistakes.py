"""The clips of which a network was wrong, and most certain."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from panns_tf.transfer.results import FoldResult


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A clip and what was wrongly said of it.

    Attributes:
        clip_id: of the clip.
        fold: that it was tested in.
        labels: numbers of its true classes.
        predicted: number of the class that was wrongly heard, or, of a miss, not heard.
        score: of that class.
        true_score: of the true class, where there is one; NaN otherwise.
    """

    clip_id: str
    fold: str
    labels: tuple[int, ...]
    predicted: int
    score: float
    true_score: float


def wrong_clips(results: Iterable[FoldResult], most: int) -> list[Mistake]:
    """Clips of one label that were taken for another, the most certain first."""
    found = []
    for result in results:
        true, predicted = result.target.argmax(axis=1), result.score.argmax(axis=1)
        for n in np.flatnonzero(true != predicted):
            scores = float(result.score[n, predicted[n]]), float(result.score[n, true[n]])
            found.append(_mistake(result, n, int(predicted[n]), *scores))
    return _first(found, most)


def false_alarms(results: Iterable[FoldResult], most: int) -> list[Mistake]:
    """The highest scores for labels that clips do not have."""
    found = []
    for result in results:
        scores = np.where(result.target > 0, -np.inf, result.score)
        found += [_mistake(result, n, c, float(result.score[n, c])) for n, c in _top(scores, most)]
    return _first(found, most)


def misses(results: Iterable[FoldResult], most: int) -> list[Mistake]:
    """The lowest scores for labels that clips have."""
    found = []
    for result in results:
        scores = np.where(result.target > 0, -result.score, -np.inf)
        found += [_mistake(result, n, c, float(result.score[n, c])) for n, c in _top(scores, most)]
    return sorted(found, key=lambda mistake: (mistake.score, mistake.clip_id))[:most]


def _top(scores: np.ndarray, most: int) -> list[tuple[int, int]]:
    order = np.argsort(-scores, axis=None, kind="stable")[:most]
    places = [divmod(int(place), scores.shape[1]) for place in order]
    return [(n, c) for n, c in places if np.isfinite(scores[n, c])]


def _mistake(
    result: FoldResult, clip: int, predicted: int, score: float, true_score: float = float("nan")
) -> Mistake:
    labels = tuple(int(n) for n in np.flatnonzero(result.target[clip]))
    return Mistake(result.clip_ids[clip], result.fold, labels, predicted, score, true_score)


def _first(found: list[Mistake], most: int) -> list[Mistake]:
    return sorted(found, key=lambda mistake: (-mistake.score, mistake.clip_id))[:most]
