"""GTZAN: ``genres/<genre>/<genre>.NNNNN.wav``."""

from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import look_up, sounds, stem
from panns_tf.transfer.layouts.listed import Listed, collect, some
from panns_tf.transfer.recognise import GTZAN_NAME, find_root
from panns_tf.transfer.tasks import Task

#: Clips of a genre.
_CLIPS = 100


def read(folder: Path, task: Task) -> Collection:
    """Reads GTZAN in ten folds by the number in the file name.

    Numbers 0 to 9 of every genre are fold 1, 10 to 19 fold 2 and so on, so that a missing file
    moves no other one.
    """
    root = find_root(folder, task)
    clips_a_fold = _CLIPS // len(task.folds)
    listed, strange = [], []
    for genre in task.classes:
        found = sounds(root / genre)
        for number in range(_CLIPS):
            name = f"{genre}.{number:05d}.wav"
            path = look_up(found, name)
            part = str(number // clips_a_fold + 1)
            listed.append(Listed(path.name if path else name, path, genre, part, str(root / genre)))
        strange += sorted(
            path.name for path in set(found.values()) if not _is_known(stem(path.name), genre)
        )
    notes = [f"left out, as not <genre>.00000 to .00099: {some(strange)}"] if strange else []
    return collect(task, root, listed, notes)


def _is_known(name: str, genre: str) -> bool:
    match = GTZAN_NAME.fullmatch(name)
    return match is not None and match[1] == genre and int(match[2]) < _CLIPS
