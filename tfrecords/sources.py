"""Metadata files to a list of clips and a list of classes, every mistake found before any work."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from tfrecords.audioset import find_audio, split_names
from tfrecords.classes import ClassList, audioset_classes, read_class_list
from tfrecords.errors import TFRecordsError

FORMATS = ("auto", "audioset", "esc50", "csv")

_MOST_CLASSES = 2**16  # the index keeps labels in 16 bits
_COLUMNS = {
    "esc50": ("filename", "fold", "target", "category"),
    "csv": ("filename", "labels"),
    "audioset": ("YTID", "positive_labels"),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip to pack: its id, its audio file, its class numbers (ascending, perhaps none)."""

    clip_id: str
    path: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """What a metadata file says: the clips, in its order, and the classes."""

    format: str
    clips: tuple[Clip, ...]
    classes: ClassList
    excluded: int | None = None  # clips left out by the caller's list, if there was one


def read_source(
    metadata: str | Path,
    audio: str | Path,
    *,
    format: str = "auto",
    labels: str | Path | None = None,
    folds: Iterable[str | int] = (),
    exclude: Iterable[str] = (),
) -> Source:
    """Read a metadata file.

    Args:
        metadata: the CSV file.
        audio: the folder its file names are relative to; for AudioSet, the folder that holds the
            files, at any depth, under any of the names that `tfrecords.audioset` lists.
        format: one of `FORMATS`; `auto` decides by the file's columns.
        labels: a file that fixes the classes and their order (see `read_class_list`).
        folds: ESC-50 only: the folds to take; empty means all.
        exclude: ids of clips to leave out; ids that the file lacks are no error.

    Raises:
        TFRecordsError: any mistake in the files or the arguments, in one line.
    """
    if format not in FORMATS:
        raise TFRecordsError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    audio = Path(audio)
    table = _Table(Path(metadata))
    found = _detect(table) if format == "auto" else format
    missing = [name for name in _COLUMNS[found] if name not in table.columns]
    if missing:
        raise TFRecordsError(
            f"{table.path}: format {found} needs the columns {', '.join(_COLUMNS[found])}; "
            f"found {', '.join(table.columns) or 'none'}"
        )
    folds = tuple(str(fold).strip() for fold in folds)
    if folds and found != "esc50":
        raise TFRecordsError(
            f"folds {','.join(folds)} were given, but only the format esc50 has folds and "
            f"{table.path} is {found}; leave --folds out"
        )
    if next(iter(table), None) is None:
        raise TFRecordsError(f"{table.path} lists no clips: it has a header and no rows")
    if not audio.is_dir():
        kind = "is a file" if audio.exists() else "does not exist"
        raise TFRecordsError(f"the audio folder {audio} {kind}; give the folder with --audio")

    classes = _classes(found, table, labels)
    if len(classes.names) > _MOST_CLASSES:
        raise TFRecordsError(
            f"expected at most {_MOST_CLASSES} classes, got {len(classes.names)}; are the labels "
            "of every clip its own?"
        )
    if folds:
        _check_folds(table, folds)
    exclude = frozenset(exclude)
    rows, starts, excluded = _read_clips(found, table, classes, folds, exclude)
    if not rows:
        raise TFRecordsError(f"{table.path}: every clip it lists is excluded; exclude fewer")
    folder = f"{audio}{os.sep}"  # no Path objects: those of two million clips take half a minute
    if found == "audioset":
        paths = find_audio(audio, starts)
        place = {clip_id: paths.get(clip_id, f"{folder}Y{clip_id}.wav") for clip_id in rows}
    else:
        place = {clip_id: f"{folder}{clip_id}" for clip_id in rows}
    clips = tuple(Clip(clip_id, place[clip_id], numbers) for clip_id, numbers in rows.items())
    return Source(found, clips, classes, excluded if exclude else None)


