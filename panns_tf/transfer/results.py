"""What came of one training."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """The test of one trained network.

    Attributes:
        fold: name of the split.
        seed: of the training.
        clips_per_class: training clips taken of each class, or None for all.
        clip_ids: of the tested clips.
        groups: of the tested clips; see `panns_tf.transfer.clips.LabelledClip`.
        target: (clips, classes) float32 of 0 and 1.
        score: (clips, classes) float32, averaged over the windows of a clip.
        training_clips: how many were trained on.
        steps: updates taken.
        seconds: that training took.
        notes: what a user should know of it.
    """

    fold: str
    seed: int
    clips_per_class: int | None
    clip_ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    target: np.ndarray
    score: np.ndarray
    training_clips: int
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()
