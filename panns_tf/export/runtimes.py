"""Formats and precisions of exported files, and the runtimes that they are for."""

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

#: Endings of the files; what has none of them is the folder of a SavedModel.
ENDINGS = {"onnx": ".onnx", "litert": ".tflite"}
FORMATS = ("savedmodel", *ENDINGS)

#: ``dynamic_int8`` rounds weights to 8 bits, and activations by the range that each clip has;
#: ``int8`` rounds activations by ranges that were measured on clips beforehand.
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")

#: The entry of a file's metadata that describes its network.
KEY = "panns_tf"

#: The name under which a LiteRT file can be called.
SIGNATURE = "serving_default"

NEEDED = "pip install 'panns_tf[export]'"


def format_of(path: Path, asked: str | None = None) -> str:
    """Returns the format of an export, which the ending of its path says.

    Raises:
        ValueError: if another was asked for.
    """
    by_ending = {ending: name for name, ending in ENDINGS.items()}
    kind = by_ending.get(path.suffix, "savedmodel")
    capitals = path.suffix not in by_ending and path.suffix.lower() in by_ending
    if not capitals and asked in (None, kind):
        return kind
    raise ValueError(
        f"--output {path} is not what --format {asked or kind} needs: names of files end in "
        f"{' or '.join(by_ending)}, and a SavedModel is a folder"
    )


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
    try:
        return {".onnx": _onnx, ".tflite": _litert}.get(path.suffix, _saved_model)(path)
    except ImportError as error:
        raise ValueError(f"{path.suffix} files need {error.name}: {NEEDED}") from None
    except Exception as error:  # the runtimes' own classes, KeyError, BadZipFile
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be loaded as an export: {reason}") from error


def _onnx(path: Path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    description = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    names = [output.name for output in session.get_outputs()]

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {"waveform": waveform}), strict=True))

    return call, {**description, "runtime": f"ONNX Runtime {onnxruntime.__version__}"}


def _litert(path: Path):
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    run = interpreter.get_signature_runner(SIGNATURE)
    with zipfile.ZipFile(path) as file:
        description = json.loads(file.read(f"{KEY}.json"))

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return run(waveform=waveform) if interpreter else {}  # the interpreter owns the tensors

    return call, {**description, "runtime": f"LiteRT {ai_edge_litert.__version__}"}


def _saved_model(path: Path):
    from panns_tf.inference.loading import load_any

    model, description = load_any(path)

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in model(waveform).items()}

    return call, {"precision": "float32", **description, "runtime": "TensorFlow"}


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
