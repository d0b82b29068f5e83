"""Networks as LiteRT (TensorFlow Lite) files."""

import contextlib
import dataclasses
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from panns_tf.export.check import check_export, checked_clips, of_length
from panns_tf.export.portable import front_layers, portable
from panns_tf.export.runtimes import KEY, NEEDED, SIGNATURE, quiet
from panns_tf.inference.loading import describe
from panns_tf.inference.model import in_precision
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network
from tfrecords.files import atomic_path, check_output_file

#: What is computed in 8 bits after calibration, by LiteRT's names. Attention is not: of a clip with
#: fewer segments than those calibrated on, its weights are larger than any that were seen.
ROUNDED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MEAN", "CONCATENATION")
ROUNDED += ("AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "RESHAPE")

#: Bytes from which ai-edge-quantizer (0.10 and before) works in pieces of two axes, and fails on
#: kernels, which have four.
LARGEST = 32 * 2**20


def export_litert(
    network: Network,
    path: str | Path,
    precision: str = "float32",
    calibration: Sequence | None = None,
    clip_seconds: float | None = None,
) -> dict:
    """Writes a network as a LiteRT file, front end included, and checks it in LiteRT.

    Its signature ``serving_default`` takes ``waveform``, float32 (batch, samples) in [-1, 1],
    and gives the network's outputs by name, in float32. Both axes are of any size, and the
    runtime makes room anew where one changes. The file is a zip archive too: of ``labels.txt``,
    one a line, and of ``panns_tf.json``, which names the network, its sample rate, its labels
    and the precision.

    Args:
        network: from `panns_tf.create_model`.
        path: a name that ends in ``.tflite``; an older file is replaced.
        precision: as for `panns_tf.export.onnx.export_onnx`; float16 is computed in float32 where
            a processor has no halves.
        calibration: also as there.
        clip_seconds: for one clip of this length at a time only, which some accelerators of
            phones ask for; calibration clips are cut or extended to it.

    Returns:
        What `panns_tf.export.check.check_export` measured.

    Raises:
        ValueError: as `panns_tf.export.onnx.export_onnx`; and for a length of no samples.
    """
    try:
        import ai_edge_litert.interpreter  # noqa: F401  to be missed before the work
        import ai_edge_quantizer  # noqa: F401
    except ImportError as error:
        raise ValueError(f"export to LiteRT needs {error.name}: {NEEDED}") from None
    clips = checked_clips(network, precision, calibration)
    path = Path(path)
    check_output_file(path, "path", force=True, suffixes=(".tflite",))
    described = {**describe(network), "precision": precision}
    samples = None
    if clip_seconds is not None:
        samples = round(clip_seconds * described["sample_rate"])
        if samples < 1:
            raise ValueError(f"clip_seconds must be above 0; received {clip_seconds}")
        clips = [of_length(clip, samples) for clip in clips]
        described["clip_samples"] = samples
    with atomic_path(path) as temporary:
        with quiet():
            content = _converted(in_precision(network), samples)
            if precision != "float32":
                content = _rounded(content, front_layers(network), precision, clips)
            temporary.write_bytes(content)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr("labels.txt", "".join(f"{x}\n" for x in network.labels or ()))
            archive.writestr(f"{KEY}.json", json.dumps(described, indent=2) + "\n")
        return check_export(temporary, network, clips=clips)


def _converted(network: Network, samples: int | None) -> bytes:
    shape = (None, None) if samples is None else (1, samples)
    signature = [tf.TensorSpec(shape, tf.float32, name="waveform")]
    with tempfile.TemporaryDirectory() as folder:
        with traced_for("portable"):
            portable(network).export(folder, input_signature=signature, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def _rounded(content: bytes, front: set[str], precision: str, clips: list[np.ndarray]) -> bytes:
    """Returns a model in a lower precision, but for its front end."""
    from ai_edge_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        TensorDataType,
        TensorQuantizationConfig,
        TFLOperationName,
    )
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer, every = Quantizer(bytearray(content)), TFLOperationName.ALL_SUPPORTED
    if precision == "float16":
        settings = OpQuantizationConfig(
            weight_tensor_config=TensorQuantizationConfig(num_bits=16, dtype=TensorDataType.FLOAT),
            compute_precision=ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        quantizer.update_quantization_recipe(".*", every, settings, algorithm_key="float_casting")
    elif precision == "dynamic_int8":
        quantizer.add_dynamic_config(".*", every, num_bits=8)
    else:
        for name in ROUNDED:
            quantizer.add_static_config(
                ".*", TFLOperationName[name], activation_num_bits=8, weight_num_bits=8
            )
    names = "|".join(re.escape(name) for name in sorted(front))
    exact = ((rf"/({names})(_\d+)?(/|;|$)", every), (".*", TFLOperationName.INPUT))
    for scope, operation in (*exact, (".*", TFLOperationName.OUTPUT)):
        quantizer.update_quantization_recipe(scope, operation, algorithm_key="no_quantize")
    ranges = None
    if quantizer.need_calibration:
        ranges = quantizer.calibrate({SIGNATURE: [{"waveform": clip} for clip in clips]})
    with large_kernels():
        return bytes(quantizer.quantize(ranges).quantized_model)


@contextlib.contextmanager
def large_kernels() -> Iterator[None]:
    """Has ai-edge-quantizer round large kernels in slices along their channels."""
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as module

    original = module.uniform_quantize

    def in_slices(tensor_data, quantization_params, *others, **named):
        axis = quantization_params.quantized_dimension
        slices = -(-tensor_data.nbytes // LARGEST)
        if tensor_data.ndim < 3 or slices == 1 or axis is None:
            return original(tensor_data, quantization_params, *others, **named)
        scale, zero = (
            np.ravel(x) for x in (quantization_params.scale, quantization_params.zero_point)
        )
        pieces = []
        for channels in np.array_split(np.arange(tensor_data.shape[axis]), slices):
            changes = {"scale": scale[channels], "zero_point": zero[channels]}
            settings = dataclasses.replace(quantization_params, **changes)
            piece = np.take(tensor_data, channels, axis)
            pieces.append(original(piece, settings, *others, **named))
        return np.concatenate(pieces, axis)

    module.uniform_quantize = in_slices
    try:
        yield
    finally:
        module.uniform_quantize = original
