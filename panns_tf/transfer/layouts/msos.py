"""Making Sense of Sounds 2018: ``Development/<Category>/`` and ``Evaluation/`` with log sheets."""

from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import Listing, around, look_up, sounds
from panns_tf.transfer.layouts.listed import Listed, collect
from panns_tf.transfer.recognise import find_root
from panns_tf.transfer.tables import read_table
from panns_tf.transfer.tasks import Task

#: By part: the folder of the audio, and names of the log sheet.
_PARTS = {
    "train": ("development", ("logsheet_development.csv",)),
    "test": ("evaluation", ("logsheet_evaluationmaster.csv", "logsheet_evaluation.csv")),
}


def read(folder: Path, task: Task) -> Collection:
    """Reads the development set for training and the evaluation set for testing.

    Both may lie in one folder or, as their archives unpack, in two beside each other.

    Raises:
        ValueError: also if a log sheet is missing.
    """
    find_root(folder, task)
    listings = list(around(folder))
    listed, roots = [], set()
    for part, (audio, sheets) in _PARTS.items():
        path = _sheet(listings, sheets)
        if path is None:
            raise ValueError(f"{folder} has no {sheets[0]} (in any case), the labels of {audio}")
        table = read_table(path)
        name, label = table.column("File"), table.column("Category")
        folders = [found.path for found in listings if found.path.name.lower() == audio]
        roots.update(path.parent for path in folders)
        found = sounds(*folders)
        inside = {key: sounds(*(path / key for path in folders)) for key in task.classes}
        for number, row in enumerate(table.rows):
            # Two categories may have files of one name.
            path = look_up(inside.get(row[label], {}), row[name]) or look_up(found, row[name])
            listed.append(Listed(row[name], path, row[label], part, table.place(number)))
    return collect(task, roots.pop() if len(roots) == 1 else folder, listed)


def _sheet(listings: list[Listing], names: tuple[str, ...]) -> Path | None:
    return next(
        (
            found.path / file
            for name in names
            for found in listings
            for file in found.files
            if file.lower() == name
        ),
        None,
    )
