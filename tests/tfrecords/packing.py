"""What tests of packing share."""

from pathlib import Path
from unittest import mock

import pytest

from tfrecords import PackSettings, pack_clips


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def pack_but_for(step: str, settings: PackSettings, **options) -> None:
    """Pack, but be interrupted as a function of `tfrecords.pack` is to begin."""
    with (
        mock.patch(f"tfrecords.pack.{step}", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        pack_clips(settings, progress=False, **options)
