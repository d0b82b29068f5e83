"""Networks as LiteRT (TensorFlow Lite) files."""

import contextlib
import dataclasses
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from panns_tf.export.portable import front_layers, portable
from panns_tf.export.settings import KEY, SIGNATURE
from panns_tf.inference.model import in_precision
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network

#: What is computed in 8 bits after calibration, by LiteRT's names. Attention is not: of a clip with
#: fewer segments than those calibrated on, its weights are larger than any that were seen.
ROUNDED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MEAN", "CONCATENATION")
ROUNDED += ("AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "RESHAPE")


def write(network: Network, path: Path, described: dict, clips: list[np.ndarray]) -> None:
    precision, samples = described["precision"], described.get("clip_samples")
    shape = (None, None) if samples is None else (1, samples)
    signature = [tf.TensorSpec(shape, tf.float32, name="waveform")]
    with tempfile.TemporaryDirectory() as folder:
        with traced_for("portable"):
            model = portable(in_precision(network))
            model.export(folder, input_signature=signature, verbose=False)
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    if precision != "float32":
        content = _rounded(content, front_layers(network), precision, clips)
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "".join(f"{x}\n" for x in network.labels or ()))
        archive.writestr(f"{KEY}.json", json.dumps(described, indent=2) + "\n")


def _rounded(content: bytes, front: set[str], precision: str, clips: list[np.ndarray]) -> bytes:
    """A model in a lower precision, but for its front end."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import Quantizer

    operations = qtyping.TFLOperationName
    quantizer, every = Quantizer(bytearray(content)), operations.ALL_SUPPORTED
    if precision == "float16":
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        settings = qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        quantizer.update_quantization_recipe(".*", every, settings, algorithm_key="float_casting")
    elif precision == "dynamic_int8":
        quantizer.add_dynamic_config(".*", every, num_bits=8)
    else:
        for name in ROUNDED:
            quantizer.add_static_config(
                ".*", operations[name], activation_num_bits=8, weight_num_bits=8
            )
    names = "|".join(re.escape(name) for name in sorted(front))
    front_end = rf"/({names})(_\d+)?(/|;|$)"
    for scope, kind in (front_end, every), (".*", operations.INPUT), (".*", operations.OUTPUT):
        quantizer.update_quantization_recipe(scope, kind, algorithm_key="no_quantize")
    ranges = None
    if quantizer.need_calibration:
        ranges = quantizer.calibrate({SIGNATURE: [{"waveform": clip} for clip in clips]})
    with large_kernels():
        return bytes(quantizer.quantize(ranges).quantized_model)


@contextlib.contextmanager
def large_kernels() -> Iterator[None]:
    """Has ai-edge-quantizer (0.10) take kernels as matrices, of which alone large ones work."""
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as module

    original = module.uniform_quantize

    def as_matrix(tensor_data, quantization_params, *others, **named):
        axis = quantization_params.quantized_dimension
        if tensor_data.ndim < 3 or axis is None:
            return original(tensor_data, quantization_params, *others, **named)
        scale, zero = quantization_params.scale, quantization_params.zero_point
        flat = {"scale": np.ravel(scale), "zero_point": np.ravel(zero), "quantized_dimension": 0}
        settings = dataclasses.replace(quantization_params, **flat)
        kernels = np.moveaxis(tensor_data, axis, 0)
        rounded = original(kernels.reshape(len(kernels), -1), settings, *others, **named)
        return np.moveaxis(rounded.reshape(kernels.shape), 0, axis)

    module.uniform_quantize = as_matrix
    try:
        yield
    finally:
        module.uniform_quantize = original
