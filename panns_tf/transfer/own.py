"""One's own sounds: a folder a class, labels in file names, or a table."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import listing, sound_files, stem
from panns_tf.transfer.layouts.listed import some
from panns_tf.transfer.name_rules import NoRuleError, read_groups, read_names
from panns_tf.transfer.own_checks import SPLIT_NAMES, collect_own
from panns_tf.transfer.own_table import Entries, Entry, is_clip_table, read_entries
from panns_tf.transfer.recognise import resembles

SOURCES = ("auto", "folder", "name", "csv")
_TABLES = (".csv", ".tsv", ".txt")
_FOLD = re.compile(r"fold[-_ ]?\d+", re.IGNORECASE)


def read_own(
    data: Path,
    *,
    audio: Path | None = None,
    labels_from: str = "auto",
    pattern: str | None = None,
    group_pattern: str | None = None,
    classes_file: Path | None = None,
    drop_rare: bool = False,
) -> Collection:
    """Reads labelled clips of one's own.

    Args:
        data: a table that `panns_tf.transfer.own_table.read_entries` takes, or a folder: with a
            folder for each class, or of files whose names hold their labels, or with a table of
            them in it. Folders ``train``, ``test`` and perhaps ``valid``, or ``fold1``, ``fold2``
            and so on, around any of these are splits.
        audio: the folder from which a table names its files; by default the table's own.
        labels_from: ``folder``, ``name``, ``csv``, or ``auto`` for what the data look like.
        pattern: a regular expression with a group ``label`` and perhaps ``group`` and ``fold``,
            searched for in file names; they hold the labels then.
        group_pattern: a regular expression for file names that finds the group.
        classes_file: a text file of the classes in their order, a line each; by default they are
            the labels found, sorted, numbers by their size.
        drop_rare: leave out classes too small to be trained and tested, rather than refuse them.

    Returns:
        The collection, with the splits that the data have, or without any.

    Raises:
        ValueError: if there are no clips, fewer than two classes, a class too small, a label that
            is not among the classes, one file with different labels, or splits that cannot be used.
    """
    data = Path(data)
    if labels_from not in SOURCES:
        raise ValueError(f"labels from {labels_from!r}; expected one of {', '.join(SOURCES)}")
    if not data.exists():
        raise ValueError(f"{data} does not exist; expected a folder of sounds or a table of them")
    if pattern is not None and labels_from not in ("auto", "name"):
        raise ValueError(f"--label-pattern reads file names, but labels come from {labels_from}")
    if data.is_file():
        if labels_from not in ("auto", "csv") or pattern is not None:
            raise ValueError(f"{data} is a file; labels from names or folders need a folder")
        entries = read_entries(data, audio)
    else:
        entries = _read_folder(data, audio, labels_from, pattern)
    if group_pattern is not None:
        groups = read_groups([stem(entry.name) for entry in entries.clips], group_pattern)
        clips = [
            dataclasses.replace(entry, group=group)
            for entry, group in zip(entries.clips, groups, strict=True)
        ]
        entries = dataclasses.replace(entries, clips=tuple(clips))
    return collect_own(data, entries, classes_file, drop_rare, audio)


def _read_folder(
    data: Path,
    audio: Path | None,
    labels_from: str,
    pattern: str | None,
) -> Entries:
    table = None
    if labels_from in ("auto", "csv") and pattern is None:
        table = _table(data, labels_from)
    if table is not None:
        entries = read_entries(table, data if audio is None else audio)
        hint = "for the names of folders or files as labels give --labels-from folder or name"
        return dataclasses.replace(entries, notes=(*entries.notes, hint))
    data = _unwrapped(data)
    paths = list(sound_files(data))
    if not paths:
        raise ValueError(f"{data} holds no audio files; expected WAV or other sounds in or below")
    parts = [path.relative_to(data).parts for path in paths]
    top = {part[0] for part in parts if len(part) > 1}
    split = all(len(part) > 1 for part in parts) and _are_parts(top)
    if not split:
        _check_parts(data, top)
    folds = [part[0] if split else None for part in parts]
    parts = [part[1:] for part in parts] if split else parts
    classes = {part[0] for part in parts if len(part) > 1}
    if labels_from == "folder" or (labels_from == "auto" and pattern is None and len(classes) > 1):
        entries = _by_folder(data, paths, parts, folds)
        notes = _silent(data, top if split else {""}, classes)
        entries = dataclasses.replace(entries, notes=(*entries.notes, *notes))
    else:
        alone = labels_from == "auto" and classes == {part[0] for part in parts}
        entries = _by_name(data, paths, folds, pattern, min(classes) if alone else None)
    task = resembles(data)
    if task is not None:
        hint = f"the folder resembles a known data set; --task {task} has its published folds"
        entries = dataclasses.replace(entries, notes=(*entries.notes, hint))
    return entries


def _table(data: Path, labels_from: str) -> Path | None:
    """The table in a folder, if that is how its clips are labelled."""
    found = listing(data)
    named = [data / name for name in found.files if name.lower().endswith(_TABLES)]
    tables = [path for path in named if is_clip_table(path)]
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables[:5])
        raise ValueError(
            f"{data} holds several tables of clips ({names}); name one as --data, or give "
            "--labels-from folder or name"
        )
    if not tables and labels_from == "csv":
        raise ValueError(
            f"{data} holds no table of clips; expected a CSV with the columns filename and label"
        )
    return tables[0] if tables else None


def _unwrapped(data: Path) -> Path:
    """Goes down to where there is more than one folder, or a sound."""
    found = listing(data)
    while len(found.folders) == 1 and not found.sounds():
        below = listing(data / found.folders[0])
        if not below.folders:
            break
        data, found = below.path, below
    return data


def _are_parts(folders: set[str]) -> bool:
    """Whether folders say what is trained on and tested, or which fold it is, not the class."""
    if all(map(_FOLD.fullmatch, folders)):
        return len(folders) > 1
    known = {SPLIT_NAMES.get(folder.casefold()) for folder in folders}
    return None not in known and {"train", "test"} <= known


def _check_parts(data: Path, sounding: set[str]) -> None:
    """Refuses folders that would be parts of a split if all of them held sounds."""
    named = {
        folder
        for folder in listing(data).folders
        if folder.casefold() in SPLIT_NAMES or _FOLD.fullmatch(folder)
    }
    silent = sorted(named - sounding)
    if silent and _are_parts(named | sounding):
        raise ValueError(
            f"{data}: {silent[0]}/ holds no audio; expected sounds in each part of the split, or "
            "folders of classes alone"
        )


def _silent(data: Path, parts: set[str], classes: set[str]) -> list[str]:
    """A note on folders that would be classes if they held sounds."""
    silent = {folder for part in parts for folder in listing(data / part).folders} - classes
    return [f"left out: folders without audio: {some(sorted(silent))}"] if silent else []


def _by_folder(
    data: Path,
    paths: Sequence[Path],
    parts: Sequence[tuple[str, ...]],
    folds: Sequence[str | None],
) -> Entries:
    loose = [path for path, part in zip(paths, parts, strict=True) if len(part) == 1]
    if len(loose) == len(paths):
        raise ValueError(f"{data} holds no folders of sounds; expected one for each class")
    entries = [
        Entry(path.relative_to(data).as_posix(), path, (part[0],), str(path), fold)
        for path, part, fold in zip(paths, parts, folds, strict=True)
        if len(part) > 1
    ]
    notes = ["labels are the names of the folders"]
    if loose:
        files = "one file" if len(loose) == 1 else f"{len(loose)} files"
        notes.append(f"left out: {files} in no class's folder, such as {loose[0].name}")
    return Entries(tuple(entries), notes=tuple(notes))


def _by_name(
    data: Path,
    paths: Sequence[Path],
    folds: Sequence[str | None],
    pattern: str | None,
    folder: str | None,
) -> Entries:
    """Args: folder: that holds all sounds, or None."""
    stems = [stem(path.name) for path in paths]
    try:
        rule = read_names(stems, pattern)
    except NoRuleError as error:
        if folder is None:
            raise ValueError(f"{data}: {error}") from None
        raise ValueError(
            f"{data}: all sounds are in one folder, {folder}, and their names hold no labels; "
            "expected at least two classes: put a folder of each other class beside it, or give "
            "--label-pattern"
        ) from None
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from None
    entries = [
        Entry(
            path.relative_to(data).as_posix(),
            path,
            (named.label,),
            str(path),
            named.fold if fold is None else fold,
            named.group,
        )
        for path, named, fold in zip(paths, rule.named, folds, strict=True)
    ]
    return Entries(tuple(entries), notes=(rule.title,))
