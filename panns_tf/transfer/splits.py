"""Splits by scikit-learn that keep the classes' shares and never divide a group."""

import dataclasses
import re
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from panns_tf.transfer.dataset import Dataset, Split, fold_splits
from tfrecords.text import some

#: Attempts at a split, of which the first is taken that leaves every class a training clip.
_ATTEMPTS = 16

#: The parts of a split, by their usual names.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("valid", "validation", "val", "validate", "dev"), "validation"),
}


def fold_numbers(dataset: Dataset, clips: Sequence[int], folds: int, seed: int) -> np.ndarray:
    """Deals clips into folds of like size and like shares of each class, groups whole.

    Args:
        dataset: whose clips these are.
        clips: their numbers.
        folds: how many, at least 2.
        seed: of the order in which groups are dealt.

    Returns:
        int64 (clips,), from 0 to folds - 1.

    Raises:
        ValueError: if there are fewer groups than folds.
    """
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
    numbers = np.zeros(len(clips), np.int64)
    kind = StratifiedKFold if most == len(clips) else StratifiedGroupKFold  # the first is faster
    splitter = kind(folds, shuffle=True, random_state=seed)
    if np.bincount(label + 1).max() < folds:
        label = np.zeros_like(label)  # no class has a clip for each fold
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
    """Gives a data set its splits; those that it has are kept.

    Args:
        dataset: with or without splits.
        folds: how many to make, each tested once; None for one split into training and test.
        test: share of all clips that is tested, without folds.
        validation: share of the training clips for validation, in splits without any.
        seed: of the splits.

    Raises:
        ValueError: if a share is out of range, a part would be empty, or a given split has a group
            on two sides.
    """
    if not 0 < test < 1:
        raise ValueError(f"a test share of {test:g}; expected one between 0 and 1")
    splits, notes = dataset.splits, []
    if splits and folds is not None and folds != len(splits):
        notes.append(
            f"the data have {len(splits)} splits of their own; {folds} folds were asked for"
        )
    everything = range(len(dataset.clips))
    if not splits and folds is None:
        tested = _part(dataset, everything, test, seed)
        splits = fold_splits(np.where(tested, "test", "train").tolist(), ("test",))
    elif not splits:
        numbers = fold_numbers(dataset, everything, folds, seed)
        names = [str(number + 1) for number in range(folds)]
        splits = fold_splits([names[number] for number in numbers], names)
    splits = tuple(with_validation(split, dataset, validation, seed) for split in splits)
    made = dataclasses.replace(dataset, splits=splits)
    check_splits(made)
    return made.with_notes(*notes, *_absent_classes(made))


