"""Checkpoints: everything a run needs to go on as if it had never stopped."""

import json
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

_NAME = re.compile(r"step-(\d{9})\.npz")
_META = "meta"
#: What NumPy and zipfile raise, between them, on damaged files.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile)


class NotFiniteError(Exception):
    """The loss or the weights became NaN or infinite."""


def named_variables(**groups: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Returns variables by a name that tells group and place, and is unique.

    Not by their paths, in which Keras counts the layers that a process has made so far.
    """
    return {
        f"{group}/{place:04d}/{variable.name}": variable
        for group, variables in groups.items()
        for place, variable in enumerate(variables)
    }


def save_checkpoint(
    directory: Path, step: int, variables: dict[str, keras.Variable], meta: dict, keep: int
) -> Path:
    """Writes one checkpoint, whole or not at all, and removes the oldest beyond ``keep``.

    Args:
        directory: of the run's checkpoints.
        step: updates done.
        variables: by name, see `named_variables`.
        meta: what else to keep, as JSON takes it.
        keep: checkpoints to keep, at least 1.

    Raises:
        NotFiniteError: if a variable holds NaN or infinity.
        OSError: if the disk is full or fails. In both cases nothing is left behind or removed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step-{step:09d}.npz"
    partial = path.with_suffix(".partial")
    try:
        _write(partial, variables, {**meta, "step": step})
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    for old in checkpoints(directory)[:-keep]:
        old.unlink()
    return path


def _write(path: Path, variables: dict[str, keras.Variable], meta: dict) -> None:
    """Writes as `numpy.savez` would, but holds one variable at a time."""
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            _add(archive, _META, np.array(json.dumps(meta)))
            for name, variable in variables.items():
                array = np.asarray(variable.numpy())
                if not np.isfinite(array).all():
                    raise NotFiniteError(f"the weights hold NaN or infinite values ({name})")
                _add(archive, name, array)
        file.flush()
        os.fsync(file.fileno())


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def checkpoints(directory: Path) -> list[Path]:
    """Returns the checkpoints of a directory, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def restore_checkpoint(path: Path, variables: dict[str, keras.Variable]) -> dict:
    """Puts a checkpoint's values into ``variables`` and returns what else it kept.

    Raises:
        ValueError: if the file is damaged, or is of another model, optimiser or policy.
    """
    try:
        # Every array's CRC-32 is checked as it is read; nothing is assigned before all are.
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop(_META)))
    except _UNREADABLE as error:
        raise ValueError(f"checkpoint {path} is damaged: {error}") from error
    differing = [
        name
        for name in sorted(arrays.keys() | variables.keys())
        if name not in arrays
        or name not in variables
        or arrays[name].shape != tuple(variables[name].shape)
    ]
    if differing:
        raise ValueError(
            f"checkpoint {path} is of another network or optimiser: "
            f"{len(differing)} entries differ, first {differing[0]}"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return meta
