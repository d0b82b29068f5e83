"""User data: a folder for each class, a table of files and labels, or labels in file names."""

import collections
import dataclasses
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from panns_tf.transfer.dataset import (
    AudioFinder,
    Dataset,
    Entry,
    LabelledClip,
    Table,
    audio_files,
    check_label,
    folders_below,
    missing_files,
    read_table,
    relative,
    stem,
    without_repeats,
)
from panns_tf.transfer.settings import LABELS_FROM
from panns_tf.transfer.splits import PARTS, given_splits
from tfrecords.text import plain, some

#: Columns of a table, by name in any case; the first that a table has is taken.
FILE_COLUMNS = (
    *("filename", "file", "path", "fname", "clip", "filepath", "slice_file_name", "audio", "wav"),
)
LABEL_COLUMNS = ("label", "labels", "category", "class", "target", "scene_label", "species")
FOLD_COLUMNS = ("fold", "split")
GROUP_COLUMNS = ("group", "speaker", "source", "src_file", "recording", "identifier", "fsid")
PATTERN_EXAMPLE = r"'(?P<label>[a-z]+)_\d+'"
_TRUE, _FALSE = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", ""}
_FOLD = re.compile(r"fold[-_ ]?\d+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class _Entries:
    clips: tuple[Entry, ...]
    multi_label: bool = False
    notes: tuple[str, ...] = ()


def read_dataset(
    data: Path,
    *,
    audio: Path | None = None,
    labels_from: str = "auto",
    label_pattern: str | None = None,
    group_pattern: str | None = None,
    classes_file: Path | None = None,
    drop_rare: bool = False,
) -> Dataset:
    """Reads labelled clips of a user.

    Args:
        data: a table (see `FILE_COLUMNS` and the others), or a folder: with a folder for each
            class, with a table of its files, or with labels in the file names. Folders ``train``,
            ``test`` and perhaps ``valid``, or ``fold1``, ``fold2`` ..., around these are splits.
        audio: the folder from which a table names its files; by default the table's own.
        labels_from: ``folder``, ``name``, ``csv``, or ``auto``: the pattern if there is one, else
            a table in the folder, else folders.
        label_pattern: a regular expression with a group ``label`` and perhaps ``group`` and
            ``fold``, searched for in file names.
        group_pattern: a regular expression searched for in file names that finds the group.
        classes_file: a text file of the classes in their order, a line each; by default they are
            the labels found, sorted, numbers by their size.
        drop_rare: leave out classes too small to be trained and tested, rather than refuse them.

    Returns:
        The data set, with the splits that the data provide, or without any.

    Raises:
        ValueError: if there are no clips, fewer than two classes, a class too small, a label that
            is not among the classes, one file with different labels, or splits that cannot be used.
    """
    data = Path(data)
    if labels_from not in LABELS_FROM:
        raise ValueError(f"labels from {labels_from!r}; expected one of {', '.join(LABELS_FROM)}")
    if not data.exists():
        raise ValueError(f"{data} does not exist; expected a folder of sounds or a table of them")
    if label_pattern is not None and labels_from not in ("auto", "name"):
        raise ValueError(f"--label-pattern reads file names, but labels come from {labels_from}")
    if labels_from == "name" and label_pattern is None:
        raise ValueError(f"--labels-from name needs --label-pattern, such as {PATTERN_EXAMPLE}")
    if data.is_file():
        if labels_from not in ("auto", "csv") or label_pattern is not None:
            raise ValueError(f"{data} is a file; labels from names or folders need a folder")
        entries = _by_table(read_table(data), audio or data.parent)
    else:
        table = None
        if labels_from in ("auto", "csv") and label_pattern is None:
            table = _table_in(data, labels_from)
        if table is not None:
            entries = _by_table(table, audio or data)
        else:
            entries = _by_files(data, label_pattern)
    if group_pattern is not None:
        entries = _grouped(entries, group_pattern)
    return _dataset(data, entries, classes_file, drop_rare, audio)


# ---- tables


def _table_in(data: Path, labels_from: str) -> Table | None:
    """The table of clips directly in a folder, if there is one."""
    found = []
    for name in folders_below(data, 0)[0][1]:
        if name.lower().endswith((".csv", ".tsv", ".txt")):
            try:
                table = read_table(data / name)
            except ValueError:
                continue
            if table.find(*FILE_COLUMNS) and (
                table.find(*LABEL_COLUMNS) or len(_indicator_columns(table)) > 1
            ):
                found.append(table)
    if len(found) > 1:
        names = ", ".join(table.path.name for table in found[:5])
        raise ValueError(
            f"{data} holds several tables of clips ({names}); name one as --data, or give "
            "--labels-from folder"
        )
    if not found and labels_from == "csv":
        raise ValueError(
            f"{data} holds no table of clips; expected a CSV with the columns filename and label"
        )
    return found[0] if found else None


def _by_table(table: Table, audio: Path) -> _Entries:
    file = table.column(*FILE_COLUMNS)
    fold, group = table.find(*FOLD_COLUMNS), table.find(*GROUP_COLUMNS)
    labels, multi_label, notes = _labels(table)
    finder = AudioFinder(audio)
    entries = []
    for number, row in enumerate(table.rows):
        place = table.places[number]
        if not row[file]:
            raise ValueError(f"{place}: no file in column {file!r}")
        if fold and not row[fold]:
            raise ValueError(f"{place}: {row[file]} has no {fold}; give each clip one, or none")
        if not labels[number] and not multi_label:
            raise ValueError(f"{place}: {row[file]} has no label")
        path = _find(row[file], place, audio, finder)
        own_group = (row[group] or None) if group else None
        own_fold = row[fold] if fold else None
        entries.append(Entry(row[file], path, labels[number], place, own_fold, own_group))
    used = {"file": file, "fold": fold, "group": group}
    columns = ", ".join(f"{key} {column!r}" for key, column in used.items() if column)
    note = f"{table.path.name}: {columns}, {notes[0]}"
    return _Entries(tuple(entries), multi_label, (note, *notes[1:]))


def _labels(table: Table) -> tuple[list[tuple[str, ...]], bool, list[str]]:
    """The labels of each row, whether there may be several, and notes."""
    column = table.find(*LABEL_COLUMNS)
    if column is None:
        classes = _indicator_columns(table)
        if len(classes) < 2:
            raise ValueError(
                f"{table.path} has no column {' or '.join(LABEL_COLUMNS)}, and no columns of 0 and "
                f"1; its columns are {', '.join(table.columns)}"
            )
        rows = [tuple(name for name in classes if row[name].casefold() in _TRUE)
                for row in table.rows]  # fmt: skip
        known = {plain(name) for name in (*FILE_COLUMNS, *FOLD_COLUMNS, *GROUP_COLUMNS, *classes)}
        others = [name for name in table.columns if plain(name) not in known]
        notes = [f"{len(classes)} columns of 0 and 1 are the classes"]
        if others:
            notes.append(f"columns that are not of 0 and 1 are left out: {', '.join(others[:5])}")
        return rows, any(len(row) != 1 for row in rows), notes
    cells = [row[column] for row in table.rows]
    separators = "".join(mark for mark in ";|," if any(mark in cell for cell in cells))
    rows = []
    for cell in cells:
        parts = re.split(f"[{re.escape(separators)}]", cell) if separators else [cell]
        rows.append(tuple(dict.fromkeys(part.strip() for part in parts if part.strip())))
    note = f"label {column!r}"
    if separators:
        several = sum(len(row) > 1 for row in rows)
        marks = " or ".join(map(repr, separators))
        note += f", separated by {marks} ({several} clips have several)"
    return rows, bool(separators), [note]


def _indicator_columns(table: Table) -> list[str]:
    """Columns of nothing but 0 and 1."""
    known = {plain(name) for name in (*FILE_COLUMNS, *FOLD_COLUMNS, *GROUP_COLUMNS)}
    return [
        name
        for name in table.columns
        if name
        and plain(name) not in known
        and {row[name].casefold() for row in table.rows} <= _TRUE | _FALSE
        and any(row[name] for row in table.rows)
    ]


def _find(name: str, place: str, audio: Path, finder: AudioFinder) -> Path | None:
    """The file of a row: where it is listed, or the only one of its name."""
    listed = Path(name.replace("\\", "/"))
    for folder in (audio, audio / "audio", audio.parent / "audio"):
        if (folder / listed).is_file():
            return folder / listed
    found = finder.all(name)
    if len(found) > 1:
        raise ValueError(
            f"{place}: {name} may be {found[0]} or {found[1]}; give its path from {audio}"
        )
    return found[0] if found else None


# ---- folders and file names


def _by_files(data: Path, pattern: str | None) -> _Entries:
    data = _unwrapped(data)
    paths = audio_files(data)
    if not paths:
        raise ValueError(f"{data} holds no audio files; expected WAV or other sounds in or below")
    parts = [path.relative_to(data).parts for path in paths]
    top = {part[0] for part in parts if len(part) > 1}
    split = all(len(part) > 1 for part in parts) and _are_parts(top)
    entries = [
        Entry("/".join(part), path, part[split:-1][:1], str(path), fold=part[0] if split else None)
        for path, part in zip(paths, parts, strict=True)
    ]
    if pattern is not None:
        return _by_pattern(entries, pattern)
    clips = [entry for entry in entries if entry.labels]
    if not clips:
        raise ValueError(
            f"{data} holds no folders of sounds; expected one for each class, a table as --data, "
            f"or labels in the file names by --label-pattern, such as {PATTERN_EXAMPLE}"
        )
    notes = ["labels are the names of the folders"]
    loose = [entry.name for entry in entries if not entry.labels]
    if loose:
        files = "one file" if len(loose) == 1 else f"{len(loose)} files"
        notes.append(f"left out: {files} in no class's folder, such as {loose[0]}")
    above = [data / part for part in top] if split else [data]
    named = {path.name for folder in above for path in _subfolders(folder)}
    silent = named - {label for clip in clips for label in clip.labels}
    if silent:
        notes.append(f"left out: folders without audio: {some(sorted(silent))}")
    return _Entries(tuple(clips), notes=tuple(notes))


def _subfolders(folder: Path) -> list[Path]:
    return [path for path, _ in folders_below(folder, 1)[1:]]


def _unwrapped(data: Path) -> Path:
    """Goes down to where there is more than one folder, or a sound."""
    below = _subfolders(data)
    files = folders_below(data, 0)[0][1]
    if len(below) == 1 and _subfolders(below[0]) and all(stem(name) == name for name in files):
        return _unwrapped(below[0])
    return data


def _are_parts(folders: set[str]) -> bool:
    """Whether folders are parts of a split or folds, not classes."""
    if all(map(_FOLD.fullmatch, folders)):
        return len(folders) > 1
    return len(folders) > 1 and all(folder.casefold() in PARTS for folder in folders)


def _searched(pattern: str, flag: str, name: str, key: str | int) -> re.Match:
    """The match of a user's pattern in a file name."""
    match = _compiled(pattern, flag).search(name)
    if match is None or (flag == "--label-pattern" and not match[key]):
        raise ValueError(f"{flag} {pattern!r} finds no {flag[2:7]} in {name!r}")
    return match


def _compiled(pattern: str, flag: str) -> re.Pattern:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{flag} {pattern!r} is no regular expression: {error}") from None
    if flag == "--label-pattern" and "label" not in compiled.groupindex:
        raise ValueError(f"{flag} {pattern!r} has no group 'label'; write it as {PATTERN_EXAMPLE}")
    return compiled


def _by_pattern(entries: Sequence[Entry], pattern: str) -> _Entries:
    clips = []
    for entry in entries:
        found = _searched(pattern, "--label-pattern", stem(entry.name), "label").groupdict()
        fold = entry.fold or found.get("fold")
        changed = {"labels": (found["label"],), "fold": fold, "group": found.get("group")}
        clips.append(dataclasses.replace(entry, **changed))
    examples = (f"{stem(clips[n].name)!r} is {clips[n].labels[0]!r}" for n in (0, -1))
    note = f"labels are read from file names by {pattern!r}: {' and '.join(examples)}"
    return _Entries(tuple(clips), notes=(note,))


def _grouped(entries: _Entries, pattern: str) -> _Entries:
    flag = "--group-pattern"
    compiled = _compiled(pattern, flag)
    key = "group" if "group" in compiled.groupindex else min(1, compiled.groups)
    clips = [
        dataclasses.replace(entry, group=_searched(pattern, flag, stem(entry.name), key)[key] or "")
        for entry in entries.clips
    ]
    return dataclasses.replace(entries, clips=tuple(clips))


# ---- from entries to a data set, or to the reason why they make none


def _dataset(
    data: Path, entries: _Entries, classes_file: Path | None, drop_rare: bool, audio: Path | None
) -> Dataset:
    notes = list(entries.notes)
    listed = without_repeats(entries.clips)
    repeated = len(entries.clips) - len(listed)
    if repeated:
        notes.append(f"{_counted(repeated, 'row')} left out, as the clip is listed before alike")
    clips = [entry for entry in listed if entry.path is not None]
    if not clips:
        raise ValueError(
            f"{data}: none of {_counted(len(listed), 'file')} is there, such as {listed[0].name}; "
            "give the folder they are in with --audio"
        )
    if len(clips) < len(listed):
        notes.append(missing_files(listed))
    classes = _classes(clips, classes_file)
    _check_names(data, classes)
    if classes_file is None:
        gone = sorted({label for entry in listed for label in entry.labels}.difference(classes))
        if gone:
            notes.append(f"left out: classes whose files are all missing: {some(gone)}")
    root = _root(data, audio, clips)
    has_splits = any(entry.fold is not None for entry in clips)
    if not has_splits:
        clips = _without_rare(clips, entries.multi_label, drop_rare, notes)
        classes = _classes(clips, classes_file)
    by_case = collections.defaultdict(list)
    for name in classes:
        by_case[name.casefold()].append(name)
    alike = [" and ".join(names) for names in by_case.values() if len(names) > 1]
    if alike:
        notes.append(f"classes that differ in upper and lower case only: {some(alike)}")
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
    labelled = [
        LabelledClip(
            relative(entry.path, root),
            entry.path,
            tuple(sorted(numbers[label] for label in entry.labels)),
            entry.fold,
            entry.group,
        )
        for entry in clips
    ]
    labelled.sort(key=lambda clip: clip.clip_id)
    name = data.stem if data.is_file() else data.resolve().name
    made = Dataset(name, classes, tuple(labelled), (), entries.multi_label, tuple(notes))
    if not has_splits:
        return made
    folds = list(dict.fromkeys(entry.fold for entry in entries.clips))
    return dataclasses.replace(made, splits=given_splits(made, folds))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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
        controls = any(unicodedata.category(mark) in ("Cc", "Zl", "Zp") for mark in name)
        if not name.strip() or ";" in name or controls:
            raise ValueError(
                f"{data}: the class name {name!r} is empty, or holds ';', which separates labels, "
                "or a line break or another control character; rename the class"
            )


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
    repeated = [name for name, count in collections.Counter(classes).items() if count > 1]
    if repeated or not classes:
        what = f"the class {repeated[0]!r} twice" if repeated else "no classes"
        raise ValueError(f"{classes_file} holds {what}; expected one on each line")
    for entry in entries:
        for label in entry.labels:
            check_label(entry, label, classes, str(classes_file))
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
    if rare and not drop_rare:
        first, others = rare[0], f" (as have {some(rare[1:])} too few)" if rare[1:] else ""
        has = "one clip" if clips[first] == 1 else f"{clips[first]} clips, all of one group"
        raise ValueError(
            f"class {first} has {has}{others}; it cannot be in training and in test: add clips, "
            "remove it, or give --drop-rare"
        )
    if rare:
        classes = "class" if len(rare) == 1 else "classes"
        notes.append(
            f"{len(rare)} {classes} dropped, too small to be trained and tested: {some(rare)}"
        )
    kept = []
    for entry in entries:
        labels = tuple(label for label in entry.labels if label not in rare)
        if labels or (multi_label and not entry.labels):
            kept.append(dataclasses.replace(entry, labels=labels))
    return kept
