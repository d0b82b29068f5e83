"""Metadata files to a list of clips and a list of classes, every mistake found before any work."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tfrecords.classes import ClassList, audioset_classes, read_class_list
from tfrecords.errors import TFRecordsError

FORMATS = ("auto", "audioset", "esc50", "csv")

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
_COLUMNS = {
    "esc50": ("filename", "fold", "target", "category"),
    "csv": ("filename", "labels"),
    "audioset": ("YTID", "positive_labels"),
}


@dataclass(frozen=True)
class Clip:
    """One clip to pack: its id, its audio file, its class numbers (ascending, perhaps none)."""

    clip_id: str
    path: Path
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """What a metadata file says: the clips, in its order, and the classes."""

    format: str
    clips: tuple[Clip, ...]
    classes: ClassList


@dataclass(frozen=True)
class _Row:
    """One row of a metadata file: its line number (from 1) and its cells by column name."""

    line: int
    cells: dict[str, str]


def read_source(
    metadata: str | Path,
    audio: str | Path,
    *,
    format: str = "auto",
    labels: str | Path | None = None,
    folds: Iterable[str | int] = (),
) -> Source:
    """Read a metadata file.

    Args:
        metadata: the CSV file.
        audio: the folder its file names are relative to.
        format: one of `FORMATS`; `auto` decides by the file's columns.
        labels: a file that fixes the classes and their order (see `read_class_list`).
        folds: ESC-50 only: the folds to take; empty means all.

    Raises:
        TFRecordsError: any mistake in the files or the arguments, in one line.
    """
    if format not in FORMATS:
        raise TFRecordsError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    metadata, audio = Path(metadata), Path(audio)
    columns, rows = _read_rows(metadata)
    found = _detect(metadata, columns) if format == "auto" else format
    missing = [name for name in _COLUMNS[found] if name not in columns]
    if missing:
        raise TFRecordsError(
            f"{metadata}: format {found} needs the columns {', '.join(_COLUMNS[found])}; "
            f"found {', '.join(columns) or 'none'}"
        )
    folds = tuple(str(fold).strip() for fold in folds)
    if folds and found != "esc50":
        raise TFRecordsError(
            f"folds {','.join(folds)} were given, but only the format esc50 has folds and "
            f"{metadata} is {found}; leave --folds out"
        )
    if not rows:
        raise TFRecordsError(f"{metadata} lists no clips: it has a header and no rows")
    if not audio.is_dir():
        kind = "is a file" if audio.exists() else "does not exist"
        raise TFRecordsError(f"the audio folder {audio} {kind}; give the folder with --audio")

    classes = _classes(found, metadata, rows, labels)
    if found == "esc50" and folds:
        rows = _select_folds(metadata, rows, folds)
    clip_ids = [_clip_id(found, metadata, row) for row in rows]
    _check_unique(metadata, rows, clip_ids)
    numbers = [
        _label_numbers(metadata, row, clip_id, _label_names(found, row), classes)
        for row, clip_id in zip(rows, clip_ids, strict=True)
    ]
    paths = _audio_paths(found, audio, clip_ids)
    clips = tuple(Clip(*fields) for fields in zip(clip_ids, paths, numbers, strict=True))
    return Source(found, clips, classes)


def _read_rows(path: Path) -> tuple[list[str], list[_Row]]:
    """Column names and rows, from a CSV with a header line or AudioSet's three comment lines."""
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise TFRecordsError(f"the metadata file {path} {kind}; give the file with --metadata")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TFRecordsError(f"{path} is not UTF-8 text ({error}); convert it first") from None
    columns: list[str] = []
    rows = []
    reader = csv.reader(_comments_out(lines), skipinitialspace=True)
    for cells in _whole_rows(path, reader):
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        # Only before the header: a file may be called "#1.wav".
        if cells[0].startswith("#") and (not columns or "YTID" in columns):
            # AudioSet's third comment line names the columns; the first two are statistics.
            names = [cells[0].lstrip("# "), *cells[1:]]
            columns = names if "YTID" in names else columns
        elif not columns:
            columns = cells
        elif len(cells) < len(columns):
            raise TFRecordsError(
                f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(columns)} "
                f"({', '.join(columns)})"
            )
        else:
            rows.append(_Row(reader.line_num, dict(zip(columns, cells, strict=False))))
    if not columns:
        raise TFRecordsError(f"the metadata file {path} is empty; expected a header and rows")
    return columns, rows


def _comments_out(lines: list[str]) -> Iterator[str]:
    """Lines for `csv.reader`; quotes mean nothing in the comment lines at the top."""
    at_top = True
    for line in lines:
        at_top = at_top and line.startswith("#")
        yield (line.replace('"', "") if at_top else line) + "\n"


def _whole_rows(path: Path, reader) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise TFRecordsError(
            f"{path}, line {reader.line_num}: {error}; is a quotation mark left open?"
        ) from None


