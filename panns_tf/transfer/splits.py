"""Splits that keep classes in their shares and groups whole."""

import collections
import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from panns_tf.transfer.clips import Collection, LabelledClip, Split
from panns_tf.transfer.stratify import assign_groups, group_numbers

#: Draws among which the one that parts the rare classes best is taken.
_DRAWS = 16


def fold_numbers(
    target: np.ndarray, groups: Sequence[Hashable | None], folds: int, seed: int
) -> np.ndarray:
    """Deals clips into folds of equal size and equal shares of each class, groups whole.

    Args:
        target: (clips, classes) of 0 and 1.
        groups: of each clip; None for a clip that shares nothing with others.
        folds: how many, at least 2.
        seed: for ties; the same seed gives the same folds.

    Returns:
        int64 (clips,), from 0 to folds - 1.

    Raises:
        ValueError: if there are fewer groups than folds.
    """
    target, numbers = _checked(target, groups)
    most = int(numbers.max(initial=-1)) + 1
    if not 2 <= folds <= most:
        raise ValueError(
            f"{folds} folds of {len(numbers)} clips in {most} groups; expected from 2 to {most}"
        )
    return _best(target, numbers, np.full(folds, 1 / folds), seed)  # (clips,)


def make_splits(
    collection: Collection,
    *,
    folds: int | None = None,
    test: float = 0.2,
    validation: float = 0.15,
    seed: int = 0,
) -> Collection:
    """Gives a collection its splits; those that it has are kept.

    Args:
        collection: with or without splits.
        folds: how many to make, each tested once; None for one split into training and test.
        test: share of all clips that are tested, without folds.
        validation: share of the training clips that becomes validation, in splits without any.
        seed: for ties.

    Raises:
        ValueError: if a share is out of range, or a part would be empty.
    """
    if not 0 < test < 1:
        raise ValueError(f"a test share of {test:g}; expected one between 0 and 1")
    splits, notes = collection.splits, []
    if splits and folds is not None and folds != len(splits):
        notes.append(
            f"the data have {len(splits)} splits of their own; {folds} folds were asked for"
        )
    if not splits:
        groups = [clip.group for clip in collection.clips]
        target = collection.target()  # (clips, classes)
        if folds is None:
            target, numbers = _checked(target, groups)
            dealt = _best(target, numbers, np.array([1 - test, test]), seed)
            names = {1: "test"}
        else:
            dealt = fold_numbers(target, groups, folds, seed)
            names = {number: str(number + 1) for number in range(folds)}
        splits = tuple(
            Split(
                name,
                tuple(np.flatnonzero(dealt != number).tolist()),
                tuple(np.flatnonzero(dealt == number).tolist()),
            )
            for number, name in names.items()
        )
    splits = tuple(with_validation(split, collection, validation, seed) for split in splits)
    made = dataclasses.replace(collection, splits=splits)
    check_splits(made)
    return dataclasses.replace(made, notes=(*made.notes, *notes, *_lacking(made)))