def with_validation(split: Split, dataset: Dataset, share: float, seed: int) -> Split:
    """Moves training clips to validation, groups whole, in the classes' shares.

    Every class keeps a training clip. A split that has validation clips is returned as it is, and
    so is one of a single group.

    Args:
        split: of the data set.
        dataset: whose clips the split numbers.
        share: of the training clips; 0 for none.
        seed: of the choice.

    Raises:
        ValueError: if the share is not from 0 to below 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"a validation share of {share:g}; expected one from 0 to below 1")
    if split.validation or not share:
        return split
    train = np.array(split.train)
    moved = _part(dataset, split.train, share, seed)
    return dataclasses.replace(
        split, train=tuple(train[~moved].tolist()), validation=tuple(train[moved].tolist())
    )


def _part(dataset: Dataset, clips: Sequence[int], share: float, seed: int) -> np.ndarray:
    """Which clips make up a share of them, groups whole: bool (clips,).

    Folds are made of which some are taken. Where classes have enough groups, each is on both sides.
    """
    groups = group_numbers([dataset.clips[number].group for number in clips])
    most = len(np.unique(groups))
    if most < 2:
        return np.zeros(len(clips), bool)
    small = min(share, 1 - share)
    ratio = Fraction(1, round(1 / small))
    if small > 0.1:
        ratio = Fraction(small).limit_denominator(10)
    if ratio.denominator > most:
        ratio = Fraction(1, most)
    target = dataset.target()[list(clips)] > 0
    for attempt in range(_ATTEMPTS):
        numbers = fold_numbers(dataset, clips, ratio.denominator, seed + attempt * 10_007)
        part = (numbers < ratio.numerator) == (share <= 0.5)
        _cover(part, target, groups, True)
        _cover(part, target, groups, False)
        if (target[~part].any(axis=0) == target.any(axis=0)).all():
            return part
    # What cannot be on both sides is trained on.
    for label in np.flatnonzero(target.any(axis=0) & ~target[~part].any(axis=0)):
        part[np.isin(groups, groups[target[:, label]])] = False
    return part


def _cover(part: np.ndarray, target: np.ndarray, groups: np.ndarray, side: bool) -> None:
    """Moves a group to one side for each class of at least two groups that is not there."""
    for label in np.flatnonzero(target.any(axis=0) & ~target[part == side].any(axis=0)):
        having, counts = np.unique(groups[target[:, label]], return_counts=True)
        for group in having[np.argsort(counts, kind="stable")] if len(having) > 1 else ():
            members = groups == group
            stays = target[(part != side) & ~members].any(axis=0)
            if stays[target[members].any(axis=0)].all():  # takes no other class away
                part[members] = side
                break


def check_splits(dataset: Dataset) -> None:
    """Raises ValueError if a split has an empty part, or a clip or group in two of its parts."""
    if not dataset.splits:
        raise ValueError(f"{dataset.name} has no splits; make them first")
    for split in dataset.splits:
        seen: dict[object, tuple[str, int]] = {}
        for part, numbers in split.parts().items():
            if not numbers and part != "validation":
                raise ValueError(f"{dataset.name}, split {split.name}: there is no {part} clip")
            for number in numbers:
                clip = dataset.clips[number]
                key = number if clip.group is None else ("group", clip.group)
                other, example = seen.setdefault(key, (part, number))
                if other != part:
                    what = " one clip" if clip.group is None else f" of group {clip.group}"
                    raise ValueError(
                        f"{dataset.name}, split {split.name}: {dataset.clips[example].clip_id} in "
                        f"{other} and {clip.clip_id} in {part} are{what}; put them into one part"
                    )


def _absent_classes(dataset: Dataset) -> Iterator[str]:
    """Notes on classes that a split cannot train or test."""
    target = dataset.target() > 0
    for split in dataset.splits:
        for part, numbers in (("training", split.train), ("test", split.test)):
            absent = np.flatnonzero(target.any(axis=0) & ~target[list(numbers)].any(axis=0))
            if len(absent):
                names = some([dataset.classes[label] for label in absent])
                yield f"split {split.name} has no {part} clip of {names}"


def group_duplicates(dataset: Dataset, hashes: Sequence[str]) -> Dataset:
    """Puts clips of equal sound, and their groups, into one group for the splits made later.

    Of a data set with splits the clips stay as they are; notes name the sounds on two sides.

    Args:
        dataset: with or without splits.
        hashes: of the sound of each clip.
    """
    size, sounds = len(hashes), group_numbers(hashes)
    copies = np.bincount(sounds)[sounds] > 1
    clips, notes = list(dataset.clips), []
    for split in dataset.splits:
        trained = {hashes[number]: number for number in (*split.train, *split.validation)}
        leaks = [number for number in split.test if hashes[number] in trained]
        names = [f"{clips[n].clip_id} is {clips[trained[hashes[n]]].clip_id}" for n in leaks]
        if leaks:
            note = f"split {split.name}: {len(leaks)} test clips are also trained on or validated"
            notes.append(f"{note} with: {some(names, 3, '; ')}")
    if copies.any() and not dataset.splits:
        # Clips are linked to their groups and to their sounds: what hangs together is one group.
        groups = group_numbers([clip.group for clip in clips])
        linked = np.concatenate([size + groups, 2 * size + sounds])
        edges = (np.ones(2 * size), (np.tile(np.arange(size), 2), linked))
        graph = sparse.coo_array(edges, shape=(3 * size, 3 * size))
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
    """The splits of given folds, or of given training, validation and test sets.

    Args:
        dataset: whose clips know their folds.
        listed: names of all folds, those whose files are all missing too.
    """
    name = dataset.name
    folds = [clip.fold for clip in dataset.clips]
    empty = [fold for fold in listed if fold not in folds]
    if empty:
        raise ValueError(f"{name}: fold {empty[0]} has no clip left; its files are missing")
    folds = [PARTS.get(fold.casefold(), fold) for fold in folds]
    parts = set(folds)
    if parts & set(PARTS.values()):
        others = sorted(parts - set(PARTS.values()))
        lacking = [part for part in ("train", "test") if part not in parts]
        if others or lacking:
            what = f"{others[0]!r} among them" if others else f"no {lacking[0]} clips"
            raise ValueError(
                f"{name}: clips are divided into {', '.join(listed)}, {what}; expected train, test "
                "and perhaps valid, or folds"
            )
        train, tested, validation = (
            tuple(number for number, fold in enumerate(folds) if fold == part)
            for part in ("train", "test", "validation")
        )
        splits = (Split("test", train, tested, validation),)
    elif len(parts) < 2:
        raise ValueError(f"{name}: all clips are in fold {listed[0]}; expected at least two folds")
    else:
        splits = fold_splits(folds, sorted(parts, key=_numbers_by_size))
    target = dataset.target() > 0
    for split in splits:
        trained = target[list(split.train)].any(axis=0)
        tested = target[[*split.test, *split.validation]].any(axis=0)
        for number in (tested & ~trained).nonzero()[0]:
            raise ValueError(
                f"{name}, split {split.name}: class {dataset.classes[number]} is tested, but no "
                "training clip has it; put clips of it into other folds or remove it"
            )
    return splits


def _numbers_by_size(fold: str) -> tuple:
    """A key by which fold10 comes after fold9."""
    pieces = re.split(r"(\d+)", fold)
    return tuple(int(piece) if n % 2 else piece for n, piece in enumerate(pieces))
