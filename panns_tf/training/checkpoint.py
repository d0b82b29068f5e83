"""Checkpoints: everything a run needs to go on as if it had never stopped; and model files."""

import contextlib
import json
import re
import signal
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from panns_tf.run import RunError
from tfrecords.files import atomic, atomic_path

_NAME = re.compile(r"step-(\d{9})\.npz")
_META = "meta"
#: What NumPy and zipfile raise, between them, on damaged files.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile)


class NotFiniteError(RunError):
    """The loss or the weights became NaN or infinite."""


def named_variables(**groups: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by a unique name of group and place.

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
    for stale in directory.glob(".step-*.tmp"):  # of runs that were killed while they wrote
        stale.unlink(missing_ok=True)
    # As `numpy.savez` writes, but with one variable in memory at a time.
    with (
        atomic(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        _add(archive, _META, np.array(json.dumps({**meta, "step": step})))
        for name, variable in variables.items():
            array = np.asarray(variable.numpy())
            if not np.isfinite(array).all():
                raise NotFiniteError(f"the weights hold NaN or infinite values ({name})")
            _add(archive, name, array)
    for old in checkpoints(directory)[:-keep]:
        old.unlink()
    return path


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints of a directory, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def restore_checkpoint(path: Path, variables: dict[str, keras.Variable]) -> dict:
    """Assigns a checkpoint's values to ``variables`` and returns what else it holds.

    Raises:
        ValueError: if the file is damaged, or is of another model, optimizer or policy.
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


def save_keras(network: keras.Model, path: Path) -> None:
    """Writes a ``.keras`` file without an optimizer's moments, whole or not at all."""
    optimizer = getattr(network, "optimizer", None)
    network.optimizer = None
    try:
        with atomic_path(path) as temporary:
            network.save(temporary)
    finally:
        network.optimizer = optimizer


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Lists the first SIGINT or SIGTERM, which the training loop obeys between two steps.

    An exception in the midst of a step could leave weights that are one update ahead of the step
    counter, and a checkpoint of those would not resume to the same bits. A second signal acts as
    it would have without this.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may set handlers
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number, frame) -> None:
        received.append(number)
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        restore()