def _read_clips(
    format: str, table: "_Table", classes: ClassList, folds: tuple[str, ...], exclude: frozenset
) -> tuple[dict[str, tuple[int, ...]], dict[str, float | None], int]:
    """Class numbers by clip id; for AudioSet the second at which each clip starts; how many clips
    were excluded."""
    rows: dict[str, tuple[int, ...]] = {}
    starts: dict[str, float | None] = {}
    lines: dict[str, int] = {}
    excluded = 0
    known: dict[str, tuple[int, ...]] = {}  # two million clips share few sets of labels
    for row in table:
        if folds and row["fold"] not in folds:
            continue
        clip_id = _clip_id(format, row)
        if lines.setdefault(clip_id, row.line) != row.line:
            raise TFRecordsError(
                f"{table.path}: lines {lines[clip_id]} and {row.line} are both clip {clip_id!r}; "
                "ids must be unique, remove one"
            )
        if clip_id in exclude:
            excluded += 1
            continue
        text = row[_LABELS[format]]
        if text not in known:
            known[text] = _label_numbers(format, row, clip_id, text, classes)
        rows[clip_id] = known[text]
        if format == "audioset":
            starts[clip_id] = _start(row)
    return rows, starts, excluded


_LABELS = {"esc50": "category", "csv": "labels", "audioset": "positive_labels"}


class _Table:
    """A metadata file, read row by row, as often as it is iterated over."""

    def __init__(self, path: Path):
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "does not exist"
            raise TFRecordsError(f"the metadata file {path} {kind}; give the file with --metadata")
        self.path = path

    @cached_property
    def columns(self) -> dict[str, int]:
        """Places of the columns, by name; of AudioSet's, from the third comment line."""
        # The header comes before the first row; a file without rows is read to its end.
        header: dict[str, int] = {}
        for _ in self._rows(header):
            break
        if not header:
            raise TFRecordsError(
                f"the metadata file {self.path} is empty; expected a header and rows"
            )
        return header

    def __iter__(self) -> Iterator["_Row"]:
        return self._rows({})

    def _rows(self, columns: dict[str, int]) -> Iterator["_Row"]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_comments_out(file), skipinitialspace=True)
            for cells in self._whole(reader):
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                # Only before the header: a file may be called "#1.wav".
                if cells[0].startswith("#") and (not columns or "YTID" in columns):
                    # AudioSet's third comment line names the columns; the others are statistics.
                    names = [cells[0].lstrip("# "), *cells[1:]]
                    if "YTID" in names:
                        columns.update(_places(names))
                elif not columns:
                    columns.update(_places(cells))
                elif len(cells) < len(columns):
                    raise TFRecordsError(
                        f"{self.path}, line {reader.line_num}: {len(cells)} cells, expected "
                        f"{len(columns)} ({', '.join(columns)})"
                    )
                elif any(cells[len(columns) :]):
                    raise TFRecordsError(
                        f"{self.path}, line {reader.line_num}: {len(cells)} cells, expected "
                        f"{len(columns)} ({', '.join(columns)}); labels with commas need quotation "
                        "marks around them"
                    )
                else:
                    yield _Row(self.path, reader.line_num, columns, cells)

    def _whole(self, reader) -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise TFRecordsError(
                f"{self.path}, line {reader.line_num}: {error}; is a quotation mark left open?"
            ) from None
        except UnicodeDecodeError as error:
            raise TFRecordsError(
                f"{self.path} is not UTF-8 text ({error}); convert it first"
            ) from None


class _Row:
    """One row of a metadata file: its line number (from 1) and its cells by column name."""

    __slots__ = ("_cells", "_columns", "_path", "line")

    def __init__(self, path: Path, line: int, columns: dict[str, int], cells: list[str]):
        self._path, self.line, self._columns, self._cells = path, line, columns, cells

    def __getitem__(self, name: str) -> str:
        return self._cells[self._columns[name]]

    def get(self, name: str) -> str | None:
        return self[name] if name in self._columns else None

    @property
    def where(self) -> str:
        return f"{self._path}, line {self.line}"


