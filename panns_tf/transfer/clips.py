"""Clips as tables list them and folders hold them, and the checks that make a data set of them."""

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from panns_tf.transfer.dataset import Dataset, LabelledClip
from panns_tf.transfer.splits import given_splits
from tfrecords.files import Table
from tfrecords.search import AUDIO_EXTENSIONS, walk
from tfrecords.text import did_you_mean, plain, some

#: Columns by what they tell, named in any case; the first that a table has is taken.
COLUMNS: Mapping[str, Sequence[str]] = {
    "file": (
        *("filename", "file", "path", "fname", "clip", "filepath", "slice_file_name"),
        *("audio", "wav"),
    ),
    "label": ("label", "labels", "category", "class", "target", "scene_label", "species"),
    "fold": ("fold", "split"),
    "group": ("group", "speaker", "source", "src_file", "recording", "identifier", "fsid"),
}
PATTERN_EXAMPLE = r"'(?P<label>[a-z]+)_\d+'"
_TRUE, _FALSE = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", ""}


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A clip as it is listed at some place; the path is None where its file is missing."""

    name: str
    place: str
    path: Path | None
    labels: tuple[str, ...]
    fold: str | None = None
    group: str | None = None


# ---- files


def stem(name: str) -> str:
    """A file's name without folders and without its extension, if that is one of audio."""
    path = Path(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in AUDIO_EXTENSIONS else path.name


def files_below(folder: Path, extensions: tuple[str, ...] = AUDIO_EXTENSIONS) -> list[Path]:
    """The files in and below a folder in order of name, those of upper folders first."""
    found = [Path(name) for name in walk(str(folder), extensions, set())]
    found = [path for path in found if "__MACOSX" not in path.parts and path.suffix]
    return sorted(found, key=lambda path: len(path.parts))


class AudioFinder:
    """Finds the audio files in and below a folder by name, with or without extension.

    With ``inside`` only those in or below a folder whose name ends so, in any case.
    """

    def __init__(self, folder: Path, inside: str = ""):
        self.paths, self._folder = [], folder
        self._named: dict[str, list[Path]] = collections.defaultdict(list)
        for path in files_below(folder):
            above = path.relative_to(folder).parts[:-1]
            if not inside or any(name.lower().endswith(inside) for name in above):
                self.paths.append(path)
                for key in {path.name, stem(path.name)}:
                    self._named[key].append(path)

    def find(self, name: str, labels: Sequence[str], place: str) -> Path | None:
        """The file at a listed path, else the uppermost one of that name, or None.

        Those in a folder that is named as listed, or as a label, come before others.
        """
        listed = Path(name.replace("\\", "/"))
        for folder in (self._folder, self._folder / "audio", self._folder.parent / "audio"):
            if (folder / listed).is_file():
                return folder / listed
        found = self._named.get(listed.name) or self._named.get(stem(listed.name)) or []
        folders = (listed.parent.name, *labels)
        found = [path for path in found if path.parent.name in folders] or found
        found = [path for path in found if len(path.parts) == len(found[0].parts)]
        if len({path.parent for path in found}) > 1:
            raise ValueError(
                f"{place}: {name} may be {found[0]} or {found[1]}; give its path from "
                f"{self._folder}"
            )
        return min(found, key=lambda p: AUDIO_EXTENSIONS.index(p.suffix.lower()), default=None)


def match_names(entries: Iterable[Entry], pattern: str, flag: str, wanted: str) -> list[Entry]:
    """Entries with the labels, groups and folds that a regular expression finds in file names.

    It is searched for in names without folders and extension. What is wanted, ``label`` or
    ``group``, is the group of that name; without such the first group, or the whole match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{flag} {pattern!r} is no regular expression: {error}") from None
    if wanted == "label" and wanted not in compiled.groupindex:
        raise ValueError(f"{flag} {pattern!r} has no group 'label'; write it as {PATTERN_EXAMPLE}")
    key = wanted if wanted in compiled.groupindex else min(1, compiled.groups)
    matched = []
    for entry in entries:
        match = compiled.search(stem(entry.name))
        if match is None or not match[key]:
            raise ValueError(f"{flag} {pattern!r} finds no {wanted} in {stem(entry.name)!r}")
        found = {**match.groupdict(), wanted: match[key]}
        labels = (found["label"],) if "label" in found else entry.labels
        more = {name: found[name] for name in ("fold", "group") if found.get(name)}
        matched.append(dataclasses.replace(entry, labels=labels, **more))
    return matched


# ---- tables


class ClipTable:
    """A table of clips: its rows, and its columns by what they tell; names as in `COLUMNS`."""

    def __init__(self, path: Path, columns: Mapping[str, Sequence[str]] = COLUMNS):
        table = Table(path)
        self.path, self.rows = path, list(table)
        if not self.rows:
            raise ValueError(f"{path} holds no rows; expected a header and a row for each clip")
        known = {plain(name): name for name in reversed(table.columns)}
        self.columns = {
            role: next((known[plain(name)] for name in names if plain(name) in known), None)
            for role, names in columns.items()
        }
        #: Columns of nothing but 0 and 1: a class each, where no column has the labels.
        self.indicators = [
            name
            for name in filter(None, table.columns)
            if name not in self.columns.values()
            and {row[name].casefold() for _, row in self.rows} <= _TRUE | _FALSE
            and any(row[name] for _, row in self.rows)
        ]
        for role in ("file", "label"):
            if not self.columns[role] and (role == "file" or len(self.indicators) < 2):
                raise ValueError(
                    f"{path} has no column {' or '.join(columns[role])}; its columns are "
                    f"{', '.join(table.columns)}"
                )

    def entries(self, finder: AudioFinder) -> tuple[list[Entry], bool, str]:
        """The clips, whether they may have several labels, and a note on how the table is read."""
        file, label, fold, group = (self.columns[role] for role in COLUMNS)
        used = (f"{role} {name!r}" for role, name in self.columns.items() if name)
        note = f"{self.path.name}: {', '.join(used)}"
        if label is None:
            note += f"; classes are the columns of 0 and 1: {some(self.indicators)}"
            labels = [
                [name for name in self.indicators if row[name].casefold() in _TRUE]
                for _, row in self.rows
            ]
            multi_label = any(len(names) != 1 for names in labels)
        else:
            cells = [row[label] for _, row in self.rows]
            marks = "".join(mark for mark in ";|," if any(mark in cell for cell in cells))
            labels = [re.split(f"[{marks}]", cell) if marks else [cell] for cell in cells]
            multi_label = bool(marks)
            note += f", separated by {' or '.join(map(repr, marks))}" if marks else ""
        entries = []
        for (place, row), names in zip(self.rows, labels, strict=True):
            names = tuple(dict.fromkeys(filter(None, map(str.strip, names))))
            empty = [column for column in (file, fold) if column and not row[column]]
            if empty or not (names or multi_label):
                what = empty[0] if empty else label
                raise ValueError(f"{place}: {row[file] or 'the clip'} has no {what}")
            path = finder.find(row[file], names, place)
            its_fold, its_group = (row[column] if column else None for column in (fold, group))
            entries.append(Entry(row[file], place, path, names, its_fold, its_group or None))
        return entries, multi_label, note


# ---- from entries to a data set, or to the reason why they make none


def make_dataset(
    name: str,
    entries: Sequence[Entry],
    *,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
    folds: Sequence[str] = (),
    multi_label: bool = False,
    drop_rare: bool = False,
    notes: Sequence[str] = (),
) -> Dataset:
    """The data set of listed clips, with the splits of their folds or without.

    Clips are named from a root, if one of them is below it, else from the folder that holds all
    folders of clips. Classes are by default the labels found, sorted, numbers by their size; folds,
    each of which must have clips, those listed. ``drop_rare`` leaves out classes too small to be
    trained and tested, rather than refuse them. A ValueError says why clips make no data set.
    """
    notes, listed = list(notes), _once(entries)
    if len(listed) < len(entries):
        notes.append(f"{len(entries) - len(listed)} rows left out, as the clip is listed before")
    clips = [entry for entry in listed if entry.path is not None]
    missing = sorted(entry.name for entry in listed if entry.path is None)
    if not clips:
        raise ValueError(
            f"{name}: none of {len(listed)} files is there, such as {missing[0]}; give the folder "
            "they are in with --audio"
        )
    if missing:
        notes.append(f"{len(missing)} of {len(listed)} files are missing: {some(missing)}")
    gone = _labels(listed) - _labels(clips)
    if gone and classes is None:
        notes.append(f"left out: classes whose files are all missing: {some(sorted(gone))}")
    folds = list(folds or filter(None, dict.fromkeys(entry.fold for entry in entries)))
    for entry in clips:
        if folds and entry.fold not in folds:
            where = f"{entry.place}: {entry.name} is in fold {entry.fold!r}"
            raise ValueError(f"{where}; expected one of {', '.join(folds)}")
    if not folds:
        clips = _without_rare(clips, drop_rare, notes)
    present = _labels(clips)
    if classes is None:
        numeric = all(re.fullmatch(r"\d+", label) for label in present)
        classes = sorted(present, key=(lambda label: (int(label), label)) if numeric else None)
    _check_classes(name, clips, classes)
    cases = collections.Counter(map(str.casefold, classes))
    if alike := [label for label in classes if cases[label.casefold()] > 1]:
        notes.append(f"classes that differ in upper and lower case only: {some(alike)}")
    if empty := [label for label in classes if label not in present]:
        notes.append(f"classes without a clip: {some(empty)}")
    folders = {entry.path.absolute().parent for entry in clips}
    if root is None or not any(folder.is_relative_to(root.absolute()) for folder in folders):
        root = Path(os.path.commonpath(folders))
        root = root.parent if len(folders) == 1 else root
    numbers = {label: number for number, label in enumerate(classes)}
    labelled = []
    for entry in clips:
        clip_id = os.path.relpath(entry.path, root).replace(os.sep, "/")
        labels = tuple(sorted(numbers[label] for label in entry.labels))
        labelled.append(LabelledClip(clip_id, entry.path, labels, entry.fold, entry.group))
    labelled.sort(key=lambda clip: clip.clip_id)
    made = Dataset(name, tuple(classes), tuple(labelled), (), multi_label, tuple(notes))
    return dataclasses.replace(made, splits=given_splits(made, folds)) if folds else made


def _labels(entries: Iterable[Entry]) -> set[str]:
    return {label for entry in entries for label in entry.labels}


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """Each file once; ValueError if it is listed with different labels, folds or groups."""

    def described(entry: Entry) -> str:
        found = {"label": ";".join(sorted(entry.labels)), "fold": entry.fold, "group": entry.group}
        return ", ".join(f"{what} {name}" for what, name in found.items() if name is not None)

    seen: dict[object, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.path or entry.name, entry)
        if described(other) != described(entry):
            raise ValueError(
                f"{entry.name} is listed twice, with {described(other)} ({other.place}) and "
                f"{described(entry)} ({entry.place}); write several labels in one cell, as a;b"
            )
    return list(seen.values())


def _without_rare(entries: Sequence[Entry], drop_rare: bool, notes: list[str]) -> list[Entry]:
    """Refuses or drops classes that cannot be both in training and in test."""
    groups = collections.defaultdict(set)
    for number, entry in enumerate(entries):
        for label in entry.labels:
            groups[label].add(number if entry.group is None else entry.group)
    rare = sorted(label for label in groups if len(groups[label]) < 2)
    if rare and not drop_rare:
        raise ValueError(
            f"classes of one clip or one group cannot be in training and in test: {some(rare)}; "
            "add clips, remove them, or give --drop-rare"
        )
    if rare:
        notes.append(
            f"{len(rare)} classes dropped, too small to be trained and tested: {some(rare)}"
        )
    labels = [tuple(name for name in entry.labels if name not in rare) for entry in entries]
    return [
        dataclasses.replace(entry, labels=kept)
        for entry, kept in zip(entries, labels, strict=True)
        if kept or not entry.labels
    ]


def _check_classes(name: str, clips: Sequence[Entry], classes: Sequence[str]) -> None:
    """Refuses labels of no class, names that cannot be listed, and fewer than two classes."""
    for entry in clips:
        for label in entry.labels:
            if label not in classes:
                raise ValueError(
                    f"{entry.place}: {entry.name} has the label {label!r}, none of the "
                    f"{len(classes)} classes; {did_you_mean(label, classes)}"
                )
    for label in classes:
        if not label.strip() or re.search(r"[;\x00-\x1f\x7f-\x9f\u2028\u2029]", label):
            raise ValueError(
                f"{name}: the class name {label!r} is empty, or holds ';', which separates labels, "
                "or a line break or another control character; rename the class"
            )
    present = _labels(clips)
    if len(present) < 2:
        raise ValueError(
            f"{name}: {len(clips)} clips of {len(present)} classes ({', '.join(present)}); "
            "expected at least two"
        )