def with_validation(split: Split, collection: Collection, fraction: float, seed: int) -> Split:
    """Moves part of the training clips to validation, whole groups, in the shares of the classes.

    Every class keeps a training clip. A split that has validation clips is returned as it is.

    Args:
        split: of the collection.
        collection: whose clips the split numbers.
        fraction: of the training clips; 0 for none.
        seed: for ties.

    Raises:
        ValueError: if the fraction is not from 0 to below 1.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"a validation share of {fraction:g}; expected one from 0 to below 1")
    if split.validation or not fraction:
        return split
    train = np.array(split.train)
    groups = [collection.clips[number].group for number in split.train]
    target, numbers = _checked(collection.target()[train], groups)
    moved = _best(target, numbers, np.array([1 - fraction, fraction]), seed) == 1
    for label in np.flatnonzero(target.any(0) & ~target[~moved].any(0)):
        moved &= ~np.isin(numbers, numbers[target[:, label] > 0])
    return dataclasses.replace(
        split, train=tuple(train[~moved].tolist()), validation=tuple(train[moved].tolist())
    )


def subset(split: Split, collection: Collection, clips_per_class: int, seed: int) -> Split:
    """Keeps some training clips of each class, of different groups as far as there are.

    With the same seed the clips of a smaller number are among those of a larger one. Of a class
    with fewer clips all are kept, see `short_classes`. A clip of several classes counts for each;
    one without any is not kept.

    Args:
        split: of the collection.
        collection: whose clips the split numbers.
        clips_per_class: at least 1.
        seed: which clips.

    Raises:
        ValueError: if the number is below 1.
    """
    if clips_per_class < 1:
        raise ValueError(f"{clips_per_class} clips per class; expected at least 1")
    allowed = set(split.train)
    labelled = [collection.clips[number].labels for number in split.train]
    counts = collections.Counter(label for labels in labelled for label in labels)
    orders = {
        label: [n for n in _order(collection, label, seed) if n in allowed]
        for label in sorted(counts, key=lambda label: (counts[label], label))
    }
    kept: set[int] = set()
    have: collections.Counter[int] = collections.Counter()
    for wanted in range(1, clips_per_class + 1):  # in rounds, so that fewer are among more
        for label, order in orders.items():
            if have[label] >= min(wanted, counts[label]):
                continue
            clip = next(number for number in order if number not in kept)
            kept.add(clip)
            have.update(collection.clips[clip].labels)
    return dataclasses.replace(split, train=tuple(sorted(kept)))


def short_classes(split: Split, collection: Collection, clips_per_class: int) -> str | None:
    """Returns a note on the classes that have fewer training clips than wanted, or None."""
    counts = collection.target()[list(split.train)].sum(0)  # (classes,)
    short = [
        f"{name} ({int(count)})"
        for name, count in zip(collection.classes, counts, strict=True)
        if count < clips_per_class
    ]
    if not short:
        return None
    more = f" and {len(short) - 8} more" if len(short) > 8 else ""
    return (
        f"split {split.name}: {len(short)} of {len(counts)} classes have fewer than "
        f"{clips_per_class} training clips: {', '.join(short[:8])}{more}"
    )


def check_splits(collection: Collection) -> None:
    """Raises ValueError if a split has an empty part, or a clip or group in two of its parts."""
    if not collection.splits:
        raise ValueError(f"{collection.name} has no splits; make them first")
    for split in collection.splits:
        parts = {"training": split.train, "validation": split.validation, "test": split.test}
        seen: dict[object, tuple[str, LabelledClip]] = {}
        for part, numbers in parts.items():
            if not numbers and part != "validation":
                raise ValueError(f"{collection.name}, split {split.name}: there is no {part} clip")
            for number in numbers:
                clip = collection.clips[number]
                key = number if clip.group is None else ("group", clip.group)
                other, example = seen.setdefault(key, (part, clip))
                if other != part:
                    what = "" if clip.group is None else f" of group {clip.group}"
                    raise ValueError(
                        f"{collection.name}, split {split.name}: {example.clip_id} in {other} and "
                        f"{clip.clip_id} in {part} are{what or ' one clip'}; put them into one part"
                    )


def _checked(target: np.ndarray, groups: Sequence) -> tuple[np.ndarray, np.ndarray]:
    target = np.asarray(target, np.float64)
    if target.ndim != 2 or len(target) != len(groups):
        raise ValueError(
            f"a target of shape {target.shape} for {len(groups)} groups; expected (clips, classes)"
        )
    return target, group_numbers(groups)


def _best(target: np.ndarray, groups: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """The draw that leaves the fewest classes out of training and test, then the most even one."""
    best, least = None, None
    for draw in range(_DRAWS):
        dealt = assign_groups(target, groups, shares, np.random.default_rng([seed, draw]))
        counts = np.stack([target[dealt == part].sum(0) for part in range(len(shares))])
        wanted = shares[:, None] * target.sum(0)  # (parts, classes)
        total = target.sum(0)
        # a class that one part holds whole cannot be trained and tested
        whole = int(((counts == total) & (total > 0)).sum())
        # the first part of unequal ones is training
        lacking = int(((counts[0] == 0) & (total > 0)).sum())
        sizes = np.bincount(dealt, minlength=len(shares))
        empty = int((sizes == 0).sum())
        uneven = float(np.abs(counts - wanted).sum() + np.abs(sizes - shares * len(dealt)).sum())
        cost = (empty, lacking if len(set(shares)) > 1 else whole, whole, uneven)
        if least is None or cost < least:
            best, least = dealt, cost
    return best


def _order(collection: Collection, label: int, seed: int) -> list[int]:
    """The clips of a class in an order of chance, the first ones of different groups."""
    numbers = np.array([n for n, clip in enumerate(collection.clips) if label in clip.labels])
    drawn = np.random.default_rng([seed, label]).permutation(numbers).tolist()
    taken: collections.Counter[str] = collections.Counter()
    rounds = []
    for number in drawn:
        group = collection.clips[number].group
        rounds.append(taken[group] if group is not None else 0)
        taken[group] += 1
    return [number for _, number in sorted(zip(rounds, drawn, strict=True), key=lambda x: x[0])]


def _lacking(collection: Collection) -> list[str]:
    """Notes on classes that a split cannot train or test."""
    notes = []
    target = collection.target()
    for split in collection.splits:
        for part, numbers in (("training", split.train), ("test", split.test)):
            without = np.flatnonzero(target.any(0) & ~target[list(numbers)].any(0))
            if len(without):
                names = ", ".join(collection.classes[label] for label in without[:5])
                more = f" and {len(without) - 5} more" if len(without) > 5 else ""
                notes.append(f"split {split.name} has no {part} clip of {names}{more}")
    return notes
