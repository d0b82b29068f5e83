"""Checkpoints: everything a run needs to go on as if it had never stopped; and model files."""

import contextlib
import json
import signal
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from panns_tf.run import RunError
from tfrecords.files import atomic, atomic_path

_META = "meta"
#: What NumPy and zipfile raise, between them, on damaged files.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile)


class NotFiniteError(RunError):
    """The loss or the weights became NaN or infinite."""


def named_variables(**groups: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by group and place; Keras' paths count the layers that a process made so far."""
    return {
        f"{group}/{place:04d}/{variable.name}": variable
        for group, variables in groups.items()
        for place, variable in enumerate(variables)
    }


def save_checkpoint(
    directory: Path, step: int, variables: dict[str, keras.Variable], meta: dict, keep: int
) -> Path:
    """Writes one, whole or not at all, and removes the oldest beyond ``keep``; NaN or infinity in a
    variable is a NotFiniteError, after which all is as it was.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step-{step:09d}.npz"
    for stale in directory.glob(".step-*.tmp*"):  # of runs that were killed while they wrote
        stale.unlink(missing_ok=True)
    # As `numpy.savez` writes, but with one variable in memory at a time.
    with atomic(path) as file, zipfile.ZipFile(file, "w") as archive:
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
    return sorted(directory.glob(f"step-{'[0-9]' * 9}.npz"))


def restore_checkpoint(path: Path, variables: dict[str, keras.Variable]) -> dict:
    """Assigns a checkpoint's values to ``variables`` and returns what else it holds."""
    try:
        # Every array's CRC-32 is checked as it is read; nothing is assigned before all are.
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop(_META)))
    except _UNREADABLE as error:
        raise ValueError(f"checkpoint {path} is damaged: {error}") from error
    shapes = {(name, array.shape) for name, array in arrays.items()}
    wanted = {(name, tuple(variable.shape)) for name, variable in variables.items()}
    if differing := sorted({name for name, _ in shapes ^ wanted}):
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
    """Lists the first SIGINT or SIGTERM, which the training loop obeys between two steps; a second
    acts as ever. An exception within a step could leave weights ahead of the step counter, and a
    checkpoint of them would not resume to the same bits.
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
