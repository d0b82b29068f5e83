"""A labelled data set, and its splits, which keep the classes' shares and never divide a group."""

import collections
import dataclasses
import re
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array, csgraph
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tfrecords.text import some

#: The parts of a split, by their usual names.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("valid", "validation", "val", "validate", "dev"), "validation"),
}


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
        return {"training": self.train, "validation": self.validation, "test": self.test}


@dataclasses.dataclass(frozen=True)
class Dataset:
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
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    def keep(self, numbers: Sequence[int]) -> "Dataset":
        """The data set of some of its clips, numbered anew, the splits without the others."""
        position = {number: new for new, number in enumerate(numbers)}

        def kept(*parts: Sequence[int]) -> list[tuple[int, ...]]:
            return [tuple(position[n] for n in part if n in position) for part in parts]

        splits = (Split(s.name, *kept(s.train, s.test, s.validation)) for s in self.splits)
        clips = tuple(self.clips[number] for number in numbers)
        return dataclasses.replace(self, clips=clips, splits=tuple(splits))


def fold_numbers(dataset: Dataset, clips: Sequence[int], folds: int, seed: int) -> np.ndarray:
    """The fold, from 0, of each clip: folds of like size and shares of classes, groups whole."""
    target = dataset.target()[list(clips)]
    groups = group_numbers([dataset.clips[number].group for number in clips])
    most = len(np.unique(groups))
    if not 2 <= folds <= most:
        raise ValueError(
            f"{folds} folds of {len(clips)} clips in {most} groups; expected from 2 to {most}"
        )
    # A clip of several labels counts for its rarest one, which is the hardest to spread.
    rarity = np.where(target > 0, target.sum(axis=0), np.inf)
    label = np.where(target.any(axis=1), rarity.argmin(axis=1), -1)
    if np.bincount(label + 1).max() < folds:
        label[:] = 0  # no class has a clip for each fold
    numbers = np.zeros(len(clips), np.int64)
    kind = StratifiedKFold if most == len(clips) else StratifiedGroupKFold  # the first is faster
    splitter = kind(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes that are not in every fold
        for fold, (_, tested) in enumerate(splitter.split(numbers, label, groups)):
            numbers[tested] = fold
    return numbers


def group_numbers(groups: Sequence[str | None]) -> np.ndarray:
    """Numbers groups from 0 in order of appearance, None each time anew: int64 (clips,)."""
    keys = [number if group is None else f"g{group}" for number, group in enumerate(groups)]
    numbers = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def make_splits(
    dataset: Dataset,
    *,
    folds: int | None = None,
    test: float = 0.2,
    validation: float = 0.15,
    seed: int = 0,
) -> Dataset:
    """Gives a data set so many folds or one split, if it has none, and validation clips."""
    splits, notes = dataset.splits, []
    if splits and folds is not None and folds != len(splits):
        notes = [f"the data have {len(splits)} splits of their own; {folds} folds were asked for"]
    everything = range(len(dataset.clips))
    if not splits and folds is None:
        tested = _part(dataset, everything, test, seed)
        splits = (_split("test", np.where(tested, "test", "train")),)
    elif not splits:
        splits = fold_splits((fold_numbers(dataset, everything, folds, seed) + 1).astype(str))
    splits = tuple(with_validation(split, dataset, validation, seed) for split in splits)
    made = dataclasses.replace(dataset, splits=splits)
    check_splits(made)
    for split in splits:
        for part, clips in (("training", split.train), ("test", split.test)):
            if absent := _absent_classes(made, clips):
                notes.append(f"split {split.name} has no {part} clip of {absent}")
    return made.with_notes(*notes)


def fold_splits(folds: np.ndarray) -> tuple[Split, ...]:
    """A split for each fold, which tests it and trains on all the others; fold10 after fold9."""

    def by_number(fold: str) -> list:
        return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", fold)]

    names = sorted(set(folds.tolist()), key=by_number)
    return tuple(_split(name, np.where(folds == name, "test", "train")) for name in names)


def _split(name: str, parts: np.ndarray) -> Split:
    names = ("train", "test", "validation")
    return Split(name, *(tuple(np.flatnonzero(parts == part).tolist()) for part in names))


def with_validation(split: Split, dataset: Dataset, share: float, seed: int) -> Split:
    """Moves a share of the training clips to validation, if there is none, groups whole."""
    if split.validation or not share:
        return split
    moved = _part(dataset, split.train, share, seed)
    train, validation = (np.array(split.train)[mask].tolist() for mask in (~moved, moved))
    return dataclasses.replace(split, train=tuple(train), validation=tuple(validation))


def _part(dataset: Dataset, clips: Sequence[int], share: float, seed: int) -> np.ndarray:
    """Some of several folds that make up a share, each class on both sides: bool (clips,)."""
    groups = group_numbers([dataset.clips[number].group for number in clips])
    most = len(np.unique(groups))
    if most < 2:
        return np.zeros(len(clips), bool)
    small = min(share, 1 - share)
    folds = Fraction(small).limit_denominator(max(10, round(1 / small))).denominator
    folds = min(folds, most)
    numbers = fold_numbers(dataset, clips, folds, seed)
    part = (numbers < max(1, round(small * folds))) == (share <= 0.5)
    target = dataset.target()[list(clips)] > 0
    for side in (True, False):  # what cannot be on both sides is trained on
        for label in np.flatnonzero(target.any(axis=0) & ~target[part == side].any(axis=0)):
            having, counts = np.unique(groups[target[:, label]], return_counts=True)
            for group in having[np.argsort(counts, kind="stable")]:
                members = groups == group
                stays = target[(part != side) & ~members].any(axis=0)
                if stays[target[members].any(axis=0)].all():  # takes no class from the other side
                    part[members] = side
                    break
            else:
                part[members] = part[members] & side
    return part


def check_splits(dataset: Dataset) -> None:
    """Raises ValueError if a split has an empty part, or a clip or group in two of its parts."""
    for split in dataset.splits:
        seen: dict[object, tuple[str, int]] = {}
        for part, numbers in split.parts().items():
            if not numbers and part != "validation":
                raise ValueError(f"{dataset.name}, split {split.name}: there is no {part} clip")
            for number in numbers:
                clip = dataset.clips[number]
                key = number if clip.group is None else clip.group
                other, example = seen.setdefault(key, (part, number))
                if other != part:
                    what = " one clip" if clip.group is None else f" of group {clip.group}"
                    raise ValueError(
                        f"{dataset.name}, split {split.name}: {dataset.clips[example].clip_id} in "
                        f"{other} and {clip.clip_id} in {part} are{what}; put them into one part"
                    )


def _absent_classes(dataset: Dataset, clips: Sequence[int]) -> str:
    target = dataset.target() > 0
    absent = target.any(axis=0) & ~target[list(clips)].any(axis=0)
    return some([dataset.classes[label] for label in np.flatnonzero(absent)])


def group_duplicates(dataset: Dataset, hashes: Sequence[str]) -> Dataset:
    """Puts clips of equal sound, and their groups, into one group, or notes what splits leak."""
    clips, notes = list(dataset.clips), []
    for split in dataset.splits:
        trained = {hashes[number]: number for number in (*split.train, *split.validation)}
        leaks = [number for number in split.test if hashes[number] in trained]
        names = [f"{clips[n].clip_id} is {clips[trained[hashes[n]]].clip_id}" for n in leaks]
        if leaks:
            note = f"split {split.name}: {len(leaks)} test clips are also trained on or validated"
            notes.append(f"{note} with: {some(names, 3, '; ')}")
    size, sounds = len(hashes), group_numbers(hashes)
    copies = np.bincount(sounds)[sounds] > 1
    if copies.any() and not dataset.splits:
        # Clips are linked to their groups and to their sounds: what hangs together is one group.
        groups = group_numbers([clip.group for clip in clips])
        linked = np.concatenate([size + groups, 2 * size + sounds])
        edges = (np.ones(2 * size), (np.tile(np.arange(size), 2), linked))
        graph = coo_array(edges, shape=(3 * size, 3 * size))
        component = csgraph.connected_components(graph, directed=False)[1][:size]
        for number in np.flatnonzero(np.isin(component, component[copies])):
            name = f"same sound {component[number]}"
            clips[number] = dataclasses.replace(clips[number], group=name)
        notes.append(
            f"copies of a sound under several names: {copies.sum()} clips, "
            f"{len(set(sounds[copies]))} different; each sound stays in one part of a split"
        )
    return dataclasses.replace(dataset, clips=tuple(clips)).with_notes(*notes)


def given_splits(dataset: Dataset, listed: Sequence[str]) -> tuple[Split, ...]:
    """The splits by the clips' folds, or training, validation and test sets, all those listed."""
    name, folds = dataset.name, [clip.fold for clip in dataset.clips]
    if empty := [fold for fold in listed if fold not in folds]:
        raise ValueError(f"{name}: fold {empty[0]} has no clip left; its files are missing")
    folds = np.array([PARTS.get(fold.casefold(), fold) for fold in folds])
    found, parts = set(folds.tolist()), set(PARTS.values())
    if len(found) < 2 or (found & parts and not {"train", "test"} <= found <= parts):
        raise ValueError(
            f"{name}: clips are divided into {', '.join(listed)}; expected train, test and perhaps "
            "valid, or at least two folds"
        )
    splits = (_split("test", folds),) if found & parts else fold_splits(folds)
    for split in splits:
        if absent := _absent_classes(dataset, split.train):
            raise ValueError(
                f"{name}, split {split.name}: no training clip has {absent}, which is tested; put "
                "clips of it into other folds or remove it"
            )
    return splits


def subset(
    split: Split, dataset: Dataset, clips_per_class: int, seed: int
) -> tuple[Split, list[str]]:
    """Keeps some training clips of each class, or all; notes name classes with fewer ones.

    They are of different groups as far as there are, and a smaller number's among a larger one's;
    clips of validation may be chosen, as few clips give nothing to stop by.
    """
    target, available = dataset.target() > 0, {*split.train, *split.validation}
    counts = target[list(available)].sum(axis=0)

    def order(label: int) -> Iterator[int]:
        rng = np.random.default_rng([seed, label])
        clips = rng.permutation(np.flatnonzero(target[:, label])).tolist()
        seen: collections.Counter = collections.Counter()
        rounds = {}
        for number in clips:
            group = dataset.clips[number].group
            rounds[number] = seen[group]
            seen[group] += group is not None
        return (number for number in sorted(clips, key=rounds.get) if number in available)

    orders = [order(label) for label in range(len(counts))]
    kept: set[int] = set()
    have = np.zeros(len(counts), int)
    for wanted in range(1, clips_per_class + 1):  # in rounds, so that fewer are among more
        for label in np.argsort(counts, kind="stable"):
            if have[label] < min(wanted, counts[label]):
                clip = next(number for number in orders[label] if number not in kept)
                kept.add(clip)
                have += target[clip]
    few = np.flatnonzero(counts < clips_per_class)
    short = some([f"{dataset.classes[label]} ({counts[label]})" for label in few], 8)
    note = f"split {split.name}: {len(few)} of {len(counts)} classes have fewer than "
    notes = [f"{note}{clips_per_class} training clips: {short}"] if few.size else []
    return dataclasses.replace(split, train=tuple(sorted(kept)), validation=()), notes