def _places(names: list[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _comments_out(lines: Iterable[str]) -> Iterator[str]:
    """Lines for `csv.reader`; quotes mean nothing in the comment lines at the top."""
    at_top = True
    for line in lines:
        at_top = at_top and line.startswith("#")
        yield line.replace('"', "") if at_top else line


def _detect(table: _Table) -> str:
    for name in ("audioset", "esc50", "csv"):
        if all(column in table.columns for column in _COLUMNS[name]):
            return name
    needed = "; ".join(f"{name}: {', '.join(_COLUMNS[name])}" for name in _COLUMNS)
    raise TFRecordsError(
        f"{table.path}: cannot tell the format from the columns {', '.join(table.columns)}; "
        f"needed are {needed}"
    )


def _classes(format: str, table: _Table, labels: str | Path | None) -> ClassList:
    """The class list: from `labels`, else packaged (AudioSet), else from the WHOLE file.

    Taking it from all rows, also those of other folds, gives training and evaluation data of one
    metadata file the same classes.
    """
    if labels is not None:
        return read_class_list(labels)
    if format == "audioset":
        return audioset_classes()
    if format == "csv":
        names = {name for row in table for name in _separated(row["labels"])}
        if not names:
            raise TFRecordsError(
                f"{table.path}: no row has a label; give the classes with --labels"
            )
        return ClassList(tuple(sorted(names)))
    targets: dict[int, str] = {}
    for row in table:
        target, category = row["target"], row["category"]
        if not re.fullmatch(r"\d+", target):
            raise TFRecordsError(f"{row.where}: target must be a whole number, got {target!r}")
        if targets.setdefault(int(target), category) != category:
            raise TFRecordsError(
                f"{row.where}: target {target} is category {category!r} here and "
                f"{targets[int(target)]!r} before; one of them is wrong"
            )
    names = tuple(targets[target] for target in sorted(targets))
    if len(set(names)) < len(names):
        raise TFRecordsError(f"{table.path}: one category has several targets; expected one each")
    return ClassList(names)


def _check_folds(table: _Table, folds: tuple[str, ...]) -> None:
    present = {row["fold"] for row in table}
    if unknown := [fold for fold in folds if fold not in present]:
        raise TFRecordsError(
            f"{table.path} has no fold {', '.join(unknown)}; it has {', '.join(sorted(present))}"
        )


def _clip_id(format: str, row: _Row) -> str:
    if format == "audioset":
        clip_id = row["YTID"]
        if not re.fullmatch(r"[A-Za-z0-9_-]{11}", clip_id):
            raise TFRecordsError(
                f"{row.where}: {clip_id!r} is no YouTube id; expected 11 of A-Z a-z 0-9 - _"
            )
        return clip_id
    name = row["filename"]
    if not name:
        raise TFRecordsError(
            f"{row.where}: the filename is empty; expected a file in the audio folder"
        )
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise TFRecordsError(
            f"{row.where}: the filename {name!r} leads out of the audio folder; "
            "expected a path below it, without '..'"
        )
    return name


def _start(row: _Row) -> float | None:
    """The second at which a clip of AudioSet starts in its video, where the file says it."""
    try:
        return float(row.get("start_seconds") or "")
    except ValueError:
        return None


def _separated(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(";")) if name]


def _label_numbers(
    format: str, row: _Row, clip_id: str, text: str, classes: ClassList
) -> tuple[int, ...]:
    if format == "audioset":  # names hold commas, and may stand in the place of machine ids
        names = split_names(text, lambda name: classes.number(name) is not None)
    else:
        names = [text] if format == "esc50" else _separated(text)
    numbers = set()
    for name in names:
        number = classes.number(name)
        if number is None:
            raise TFRecordsError(
                f"{row.where}: clip {clip_id!r} has the label {name!r}, which is "
                f"not one of the {len(classes.names)} classes; nearest: {classes.nearest(name)}"
            )
        numbers.add(number)
    return tuple(sorted(numbers))
