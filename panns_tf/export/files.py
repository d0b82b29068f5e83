"""Networks as ONNX and LiteRT files: written, and checked before they are kept."""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from panns_tf.export import litert, onnx
from panns_tf.export.check import check_export, describe, of_length
from panns_tf.export.settings import NEEDED
from panns_tf.models.network import Network
from tfrecords.files import atomic_path, check_output_file

#: By the ending of a file the module that writes it, and the packages that that takes.
WRITERS = {
    ".onnx": (onnx, ("onnx", "onnxruntime", "tf2onnx")),
    ".tflite": (litert, ("ai_edge_litert", "ai_edge_quantizer")),
}


def export_file(
    network: Network,
    path: str | Path,
    precision: str = "float32",
    calibration: Sequence | None = None,
    clip_seconds: float | None = None,
) -> dict:
    """Writes a network as an ``.onnx`` or ``.tflite`` file; returns what `check_export` measured.

    From ``waveform``, float32 (batch, samples) in [-1, 1], it gives the network's outputs by name,
    in float32; so is the front end in every precision. `describe` is JSON in ``panns_tf`` of an
    ONNX file's metadata; a LiteRT file is a zip archive too, of ``panns_tf.json`` and
    ``labels.txt``. Calibration clips are waveforms (samples,) at the network's rate. A file of
    ``clip_seconds``, which some phones' accelerators need, takes one such clip at a time.
    """
    path = Path(path)
    check_output_file(path, "path", force=True, suffixes=tuple(WRITERS))
    writer, packages = WRITERS[path.suffix]
    try:
        for package in packages:
            importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"{path.suffix} files need {error.name}: {NEEDED}") from None
    clips = _checked_clips(calibration or ())
    described = {**describe(network), "precision": precision}
    if clip_seconds is not None:
        samples = round(clip_seconds * described["sample_rate"])
        if samples < 1 or path.suffix != ".tflite":
            raise ValueError(f"clip_seconds must be above 0, for .tflite; received {clip_seconds}")
        clips = [of_length(clip, samples) for clip in clips]
        described["clip_samples"] = samples
    with atomic_path(path) as temporary:
        with _quiet():
            writer.write(network, temporary, described, clips)
        return check_export(temporary, network, clips=clips)


def _checked_clips(calibration: Sequence) -> list[np.ndarray]:
    """The clips to calibrate on as batches of one, after a look at them."""
    clips = [np.asarray(clip) for clip in calibration]
    for clip in clips:
        if clip.ndim != 1 or clip.dtype.kind != "f" or not clip.size or not np.isfinite(clip).all():
            raise ValueError(
                "a calibration clip is a finite float waveform (samples,) in [-1, 1]; received "
                f"{clip.dtype} of shape {clip.shape}"
            )
    return [clip.astype("float32")[None] for clip in clips]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
