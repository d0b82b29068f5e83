"""AudioSet to one folder of packed directories: its sets, and a view of the whole training set."""

import os
from dataclasses import replace
from pathlib import Path

from tfrecords.audioset import sets_of
from tfrecords.errors import TFRecordsError
from tfrecords.info import FILE_NAME
from tfrecords.pack import Runner, pack_clips
from tfrecords.report import PackReport
from tfrecords.settings import PackSettings
from tfrecords.views import make_view

FULL_TRAIN = "full_train"


def pack_audioset(
    root: str | os.PathLike,
    settings: PackSettings,
    *,
    sets: tuple[str, ...] = (),
    progress: bool = True,
    runner: Runner | None = None,
) -> dict[str, PackReport]:
    """Pack AudioSet as it lies on a disk, any part of it.

    Args:
        root: holds the metadata files (`balanced_train_segments.csv` ..., or in `metadata/`).
        settings: for every set; `metadata`, `format` and `split` are filled in here, `audio` is
            searched at any depth, `output` is the folder of packed directories.
        sets: of `balanced_train`, `unbalanced_train` and `eval`; default: those whose metadata
            are there.

    Returns:
        By set, what was packed. `balanced_train` and `unbalanced_train` together make the view
        `full_train`.

    Raises:
        TFRecordsError: as `pack_clips`.
    """
    output = Path(settings.output)
    reports = {}
    for name, metadata in sets_of(Path(root), sets).items():
        of_set = replace(
            settings, metadata=metadata, format="audioset", split=name, output=output / name
        )
        reports[name] = pack_clips(of_set, progress=progress, runner=runner)
    parts = [output / name for name in ("balanced_train", "unbalanced_train")]
    if all((part / FILE_NAME).exists() for part in parts):
        _join(output / FULL_TRAIN, parts)
    return reports


def _join(view: Path, parts: list[Path]) -> None:
    try:
        # Anew each time: it takes seconds, and the parts may have been packed again.
        make_view(view, parts, renew=True)
    except TFRecordsError as error:
        raise TFRecordsError(f"{view} cannot be made: {error}") from None
