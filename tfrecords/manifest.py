"""Metadata files to a list of clips and a list of classes, checked before any work."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tfrecords.audioset import CLIP_ID, find_clips, split_names
from tfrecords.classes import ClassList, audioset_classes, read_class_list
from tfrecords.files import Table, TFRecordsError
from tfrecords.text import did_you_mean

FORMATS = ("auto", "audioset", "esc50", "csv")

_MOST_CLASSES = 2**16  # the index keeps labels in 16 bits
# By format; the last one has the labels.
_COLUMNS = {
    "audioset": ("YTID", "positive_labels"),
    "esc50": ("filename", "fold", "target", "category"),
    "csv": ("filename", "labels"),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip to pack: its id, its audio file, its class numbers (ascending, perhaps none)."""

    clip_id: str
    path: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """The content of a metadata file; ``excluded`` clips were left out, None without a list."""

    clips: tuple[Clip, ...]
    classes: ClassList
    excluded: int | None = None


def read_manifest(
    metadata: str | Path,
    audio: str | Path,
    *,
    format: str = "auto",
    labels: str | Path | None = None,
    folds: Iterable[str | int] = (),
    exclude: Iterable[str] = (),
) -> Manifest:
    """A metadata file's clips and classes. Audio files are relative to the folder ``audio``, those
    of AudioSet at any depth of it. TFRecordsError for any mistake in the files or the arguments.
    ``folds`` of ESC-50; none stands for all.
    """
    table = Table(metadata, commented="YTID")
    formats = [name for name in _COLUMNS if format in ("auto", name)]
    fitting = [name for name in formats if set(_COLUMNS[name]) <= set(table.columns)]
    if not fitting:
        needed = "; ".join(f"{name}: {', '.join(_COLUMNS[name])}" for name in formats)
        raise TFRecordsError(
            f"{metadata} has the columns {', '.join(table.columns) or 'of an empty file'}; "
            f"needed are, by format, {needed}"
        )
    format = fitting[0]
    folds = {str(fold).strip() for fold in folds}
    if folds and format != "esc50":
        raise TFRecordsError(f"only the format esc50 has folds and {metadata} is {format}")
    if not Path(audio).is_dir():
        raise TFRecordsError(f"the audio folder {audio} does not exist; give it with --audio")
    classes = _classes(format, table, labels)
    if len(classes.names) > _MOST_CLASSES:
        raise TFRecordsError(f"at most {_MOST_CLASSES} classes; received {len(classes.names)}")
    if folds and (unknown := folds - {row["fold"] for _, row in table}):
        raise TFRecordsError(f"{metadata} has no fold {', '.join(sorted(unknown))}")

    labels_of: dict[str, tuple[int, ...]] = {}
    starts: dict[str, float | None] = {}
    numbers_of: dict[str, tuple[int, ...]] = {}  # two million clips share few sets of labels
    for where, row in table:
        if folds and row["fold"] not in folds:
            continue
        clip_id = _clip_id(format, where, row)
        if clip_id in labels_of:
            raise TFRecordsError(f"{where}: clip {clip_id!r} a second time; ids must be unique")
        text = row[_COLUMNS[format][-1]]
        if text not in numbers_of:
            numbers_of[text] = _label_numbers(format, f"{where}: clip {clip_id!r}", text, classes)
        labels_of[clip_id] = numbers_of[text]
        starts[clip_id] = _start(row)
    exclude = frozenset(exclude)
    excluded = exclude & labels_of.keys()
    for clip_id in excluded:
        del labels_of[clip_id], starts[clip_id]
    if not labels_of:
        raise TFRecordsError(f"{metadata} lists no clips, or none that is not excluded")
    # No Path objects: those of two million clips would take half a minute.
    paths, before, after = {}, f"{Path(audio)}{os.sep}", ""
    if format == "audioset":
        paths, before, after = find_clips(Path(audio), starts), f"{before}Y", ".wav"
    clips = tuple(
        Clip(clip_id, paths.get(clip_id) or f"{before}{clip_id}{after}", numbers)
        for clip_id, numbers in labels_of.items()
    )
    return Manifest(clips, classes, len(excluded) if exclude else None)


def _classes(format: str, table: Table, labels: str | Path | None) -> ClassList:
    """From ``labels``, else packaged (AudioSet), else from the WHOLE file, so that training and
    evaluation data of one metadata file, such as other folds, have the same classes.
    """
    if labels is not None:
        return read_class_list(labels)
    if format == "audioset":
        return audioset_classes()
    if format == "csv":
        names = {name for _, row in table for name in _separated(row["labels"])}
        if not names:
            raise TFRecordsError(
                f"{table.path}: no row has a label; give the classes with --labels"
            )
        return ClassList(tuple(sorted(names)))
    targets = {(row["target"], row["category"]) for _, row in table}
    try:
        names = tuple(name for _, name in sorted((int(target), name) for target, name in targets))
    except ValueError as error:
        raise TFRecordsError(f"{table.path}: a target is no whole number: {error}") from None
    if not len({target for target, _ in targets}) == len(set(names)) == len(targets):
        raise TFRecordsError(f"{table.path}: expected one target for each category, and one only")
    return ClassList(names)


def _clip_id(format: str, where: str, row: dict[str, str]) -> str:
    if format == "audioset":
        if not re.fullmatch(CLIP_ID, row["YTID"]):
            raise TFRecordsError(f"{where}: {row['YTID']!r} is no YouTube id of 11 characters")
        return row["YTID"]
    name = row["filename"]
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise TFRecordsError(f"{where}: the filename {name!r} is none below the audio folder")
    return name


def _start(row: dict[str, str]) -> float | None:
    """The second at which a clip of AudioSet starts in its video, if the file has it."""
    try:
        return float(row.get("start_seconds", ""))
    except ValueError:
        return None


def _separated(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(";")) if name]


def _label_numbers(format: str, where: str, text: str, classes: ClassList) -> tuple[int, ...]:
    if format == "audioset":  # names hold commas, and may replace machine ids
        names = split_names(text, classes.numbers.__contains__)
    else:
        names = [text] if format == "esc50" else _separated(text)
    for name in names:
        if name not in classes.numbers:
            raise TFRecordsError(
                f"{where} has the label {name!r}, which is not one of the {len(classes.names)} "
                f"classes; {did_you_mean(name, classes.numbers)}"
            )
    return tuple(sorted({classes.numbers[name] for name in names}))
