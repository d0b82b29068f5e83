"""From one's own labelled files to a collection, or to the reason why they make none."""

import collections
import dataclasses
import difflib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from panns_tf.transfer.clips import Collection, LabelledClip, Split
from panns_tf.transfer.layouts.listed import relative, some
from panns_tf.transfer.own_table import Entries, Entry

#: What people call the parts of a split.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("valid", "validation", "val", "validate", "dev"), "validation"),
}

#: Categories of characters that no name holds: controls, and what parts lines and paragraphs.
_CONTROLS = ("Cc", "Zl", "Zp")


def collect_own(
    data: Path,
    entries: Entries,
    classes_file: Path | None,
    drop_rare: bool,
    audio: Path | None = None,
) -> Collection:
    """Makes a collection of one's own clips; see `panns_tf.transfer.own.read_own`."""
    notes = list(entries.notes)
    clips = _present(data, _once(entries, notes), notes)
    classes = _classes(clips, classes_file)
    _check_names(data, classes)
    if classes_file is None:
        notes += _gone(entries.clips, classes)
    root = _root(data, audio, clips)
    splits_wanted = any(entry.fold is not None for entry in clips)
    if not splits_wanted:
        clips = _without_rare(clips, entries.multi_label, drop_rare, notes)
    if classes_file is None:
        classes = _classes(clips, None)
    notes += _alike(classes)
    present = {label for entry in clips for label in entry.labels}
    if len(present) < 2:
        what = f"one class, {present.pop()}" if present else "no class"
        raise ValueError(
            f"{data}: {_counted(len(clips), 'clip')} of {what}; expected at least two classes"
        )
    empty = [name for name in classes if name not in present]
    if empty:
        notes.append(f"classes without a clip: {some(empty)}")
    numbers = {name: number for number, name in enumerate(classes)}
    clips = sorted(clips, key=lambda entry: relative(entry.path, root))
    labelled = tuple(
        LabelledClip(
            relative(entry.path, root),
            entry.path,
            tuple(sorted(numbers[label] for label in entry.labels)),
            entry.fold,
            entry.group,
        )
        for entry in clips
    )
    name = data.stem if data.is_file() else data.resolve().name
    made = Collection(name, classes, labelled, (), entries.multi_label, tuple(notes))
    if splits_wanted:
        listed = list(dict.fromkeys(entry.fold for entry in entries.clips))
        made = dataclasses.replace(made, splits=_splits(made, listed))
    return made


def _root(data: Path, audio: Path | None, entries: Sequence[Entry]) -> Path:
    """The folder from which clips are named: where audio is looked for, or what holds all of it."""
    root = audio or (data.parent if data.is_file() else data)
    paths = [entry.path.absolute() for entry in entries]
    inside = [path.is_relative_to(Path(root).absolute()) for path in paths]
    if all(inside) or (audio is not None and any(inside)):
        return root
    return Path(os.path.commonpath([path.parent for path in paths]))


def _check_names(data: Path, classes: Sequence[str]) -> None:
    """Refuses names that cannot stand in a file of labels, or in a cell of several."""
    for name in classes:
        if not name.strip():
            what = "is empty"
        elif ";" in name:
            what = "holds ';', which parts labels"
        elif any(unicodedata.category(mark) in _CONTROLS for mark in name):
            what = "holds a line break or another control character"
        else:
            continue
        raise ValueError(f"{data}: the class name {name!r} {what}; rename the class")


def _gone(listed: Sequence[Entry], classes: Sequence[str]) -> list[str]:
    """A note on classes that went with their files."""
    gone = sorted({label for entry in listed for label in entry.labels}.difference(classes))
    return [f"left out: classes whose files are all missing: {some(gone)}"] if gone else []


def _alike(classes: Sequence[str]) -> list[str]:
    """A note on classes that differ in case only."""
    spelt = collections.defaultdict(list)
    for name in classes:
        spelt[name.casefold()].append(name)
    alike = [" and ".join(names) for names in spelt.values() if len(names) > 1]
    return [f"classes that differ in upper and lower case only: {some(alike)}"] if alike else []


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _once(entries: Entries, notes: list[str]) -> list[Entry]:
    """Each file once, if it is one thing."""
    seen: dict[object, Entry] = {}
    for entry in entries.clips:
        other = seen.setdefault(entry.path or entry.name, entry)
        for what, one, two in (
            ("labels", ";".join(sorted(entry.labels)), ";".join(sorted(other.labels))),
            ("folds", entry.fold, other.fold),
            ("groups", entry.group, other.group),
        ):
            if one != two:
                hint = "; write several labels in one cell, as a;b" if what == "labels" else ""
                raise ValueError(
                    f"{entry.name} is listed twice with different {what}: {two} ({other.place}) "
                    f"and {one} ({entry.place}){hint}"
                )
    twice = len(entries.clips) - len(seen)
    if twice:
        notes.append(f"{_counted(twice, 'row')} left out, as the clip is listed before alike")
    return list(seen.values())


def _present(data: Path, entries: Sequence[Entry], notes: list[str]) -> list[Entry]:
    missing = [entry.name for entry in entries if entry.path is None]
    if len(missing) == len(entries):
        raise ValueError(
            f"{data}: none of {_counted(len(missing), 'file')} is there, such as {missing[0]}; "
            "give the folder they are in with --audio"
        )
    if missing:
        files = "file is" if len(missing) == 1 else "files are"
        notes.append(f"{len(missing)} {files} missing: {some(missing)}")
    return [entry for entry in entries if entry.path is not None]


