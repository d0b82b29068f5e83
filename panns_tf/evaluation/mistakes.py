"""The mistakes of which a model is most certain, of clips and classes that differ."""

import dataclasses
from collections import Counter

import numpy as np

from panns_tf.evaluation.scores import Scores

#: Mistakes of one clip, and of one class, at most: else one odd clip would fill the page.
PER_CLIP = 1
PER_CLASS = 2
_CANDIDATES = 20_000


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A clip and a class of which a model is wrong.

    Attributes:
        clip: place among the scores.
        label: number of the class.
        score: of the clip for the class.
        missed: True for a label that is there and scores low, False for one that is not there
            and scores high.
    """

    clip: int
    label: int
    score: float
    missed: bool


def find_mistakes(scores: Scores, count: int) -> tuple[list[Mistake], list[Mistake]]:
    """Returns the most confident false alarms and misses, at most so many of each.

    A false alarm is a clip without the label that outscores a clip with it, or any clip of a
    class that no clip has; a miss is a clip with the label that one without it outscores. In a
    perfect ranking there is neither.

    Args:
        scores: finite ones.
        count: of each kind.
    """
    target, score = scores.target, scores.score
    lowest_hit = np.where(target, score, np.inf).min(axis=0)
    highest_other = np.where(target, -np.inf, score).max(axis=0)
    nowhere = ~target.any(axis=0)
    alarms = ~target & ((score > lowest_hit) | nowhere)
    misses = target & (score < highest_other)
    return (
        _varied(np.where(alarms, score, -np.inf), score, count, missed=False),
        _varied(np.where(misses, -score, -np.inf), score, count, missed=True),
    )


def _varied(rank: np.ndarray, score: np.ndarray, count: int, missed: bool) -> list[Mistake]:
    """The highest of ``rank``, few of a clip and of a class; -inf is none."""
    flat = rank.ravel()
    order = np.arange(flat.size)
    if flat.size > _CANDIDATES:
        order = np.argpartition(-flat, _CANDIDATES)[:_CANDIDATES]
    order = order[np.argsort(-flat[order], kind="stable")]
    clips, labels, chosen = Counter(), Counter(), []
    for place in order:
        if len(chosen) == count or flat[place] == -np.inf:
            break
        clip, label = (int(x) for x in divmod(place, rank.shape[1]))
        if clips[clip] < PER_CLIP and labels[label] < PER_CLASS:
            clips[clip] += 1
            labels[label] += 1
            chosen.append(Mistake(clip, label, float(score[clip, label]), missed))
    return chosen
