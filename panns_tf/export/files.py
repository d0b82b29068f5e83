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
from panns_tf.export.settings import NEEDED, PRECISIONS
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
    """Writes a network as an ONNX or LiteRT file, front end included, and checks it there.

    Its input is ``waveform``, float32 (batch, samples) in [-1, 1], both axes of any size; its
    outputs are the network's, by name, in float32. The network is described by `describe`: as JSON
    in the entry ``panns_tf`` of an ONNX file's metadata; a LiteRT file, with the signature
    ``serving_default``, is a zip archive too, of ``panns_tf.json`` and ``labels.txt``.

    Args:
        network: from `panns_tf.create_model`.
        path: a name that ends in ``.onnx`` or ``.tflite``; an older file is replaced.
        precision: of the weights and of what is computed after the front end, which is always
            float32. ``float32``; ``float16``, which LiteRT computes in float32 where a processor
            has no halves; ``dynamic_int8``, whose weights have 8 bits and whose activations are
            rounded clip by clip; or ``int8``, rounded by ranges measured on the clips given.
        calibration: clips like those that the file is for, float waveforms (samples,) in [-1, 1]
            at the network's rate. Needed for ``int8``, else used in the check only.
        clip_seconds: for a LiteRT file of one clip of this length at a time only, which some
            accelerators of phones ask for; calibration clips are cut or extended to it.

    Returns:
        What `check_export` measured.

    Raises:
        ValueError: before the work, for an unknown precision, missing or unsuited clips, a length
            of no samples, a path that cannot be written or a missing package; after it, if the
            file is not what the network is. An older file is then still there.
    """
    path = Path(path)
    check_output_file(path, "path", force=True, suffixes=tuple(WRITERS))
    writer, packages = WRITERS[path.suffix]
    try:
        for package in packages:
            importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"{path.suffix} files need {error.name}: {NEEDED}") from None
    clips = _checked_clips(precision, calibration)
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


def _checked_clips(precision: str, calibration: Sequence | None) -> list[np.ndarray]:
    """The clips to calibrate on as batches of one, after a look at them."""
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; expected one of {PRECISIONS}")
    clips = [np.asarray(clip) for clip in calibration or ()]
    if precision == "int8" and not clips:
        raise ValueError(
            "int8 needs clips like those it is for, to measure the ranges of its activations: "
            "give calibration, 100 clips or so; or take dynamic_int8"
        )
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
