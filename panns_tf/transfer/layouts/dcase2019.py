"""DCASE 2019 task 1A, TAU Urban Acoustic Scenes 2019 development: the official split."""

from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import around, look_up, sounds
from panns_tf.transfer.layouts.listed import Listed, collect
from panns_tf.transfer.recognise import find_root
from panns_tf.transfer.tables import Table, read_table
from panns_tf.transfer.tasks import Task, plain

_PARTS = {"train": "fold1_train.csv", "test": "fold1_evaluate.csv"}


def read(folder: Path, task: Task) -> Collection:
    """Reads the scenes; clips of one place in one city, its identifier, are a group.

    Raises:
        ValueError: also if a table is missing, or a label differs from the one in ``meta.csv``.
    """
    root = find_root(folder, task)
    meta = _table(root, "meta.csv")
    name, label, place = (meta.column(key) for key in ("filename", "scene_label", "identifier"))
    known = {row[name]: (row[label], row[place], meta.place(n)) for n, row in enumerate(meta.rows)}
    found = sounds(*_audio(folder, root))
    listed = []
    for part, file in _PARTS.items():
        table = _table(root, f"evaluation_setup/{file}")
        file_name, scene = table.column("filename"), table.column("scene_label")
        for number, row in enumerate(table.rows):
            if row[file_name] not in known:
                raise ValueError(
                    f"{table.place(number)}: {row[file_name]} is not in {meta.path}, which has "
                    "every clip's identifier; take both from one archive"
                )
            expected, group, line = known[row[file_name]]
            if plain(row[scene]) != plain(expected):
                raise ValueError(
                    f"{table.place(number)}: {row[file_name]} is {row[scene]!r}, but {expected!r} "
                    f"at {line}; take both from one archive"
                )
            path = look_up(found, row[file_name])
            listed.append(Listed(row[file_name], path, expected, part, table.place(number), group))
    return collect(task, root, listed)


def _table(root: Path, name: str) -> Table:
    if not (root / name).is_file():
        raise ValueError(
            f"{root} has no {name}; it is in the archive of TAU Urban Acoustic Scenes 2019's "
            "metadata"
        )
    return read_table(root / name)


def _audio(folder: Path, root: Path) -> list[Path]:
    """Folders of audio: the archives' parts may have been unpacked beside each other."""
    if (root / "audio").is_dir():
        return [root / "audio"]
    return [found.path for found in around(folder) if found.path.name == "audio"] or [root]
