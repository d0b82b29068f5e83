"""What a data set is, once its layout has been understood: clips, classes and splits."""

import dataclasses
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledClip:
    """A recording and what is known of it.

    Attributes:
        clip_id: its name, unique in the data set: the path relative to the data set's folder.
        path: of the file.
        labels: numbers of its classes, ascending; several only in multi-label sets.
        fold: that the data set's authors gave it, or None.
        group: what must not cross a split: the source recording, the speaker; or None if the
            clip is known to share nothing with others.
    """

    clip_id: str
    path: Path
    labels: tuple[int, ...]
    fold: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Split:
    """One way to part the clips of a data set.

    Attributes:
        name: the fold that is tested, such as ``"1"``; ``"test"`` where there is one split only.
        train: numbers of the training clips, ascending.
        test: those of the tested clips, ascending.
        validation: those that decide when to stop, neither trained on nor tested; perhaps none.
    """

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    validation: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Collection:
    """A data set.

    Attributes:
        name: of the task, or of the folder.
        classes: labels in the order of the outputs.
        clips: in a fixed order.
        splits: at least one.
        multi_label: whether clips may have several labels, or none.
        notes: what a user should know, a line each: missing files, other counts than published.
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[LabelledClip, ...]
    splits: tuple[Split, ...]
    multi_label: bool = False
    notes: tuple[str, ...] = ()

    def target(self) -> np.ndarray:
        """Returns what is true of all clips, float32 (clips, classes) of 0 and 1."""
        target = np.zeros((len(self.clips), len(self.classes)), np.float32)
        for row, clip in zip(target, self.clips, strict=True):
            row[list(clip.labels)] = 1
        return target  # (clips, classes)
