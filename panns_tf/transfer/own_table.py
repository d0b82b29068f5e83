"""One's own clips as a table lists them."""

import collections
import dataclasses
import re
from pathlib import Path

from panns_tf.transfer.finding import sound_files, stem
from panns_tf.transfer.tables import Table, read_table
from panns_tf.transfer.tasks import plain

FILES = (
    *("filename", "file", "path", "fname", "clip", "filepath", "slice_file_name", "audio", "wav"),
)
LABELS = ("label", "labels", "category", "class", "target", "scene_label", "species")
FOLDS = ("fold", "split")
GROUPS = ("group", "speaker", "source", "src_file", "recording", "identifier", "fsid")
#: Folders beside a table in which its files may lie.
_AUDIO_FOLDERS = ("audio", "audios", "wav", "wavs", "clips", "sounds", "data")
_TRUE, _FALSE = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", ""}


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A clip of one's own.

    Attributes:
        name: as it was listed.
        path: of the file, or None where it is missing.
        labels: of its classes.
        place: where that stands, for error messages.
        fold: or None.
        group: or None.
    """

    name: str
    path: Path | None
    labels: tuple[str, ...]
    place: str
    fold: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Entries:
    """Clips of one's own, and what they have in common.

    Attributes:
        clips: in the order of their source.
        multi_label: whether they may have several labels, or none.
        notes: how they were understood.
    """

    clips: tuple[Entry, ...]
    multi_label: bool = False
    notes: tuple[str, ...] = ()


def is_clip_table(path: Path) -> bool:
    """Whether a file is a table that lists sounds and labels."""
    try:
        table = read_table(path)
    except ValueError:
        return False
    return table.find(*FILES) is not None and (
        table.find(*LABELS) is not None or len(_truths(table)) > 1
    )


def read_entries(path: Path, audio: Path | None = None) -> Entries:
    """Reads clips from a table.

    Columns are found by their names: the file (`FILES`), its labels (`LABELS`), and where there are
    any its fold or split (`FOLDS`) and group (`GROUPS`). Several labels in a cell are separated by
    ``;``, ``|`` or ``,``. Without a column of labels, each column of zeros and ones is a class.

    Args:
        path: of the table.
        audio: the folder from which files are named; by default the table's own. Files are also
            looked for in an audio folder beside the table and, by name alone, below.

    Raises:
        ValueError: if a column or a cell is missing.
    """
    table = read_table(path)
    file = table.column(*FILES)
    fold, group = table.find(*FOLDS), table.find(*GROUPS)
    labels, multi_label, notes = _labels(table)
    find = _Finder(path.parent if audio is None else audio)
    entries = []
    for number, row in enumerate(table.rows):
        place = table.place(number)
        if not row[file]:
            raise ValueError(f"{place}: no file in column {file!r}")
        if fold and not row[fold]:
            raise ValueError(f"{place}: {row[file]} has no {fold}; give each clip one, or none")
        if not labels[number] and not multi_label:
            raise ValueError(f"{place}: {row[file]} has no label")
        entries.append(
            Entry(
                row[file],
                find(row[file], place),
                labels[number],
                place,
                row[fold] if fold else None,
                (row[group] or None) if group else None,
            )
        )
    used = {"file": file, "fold": fold, "group": group}
    columns = ", ".join(f"{key} {column!r}" for key, column in used.items() if column)
    return Entries(tuple(entries), multi_label, (f"{path.name}: {columns}, {notes[0]}", *notes[1:]))


def _labels(table: Table) -> tuple[list[tuple[str, ...]], bool, list[str]]:
    """The labels of each row, whether there may be several, and how they were found."""
    column = table.find(*LABELS)
    if column is None:
        classes = _truths(table)
        if len(classes) < 2:
            raise ValueError(
                f"{table.path} has no column {' or '.join(LABELS)}, and no columns of 0 and 1; "
                f"its columns are {', '.join(table.columns)}"
            )
        rows = [
            tuple(name for name in classes if row[name].casefold() in _TRUE) for row in table.rows
        ]
        notes = [f"{len(classes)} columns of 0 and 1 are the classes"]
        used = {plain(name) for name in (*FILES, *FOLDS, *GROUPS)} | set(map(plain, classes))
        others = [name for name in table.columns if plain(name) not in used]
        if others:
            notes.append(f"columns that are not of 0 and 1 are left out: {', '.join(others[:5])}")
        return rows, any(len(row) != 1 for row in rows), notes
    cells = [row[column] for row in table.rows]
    marks = "".join(mark for mark in ";|," if any(mark in cell for cell in cells))
    rows = [_parts(cell, marks) for cell in cells]
    several = sum(len(row) > 1 for row in rows)
    note = f"label {column!r}"
    if marks:
        note += f", separated by {' or '.join(map(repr, marks))} ({several} clips have several)"
    return rows, bool(marks), [note]


def _parts(cell: str, marks: str) -> tuple[str, ...]:
    parts = re.split(f"[{re.escape(marks)}]", cell) if marks else [cell]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _truths(table: Table) -> list[str]:
    """Columns of nothing but 0 and 1."""
    known = {plain(name) for name in (*FILES, *FOLDS, *GROUPS)}
    return [
        name
        for name in table.columns
        if name
        and plain(name) not in known
        and {row[name].casefold() for row in table.rows} <= _TRUE | _FALSE
        and any(row[name] for row in table.rows)
    ]


class _Finder:
    """Finds listed files in a folder, beside and below it."""

    def __init__(self, folder: Path):
        """Args: the folder from which files are named."""
        self._folders = [folder, *(folder / name for name in _AUDIO_FOLDERS)]
        self._below: dict[str, list[Path]] | None = None

    def __call__(self, name: str, place: str) -> Path | None:
        relative = Path(name.replace("\\", "/"))
        for folder in self._folders:
            if (folder / relative).is_file():
                return folder / relative
        if self._below is None:
            self._below = collections.defaultdict(list)
            for root in (self._folders[0], self._folders[0].parent / "audio"):
                for path in sound_files(root):
                    self._below[path.name].append(path)
                    if path.name != stem(path.name):
                        self._below[stem(path.name)].append(path)
        found = self._below.get(relative.name) or self._below.get(stem(relative.name)) or []
        inside = [path for path in found if path.parent.name == relative.parent.name] or found
        if len(inside) > 1:
            raise ValueError(
                f"{place}: {name} may be {inside[0]} or {inside[1]}; give its path from "
                f"{self._folders[0]}"
            )
        return inside[0] if inside else None
