"""A labelled data set: clips, classes, splits."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledClip:
    """A recording and what is known of it."""

    clip_id: str  # the path relative to the data set's folder; before, the name as it is listed
    path: Path | None  # None of a missing file
    labels: tuple[str, ...]
    fold: str | None = None  # of the data set's authors
    group: str | None = None  # what must not cross a split, such as a speaker
    place: str = ""  # where it is listed, for messages


@dataclasses.dataclass(frozen=True)
class Split:
    """One partition of the clips of a data set, by their numbers, ascending."""

    name: str  # of the fold that is tested; "test" of a single split
    train: tuple[int, ...]
    test: tuple[int, ...]
    validation: tuple[int, ...] = ()

    def parts(self) -> dict[str, tuple[int, ...]]:
        """The parts by the words for them."""
        return {"training": self.train, "validation": self.validation, "test": self.test}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A labelled data set."""

    name: str
    classes: tuple[str, ...]  # in the order of the outputs
    clips: tuple[LabelledClip, ...]
    splits: tuple[Split, ...] = ()
    multi_label: bool = False  # clips may have several labels, or none
    notes: tuple[str, ...] = ()  # what a user should know, a line each

    def target(self) -> np.ndarray:
        """Labels of all clips, float32 (clips, classes) of 0 and 1."""
        target = np.zeros((len(self.clips), len(self.classes)), np.float32)
        numbers = {label: number for number, label in enumerate(self.classes)}
        for row, clip in zip(target, self.clips, strict=True):
            row[[numbers[label] for label in clip.labels]] = 1
        return target

    def with_notes(self, *notes: str) -> "Dataset":
        """The same data set with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    def keep(self, numbers: Sequence[int]) -> "Dataset":
        """The data set of some of its clips, numbered anew, the splits without the others."""
        position = {number: new for new, number in enumerate(numbers)}

        def kept(*parts: Sequence[int]) -> list[tuple[int, ...]]:
            return [tuple(position[n] for n in part if n in position) for part in parts]

        splits = (Split(s.name, *kept(s.train, s.test, s.validation)) for s in self.splits)
        clips = tuple(self.clips[number] for number in numbers)
        return dataclasses.replace(self, clips=clips, splits=tuple(splits))