def _detect(path: Path, columns: list[str]) -> str:
    for name in ("audioset", "esc50", "csv"):
        if all(column in columns for column in _COLUMNS[name]):
            return name
    needed = "; ".join(f"{name}: {', '.join(_COLUMNS[name])}" for name in _COLUMNS)
    raise TFRecordsError(
        f"{path}: cannot tell the format from the columns {', '.join(columns)}; needed are {needed}"
    )


def _classes(format: str, metadata: Path, rows: list[_Row], labels: str | Path | None) -> ClassList:
    """The class list: from `labels`, else packaged (AudioSet), else from the WHOLE file.

    Taking it from all rows, also those of other folds, gives training and evaluation data of one
    metadata file the same classes.
    """
    if labels is not None:
        return read_class_list(labels)
    if format == "audioset":
        return audioset_classes()
    if format == "csv":
        names = {name for row in rows for name in _label_names("csv", row)}
        if not names:
            raise TFRecordsError(f"{metadata}: no row has a label; give the classes with --labels")
        return ClassList(tuple(sorted(names)))
    targets: dict[int, str] = {}
    for row in rows:
        target, category = row.cells["target"], row.cells["category"]
        if not re.fullmatch(r"\d+", target):
            raise TFRecordsError(
                f"{metadata}, line {row.line}: target must be a whole number, got {target!r}"
            )
        if targets.setdefault(int(target), category) != category:
            raise TFRecordsError(
                f"{metadata}, line {row.line}: target {target} is category {category!r} here and "
                f"{targets[int(target)]!r} before; one of them is wrong"
            )
    names = tuple(targets[target] for target in sorted(targets))
    if len(set(names)) < len(names):
        raise TFRecordsError(f"{metadata}: one category has several targets; expected one each")
    return ClassList(names)


def _select_folds(metadata: Path, rows: list[_Row], folds: tuple[str, ...]) -> list[_Row]:
    present = {row.cells["fold"] for row in rows}
    if unknown := [fold for fold in folds if fold not in present]:
        raise TFRecordsError(
            f"{metadata} has no fold {', '.join(unknown)}; it has {', '.join(sorted(present))}"
        )
    return [row for row in rows if row.cells["fold"] in folds]


def _clip_id(format: str, metadata: Path, row: _Row) -> str:
    where = f"{metadata}, line {row.line}"
    if format == "audioset":
        clip_id = row.cells["YTID"]
        if not re.fullmatch(r"[A-Za-z0-9_-]+", clip_id):
            raise TFRecordsError(
                f"{where}: {clip_id!r} is no YouTube id; expected 11 of A-Z a-z 0-9 - _"
            )
        return clip_id
    name = row.cells["filename"]
    if not name:
        raise TFRecordsError(f"{where}: the filename is empty; expected a file in the audio folder")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise TFRecordsError(
            f"{where}: the filename {name!r} leads out of the audio folder; "
            "expected a path below it, without '..'"
        )
    return name


def _check_unique(metadata: Path, rows: list[_Row], clip_ids: list[str]) -> None:
    seen: dict[str, int] = {}
    for row, clip_id in zip(rows, clip_ids, strict=True):
        if seen.setdefault(clip_id, row.line) != row.line:
            raise TFRecordsError(
                f"{metadata}: lines {seen[clip_id]} and {row.line} are both clip {clip_id!r}; "
                "ids must be unique, remove one"
            )


def _label_names(format: str, row: _Row) -> list[str]:
    if format == "esc50":
        return [row.cells["category"]]
    if format == "csv":
        names = row.cells["labels"].split(";")
    else:
        names = row.cells["positive_labels"].split(",")
    return [name for name in map(str.strip, names) if name]


def _label_numbers(
    metadata: Path, row: _Row, clip_id: str, names: list[str], classes: ClassList
) -> tuple[int, ...]:
    numbers = set()
    for name in names:
        number = classes.number(name)
        if number is None:
            raise TFRecordsError(
                f"{metadata}, line {row.line}: clip {clip_id!r} has the label {name!r}, which is "
                f"not one of the {len(classes.names)} classes; nearest: {classes.nearest(name)}"
            )
        numbers.add(number)
    return tuple(sorted(numbers))


def _audio_paths(format: str, audio: Path, clip_ids: list[str]) -> list[Path]:
    """The file of each clip; it need not exist."""
    if format != "audioset":
        return [audio / clip_id for clip_id in clip_ids]
    # The folder may hold the files or folders of them (unbalanced_train_segments_part00 ...).
    wanted = {f"Y{clip_id}" for clip_id in clip_ids}
    found: dict[str, Path] = {}
    folders = [audio, *sorted(path for path in audio.iterdir() if path.is_dir())]
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.stem in wanted and path.suffix.lower() in AUDIO_EXTENSIONS:
                found.setdefault(path.stem, path)
    return [found.get(f"Y{clip_id}", audio / f"Y{clip_id}.wav") for clip_id in clip_ids]
