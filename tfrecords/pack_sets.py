"""AudioSet to one folder of packed directories: its sets, and a view of the whole training set."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tfrecords.audioset import sets_of
from tfrecords.errors import NothingPackedError, TFRecordsError
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
    retry_rejected: bool = False,
    on_empty: Callable[[str, str], None] = lambda name, message: None,
) -> dict[str, PackReport]:
    """Pack AudioSet as it lies on a disk, any part of it.

    Args:
        root: holds the metadata files (`balanced_train_segments.csv` ..., or in `metadata/`).
        settings: for every set; `metadata`, `format` and `split` are filled in here, `audio` is
            searched at any depth, `output` is the folder of packed directories.
        sets: of `balanced_train`, `unbalanced_train` and `eval`; default: those whose metadata
            are there.
        progress, runner, retry_rejected: as in `pack_clips`.
        on_empty: called with the name of a set of which no clip could be packed, and a message.

    Returns:
        By set, what was packed. `balanced_train` and `unbalanced_train` together make the view
        `full_train`.

    Raises:
        TFRecordsError: as `pack_clips`; for sets without any clip, only if all are.
    """
    output = Path(settings.output)
    reports: dict[str, PackReport] = {}
    empty: list[NothingPackedError] = []
    for name, metadata in sets_of(Path(root), sets).items():
        of_set = replace(
            settings, metadata=metadata, format="audioset", split=name, output=output / name
        )
        try:
            reports[name] = pack_clips(
                of_set, progress=progress, runner=runner, retry_rejected=retry_rejected
            )
        except NothingPackedError as error:
            empty.append(error)
            on_empty(name, str(error))
    if not reports:
        raise empty[0]
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
