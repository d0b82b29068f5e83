"""RAVDESS: ``Actor_01/03-01-06-01-02-01-01.wav`` to ``Actor_24``, speech only."""

import collections
import os
from collections.abc import Iterator
from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.finding import sound_files, stem
from panns_tf.transfer.layouts.listed import Listed, collect, some
from panns_tf.transfer.recognise import RAVDESS_NAME, find_root
from panns_tf.transfer.tasks import Task

_ACTORS = 24
_AUDIO_ONLY, _SPEECH = "03", "01"
_NEUTRAL = 1  # which has no strong intensity


def read(folder: Path, task: Task) -> Collection:
    """Reads the speech of RAVDESS in four folds of six actors, three of each sex.

    Actors 1 to 6 are fold 1 and so on; odd actors are male. An actor is a group. Which actors the
    paper put together is not published.
    """
    find_root(folder, task)
    found: dict[str, Path] = {}
    left_out = collections.Counter()
    strange = []
    for path in sound_files(folder):  # the upper folders first
        name = stem(path.name)
        if not RAVDESS_NAME.fullmatch(name):
            strange.append(path.name)
        elif not name.startswith(f"{_AUDIO_ONLY}-"):
            left_out["with video"] += 1
        elif not name.startswith(f"{_AUDIO_ONLY}-{_SPEECH}-"):
            left_out["of song"] += 1
        elif name in found:
            left_out["that repeat others of the same name"] += 1
        else:
            found[name] = path
    actors_a_fold = _ACTORS // len(task.folds)
    listed = []
    for name in _names(len(task.classes)):
        path = found.pop(name, None)
        emotion, actor = int(name.split("-")[2]), int(name.split("-")[6])
        listed.append(
            Listed(
                path.name if path else f"{name}.wav",
                path,
                task.classes[emotion - 1],
                str((actor - 1) // actors_a_fold + 1),
                f"Actor_{actor:02d}",
                f"{actor:02d}",
            )
        )
    strange += sorted(path.name for path in found.values())
    notes = [f"left out: {count} files {what}" for what, count in left_out.items()]
    if strange:
        notes.append(f"left out, as not named like RAVDESS's 1440 files: {some(strange)}")
    return collect(task, _common(listed, folder), listed, notes)


def _names(emotions: int) -> Iterator[str]:
    """The names of the 60 recordings of each actor."""
    for actor in range(1, _ACTORS + 1):
        for emotion in range(1, emotions + 1):
            for intensity in (1,) if emotion == _NEUTRAL else (1, 2):
                for statement in (1, 2):
                    for repetition in (1, 2):
                        numbers = (3, 1, emotion, intensity, statement, repetition, actor)
                        yield "-".join(f"{number:02d}" for number in numbers)


def _common(listed: list[Listed], folder: Path) -> Path:
    """The folder of all actors, whatever lies around it."""
    folders = {row.path.parent for row in listed if row.path}
    return Path(os.path.commonpath(folders)) if len(folders) > 1 else folder