def _classes(entries: Sequence[Entry], classes_file: Path | None) -> tuple[str, ...]:
    found = {label for entry in entries for label in entry.labels}
    if classes_file is None:
        numeric = all(re.fullmatch(r"\d+", label) for label in found)
        return tuple(sorted(found, key=(lambda x: (int(x), x)) if numeric else None))
    try:
        lines = Path(classes_file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the classes of {classes_file}: {error}") from None
    classes = tuple(line.strip() for line in lines if line.strip())
    twice = [name for name, count in collections.Counter(classes).items() if count > 1]
    if twice or not classes:
        what = f"the class {twice[0]!r} twice" if twice else "no classes"
        raise ValueError(f"{classes_file} holds {what}; expected one on each line")
    for entry in entries:
        for label in entry.labels:
            if label not in classes:
                near = difflib.get_close_matches(label, classes, n=1, cutoff=0)[0]
                raise ValueError(
                    f"{entry.place}: {entry.name} has the label {label!r}, none of the "
                    f"{len(classes)} classes of {classes_file}; the nearest is {near!r}"
                )
    return classes


def _without_rare(
    entries: Sequence[Entry], multi_label: bool, drop_rare: bool, notes: list[str]
) -> list[Entry]:
    """Refuses or drops classes that cannot be both in training and in test."""
    clips: collections.Counter[str] = collections.Counter()
    groups = collections.defaultdict(set)
    for number, entry in enumerate(entries):
        for label in entry.labels:
            clips[label] += 1
            groups[label].add(number if entry.group is None else (entry.group,))
    rare = sorted(label for label in clips if len(groups[label]) < 2)
    if not rare:
        return list(entries)
    first = rare[0]
    if not drop_rare:
        has = "one clip" if clips[first] == 1 else f"{clips[first]} clips, all of one group"
        others = f" (as have {some(rare[1:])} too few)" if len(rare) > 1 else ""
        raise ValueError(
            f"class {first} has {has}{others}; it cannot be in training and in test: add clips, "
            "remove it, or give --drop-rare"
        )
    notes.append(
        f"{len(rare)} {'class' if len(rare) == 1 else 'classes'} dropped, too small to be trained "
        f"and tested: {some(rare)}"
    )
    kept = []
    for entry in entries:
        labels = tuple(label for label in entry.labels if label not in rare)
        if labels or (multi_label and not entry.labels):
            kept.append(dataclasses.replace(entry, labels=labels))
    return kept


def _splits(collection: Collection, listed: Sequence[str]) -> tuple[Split, ...]:
    """The splits of given folds, or of given training, validation and test sets.

    Args:
        collection: whose clips know their folds.
        listed: names of all folds, those whose files are all missing too.
    """
    name = collection.name
    numbers = {
        fold: tuple(n for n, clip in enumerate(collection.clips) if clip.fold == fold)
        for fold in listed
    }
    empty = [fold for fold, inside in numbers.items() if not inside]
    if empty:
        raise ValueError(f"{name}: fold {empty[0]} has no clip left; its files are missing")
    parts = collections.defaultdict(tuple)
    for fold, inside in numbers.items():
        parts[SPLIT_NAMES.get(fold.casefold(), fold)] += inside
    if set(parts) & set(SPLIT_NAMES.values()):
        strange = sorted(set(parts) - set(SPLIT_NAMES.values()))
        lacking = [part for part in ("train", "test") if part not in parts]
        if strange or lacking:
            what = f"{strange[0]!r} among them" if strange else f"no {lacking[0]} clips"
            raise ValueError(
                f"{name}: clips are parted into {', '.join(listed)}, {what}; expected train, test "
                "and perhaps valid, or folds"
            )
        train, tested = sorted(parts["train"]), sorted(parts["test"])
        splits = (Split("test", tuple(train), tuple(tested), tuple(sorted(parts["validation"]))),)
    elif len(parts) < 2:
        raise ValueError(f"{name}: all clips are in fold {listed[0]}; expected at least two folds")
    else:
        everything = set(range(len(collection.clips)))
        splits = tuple(
            Split(fold, tuple(sorted(everything.difference(inside))), inside)
            for fold, inside in sorted(parts.items(), key=lambda item: _in_order(item[0]))
        )
    for split in splits:
        _check_classes(collection, split)
    return splits


def _in_order(fold: str) -> tuple:
    """A key by which fold10 comes after fold9."""
    pieces = re.split(r"(\d+)", fold)
    return tuple(int(piece) if n % 2 else piece for n, piece in enumerate(pieces))


def _check_classes(collection: Collection, split: Split) -> None:
    target = collection.target() > 0  # (clips, classes)
    trained = target[list(split.train)].any(0)
    tested = target[[*split.test, *split.validation]].any(0)
    for number, label in enumerate(collection.classes):
        if tested[number] and not trained[number]:
            raise ValueError(
                f"{collection.name}, split {split.name}: class {label} is tested, but no training "
                "clip has it; put clips of it into other folds or remove it"
            )
