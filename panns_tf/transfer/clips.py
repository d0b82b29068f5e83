"""Clips as tables list them and folders hold them, and the checks that make a data set of them."""

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from panns_tf.transfer.dataset import Dataset, LabelledClip, given_splits
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
    """The audio files below a folder, or below those in it whose names end with ``inside``."""

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
        """The file at a listed path, else one of that name, best in a folder named as a label."""
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


def match_names(
    clips: Iterable[LabelledClip], pattern: str, flag: str, wanted: str
) -> list[LabelledClip]:
    """Clips with the labels, groups and folds that a regular expression finds in file names."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{flag} {pattern!r} is no regular expression: {error}") from None
    if wanted == "label" and wanted not in compiled.groupindex:
        raise ValueError(f"{flag} {pattern!r} has no group 'label'; write it as {PATTERN_EXAMPLE}")
    # Without a group of that name it is the first group, or the whole match.
    key = wanted if wanted in compiled.groupindex else min(1, compiled.groups)
    matched = []
    for clip in clips:
        name = stem(clip.clip_id)
        match = compiled.search(name)
        if match is None or not match[key]:
            raise ValueError(f"{flag} {pattern!r} finds no {wanted} in {name!r}")
        found = {**match.groupdict(), wanted: match[key]}
        labels = (found["label"],) if "label" in found else clip.labels
        more = {name: found[name] for name in ("fold", "group") if found.get(name)}
        matched.append(dataclasses.replace(clip, labels=labels, **more))
    return matched


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

    def clips(self, finder: AudioFinder) -> tuple[list[LabelledClip], bool, str]:
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
        clips = []
        for (place, row), names in zip(self.rows, labels, strict=True):
            names = tuple(dict.fromkeys(filter(None, map(str.strip, names))))
            empty = [column for column in (file, fold) if column and not row[column]]
            if empty or not (names or multi_label):
                what = empty[0] if empty else label
                raise ValueError(f"{place}: {row[file] or 'the clip'} has no {what}")
            path = finder.find(row[file], names, place)
            its_fold, its_group = (row[column] if column else None for column in (fold, group))
            clip = LabelledClip(row[file], path, names, its_fold, its_group or None, place)
            clips.append(clip)
        return clips, multi_label, note


def make_dataset(
    name: str,
    listed: Sequence[LabelledClip],
    *,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
    folds: Sequence[str] = (),
    multi_label: bool = False,
    drop_rare: bool = False,
    notes: Sequence[str] = (),
) -> Dataset:
    """The data set of listed clips, or a ValueError that says why they make none."""
    rows, notes, listed = len(listed), list(notes), _once(listed)
    if len(listed) < rows:
        notes.append(f"{rows - len(listed)} rows left out, as the clip is listed before")
    clips = [clip for clip in listed if clip.path is not None]
    missing = sorted(clip.clip_id for clip in listed if clip.path is None)
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
    folds = list(folds or filter(None, dict.fromkeys(clip.fold for clip in listed)))
    for clip in clips:
        if folds and clip.fold not in folds:
            where = f"{clip.place}: {clip.clip_id} is in fold {clip.fold!r}"
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
    # Clips are named from the root if one is below it, else from what holds all their folders.
    folders = {clip.path.absolute().parent for clip in clips}
    if root is None or not any(folder.is_relative_to(root.absolute()) for folder in folders):
        root = Path(os.path.commonpath(folders))
        root = root.parent if len(folders) == 1 else root
    clips = [
        dataclasses.replace(
            clip,
            clip_id=os.path.relpath(clip.path, root).replace(os.sep, "/"),
            labels=tuple(sorted(clip.labels, key=classes.index)),
        )
        for clip in clips
    ]
    clips.sort(key=lambda clip: clip.clip_id)
    made = Dataset(name, tuple(classes), tuple(clips), (), multi_label, tuple(notes))
    return dataclasses.replace(made, splits=given_splits(made, folds)) if folds else made


def _labels(clips: Iterable[LabelledClip]) -> set[str]:
    return {label for clip in clips for label in clip.labels}


def _once(clips: Sequence[LabelledClip]) -> list[LabelledClip]:
    """Each file once; ValueError if it is listed with different labels, folds or groups."""

    def described(clip: LabelledClip) -> str:
        found = {"label": ";".join(sorted(clip.labels)), "fold": clip.fold, "group": clip.group}
        return ", ".join(f"{what} {name}" for what, name in found.items() if name is not None)

    seen: dict[object, LabelledClip] = {}
    for clip in clips:
        other = seen.setdefault(clip.path or clip.clip_id, clip)
        if described(other) != described(clip):
            raise ValueError(
                f"{clip.clip_id} is listed twice, with {described(other)} ({other.place}) and "
                f"{described(clip)} ({clip.place}); write several labels in one cell, as a;b"
            )
    return list(seen.values())


def _without_rare(
    clips: Sequence[LabelledClip], drop_rare: bool, notes: list[str]
) -> list[LabelledClip]:
    """Refuses or drops classes that cannot be both in training and in test."""
    groups = collections.defaultdict(set)
    for number, clip in enumerate(clips):
        for label in clip.labels:
            groups[label].add(number if clip.group is None else clip.group)
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
    labels = [tuple(name for name in clip.labels if name not in rare) for clip in clips]
    return [
        dataclasses.replace(clip, labels=kept)
        for clip, kept in zip(clips, labels, strict=True)
        if kept or not clip.labels
    ]


def _check_classes(name: str, clips: Sequence[LabelledClip], classes: Sequence[str]) -> None:
    """Refuses labels of no class, names that cannot be listed, and fewer than two classes."""
    for clip in clips:
        for label in clip.labels:
            if label not in classes:
                raise ValueError(
                    f"{clip.place}: {clip.clip_id} has the label {label!r}, none of the "
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
