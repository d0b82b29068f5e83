"""ESC-50 and its part ESC-10: ``meta/esc50.csv`` and ``audio/``."""

from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import look_up, sounds
from panns_tf.transfer.layouts.listed import Listed, collect
from panns_tf.transfer.recognise import find_root, wrong_layout
from panns_tf.transfer.tables import read_table
from panns_tf.transfer.tasks import Task

_TABLES = ("meta/esc50.csv", "esc50.csv", "meta/esc10.csv", "esc10.csv")


def read(folder: Path, task: Task) -> Collection:
    """Reads ESC-50, or of it the clips of ESC-10; all takes of a source recording are a group."""
    root = find_root(folder, task)
    path = next((root / name for name in _TABLES if (root / name).is_file()), None)
    if path is None:
        raise wrong_layout(folder, task)
    table = read_table(path)
    name, fold, label = (table.column(key) for key in ("filename", "fold", "category"))
    source, part = table.find("src_file"), table.find("esc10")
    found = sounds(root / "audio" if (root / "audio").is_dir() else root)
    listed = [
        Listed(
            row[name],
            look_up(found, row[name]),
            row[label],
            row[fold],
            table.place(number),
            row[source] if source else _source(row[name]),
        )
        for number, row in enumerate(table.rows)
        if task.name != "esc10" or not part or row[part].casefold() in ("true", "1")
    ]
    return collect(task, root, listed)


def _source(name: str) -> str | None:
    fields = name.split("-")
    return fields[1] if len(fields) > 1 else None
