"""DCASE 2018 task 2, FSDKaggle2018, as Kaggle and as Zenodo have it."""

from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import around, look_up, sounds
from panns_tf.transfer.layouts.listed import Listed, collect
from panns_tf.transfer.recognise import find_root
from panns_tf.transfer.tables import read_table
from panns_tf.transfer.tasks import Task

_TABLES = {
    "train": ("train_post_competition.csv", "train.csv"),
    "test": ("test_post_competition_scoring_clips.csv", "test_post_competition.csv"),
}
_SCORED = ("public", "private")


def read(folder: Path, task: Task) -> Collection:
    """Reads the training clips and the test clips that were scored.

    Raises:
        ValueError: also if the labels of either are missing, as Kaggle's are of the test set.
    """
    root = find_root(folder, task)
    listed, notes = [], []
    for part, names in _TABLES.items():
        path = _table(folder, root, names)
        if path is None:
            raise ValueError(
                f"{root} has no labels of the {part} set: put {names[0]} of FSDKaggle2018.meta "
                "(Zenodo, record 2552860) into it"
            )
        table = read_table(path)
        file_name, label = table.column("fname"), table.column("label")
        usage = table.find("usage") if part == "test" else None
        found = sounds(*_audio(folder, part))
        dropped = 0
        for number, row in enumerate(table.rows):
            if usage and row[usage].casefold() not in _SCORED:
                dropped += 1
                continue
            name = row[file_name]
            path = look_up(found, name)
            listed.append(Listed(name, path, row[label], part, table.place(number)))
        if dropped:
            notes.append(f"left out: {dropped} clips of {table.path.name} that were not scored")
    return collect(task, root, listed, notes)


def _table(folder: Path, root: Path, names: tuple[str, ...]) -> Path | None:
    """Where the labels lie: beside the audio, or wherever below the folder."""
    listings = [*around(root), *around(folder)]
    return next(
        (found.path / name for name in names for found in listings if name in found.files), None
    )


def _audio(folder: Path, part: str) -> list[Path]:
    return [
        found.path for found in around(folder) if found.path.name.lower().endswith(f"audio_{part}")
    ]
