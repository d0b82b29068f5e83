"""Exported files run by the runtimes they are for."""

import contextlib
import io
import json
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.export.formats import KEY, NEEDED, SIGNATURE
from panns_tf.inference.loading import load_any


def open_exported(path: str | Path) -> tuple[Callable[[np.ndarray], dict[str, np.ndarray]], dict]:
    """Opens an exported network in its runtime.

    Args:
        path: a ``.onnx`` or a ``.tflite`` file, or the directory of a SavedModel.

    Returns:
        A function from waveforms, float32 (batch, samples), to the outputs by name; and the
        description that the network was exported with, see
        `panns_tf.inference.loading.describe`. It names the ``runtime`` too and the ``precision``.

    Raises:
        ValueError: if it cannot be read, or the runtime is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"no such file: {path}")
    return {".onnx": _onnx, ".tflite": _litert}.get(path.suffix, _saved_model)(path)


def _onnx(path: Path):
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(f"running {path.name} needs ONNX Runtime: {NEEDED}") from None
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        description = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    except Exception as error:  # its own classes, and KeyError
        raise _unreadable(path, error) from error
    names = [output.name for output in session.get_outputs()]

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {"waveform": waveform}), strict=True))

    return call, {**description, "runtime": f"ONNX Runtime {onnxruntime.__version__}"}


def _litert(path: Path):
    interpreter_class, runtime = litert()
    try:
        interpreter = interpreter_class(str(path), num_threads=os.cpu_count())
        run = interpreter.get_signature_runner(SIGNATURE)
        with zipfile.ZipFile(path) as file:
            description = json.loads(file.read(f"{KEY}.json"))
    except Exception as error:  # ValueError, KeyError, BadZipFile
        raise _unreadable(path, error) from error

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return run(waveform=waveform) if interpreter else {}  # the interpreter owns the tensors

    return call, {**description, "runtime": runtime}


def litert() -> tuple[type, str]:
    """Returns the class of LiteRT's interpreter and what it is called.

    Raises:
        ValueError: if there is none.
    """
    try:
        from ai_edge_litert import __version__
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ValueError(f".tflite files need LiteRT: {NEEDED}") from None
    return Interpreter, f"LiteRT {__version__}"


def _saved_model(path: Path):
    model, description = load_any(path)

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in model(waveform).items()}

    return call, {"precision": "float32", **description, "runtime": "TensorFlow"}


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{path} cannot be loaded as an export of this project: {reason}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps packages that convert from printing; errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(before)
