"""Which of the published layouts a folder has, told by a few names without reading the sounds."""

import re
from collections.abc import Callable
from pathlib import Path

from panns_tf.transfer.finding import Listing, around, is_sound, listing, stem
from panns_tf.transfer.task_classes import CLASSES
from panns_tf.transfer.tasks import TASKS, Task

#: Sound files of a folder whose names are looked at.
_SAMPLE = 50

ESC_NAME = re.compile(r"[1-5]-\d+-[A-Z]-\d{1,2}")
GTZAN_NAME = re.compile(r"([a-z]+)\.(\d{5})")
RAVDESS_NAME = re.compile(r"\d\d(-\d\d){6}")


def find_root(folder: Path, task: Task) -> Path:
    """Returns the folder that has a task's layout: the one given, or one below it.

    Raises:
        ValueError: if there is none; it says what the folder resembles instead.
    """
    has = _HAS[task.layout]
    root = next((found.path for found in around(folder) if has(found)), None)
    if root is None:
        raise wrong_layout(folder, task)
    return root


def resembles(folder: Path) -> str | None:
    """Returns the name of the task whose published layout a folder has, or None."""
    for found in around(folder):
        for layout, has in _HAS.items():
            if has(found):
                return _first(layout).name
    for found in around(folder):
        for layout, name in _NAMES.items():
            if _are_named(found.sounds(), name):
                return _first(layout).name
    return None


def has_class_folders(folder: Path) -> bool:
    """Whether a folder holds at least two folders of audio files and none itself."""
    top = listing(folder)
    if top.sounds():
        return False
    full = 0
    for name in top.folders:
        full += any(is_sound(file) for file in listing(folder / name, most=_SAMPLE).files)
        if full == 2:
            return True
    return False


def wrong_layout(folder: Path, task: Task) -> ValueError:
    """Returns the error that says what a folder is instead of the task's data set."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        return ValueError(f"{folder} {what}; expected the folder of {task.title}: {task.shape}")
    other = resembles(folder)
    if other is not None and _named(other).layout == task.layout:
        hint = f"its files are named as those of {task.title}, but the rest is missing"
    elif other is not None:
        hint = f"it resembles {_named(other).title}: try --task {other}"
    elif has_class_folders(folder):
        hint = "it looks like one folder a class: leave --task out"
    else:
        hint = "it resembles none of the known tasks"
    return ValueError(f"{folder} does not look like {task.title} (expected {task.shape}); {hint}")


def _first(layout: str) -> Task:
    return next(task for task in TASKS if task.layout == layout)


def _named(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def _has_esc(found: Listing) -> bool:
    names = set(found.files)
    if "meta" in found.folders:
        names.update(listing(found.path / "meta").files)
    return not names.isdisjoint(("esc50.csv", "esc10.csv"))


def _has_gtzan(found: Listing) -> bool:
    genres = [genre for genre in CLASSES["gtzan"] if genre in found.folders]
    return any(
        _are_named(listing(found.path / genre, most=_SAMPLE).sounds(), GTZAN_NAME)
        for genre in genres
    )


def _has_ravdess(found: Listing) -> bool:
    actors = [name for name in found.folders if re.fullmatch(r"Actor_\d\d", name)]
    return bool(actors) or _are_named(found.sounds(), RAVDESS_NAME)


def _has_dcase2019(found: Listing) -> bool:
    if "evaluation_setup" in found.folders:
        setup = listing(found.path / "evaluation_setup").files
        return "fold1_train.csv" in setup or "fold1_evaluate.csv" in setup
    return False


def _has_fsdkaggle(found: Listing) -> bool:
    return any(name.lower().endswith("audio_train") for name in found.folders)


def _has_msos(found: Listing) -> bool:
    if any(name.lower().startswith("logsheet_") for name in found.files):
        return True
    return {"Development", "Evaluation"} <= set(found.folders)


def _are_named(names: list[str], pattern: re.Pattern) -> bool:
    """Whether most of some files, of the first ones, are named by a pattern."""
    names = names[:_SAMPLE]
    return bool(names) and sum(
        pattern.fullmatch(stem(name)) is not None for name in names
    ) > 0.5 * len(names)


_HAS: dict[str, Callable[[Listing], bool]] = {
    "esc": _has_esc,
    "gtzan": _has_gtzan,
    "ravdess": _has_ravdess,
    "dcase2019": _has_dcase2019,
    "fsdkaggle": _has_fsdkaggle,
    "msos": _has_msos,
}
_NAMES = {"esc": ESC_NAME, "gtzan": GTZAN_NAME, "ravdess": RAVDESS_NAME}
