"""Networks as LiteRT (TensorFlow Lite) files."""

import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from panns_tf.inference.export.check import check_export, of_length
from panns_tf.inference.export.files import quiet, written_whole
from panns_tf.inference.export.litert_large import large_kernels
from panns_tf.inference.export.portable import portable
from panns_tf.inference.export.precision import checked_clips, exact_layers
from panns_tf.inference.export.runtimes import KEY, NEEDED, SIGNATURE, litert
from panns_tf.inference.export.saved_model import describe
from panns_tf.inference.model import in_precision
from panns_tf.layers.compiled import without_xla
from panns_tf.models import Network

#: What is computed in 8 bits after calibration, by LiteRT's names. Attention is not: of a clip with
#: fewer segments than those calibrated on, its weights are larger than any that were seen.
ROUNDED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MEAN", "CONCATENATION")
ROUNDED += ("AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "RESHAPE")


def export_litert(
    network: Network,
    path: str | Path,
    precision: str = "float32",
    calibration: Sequence | None = None,
    clip_seconds: float | None = None,
    report: Callable[[dict], None] | None = None,
) -> Path:
    """Writes a network as a LiteRT file, front end included, and checks it in LiteRT.

    Its signature ``serving_default`` takes ``waveform``, float32 (batch, samples) in [-1, 1],
    and gives the network's outputs by name, in float32. Both axes are of any size, and the
    runtime makes room anew where one changes. The file is a zip archive too: of ``labels.txt``,
    one a line, and of ``panns_tf.json``, which names the network, its sample rate, its labels
    and the precision.

    Args:
        network: from `panns_tf.create_model`.
        path: a name that ends in ``.tflite``; an older file is replaced.
        precision: of the weights, and with 8 bits of what is computed, after the front end,
            which is always float32. ``float32``; ``float16``, computed in float32 where a
            processor has no halves; ``dynamic_int8``, whose activations are rounded clip by clip;
            or ``int8``, rounded by ranges measured on the clips given.
        calibration: as for `panns_tf.inference.export.export_onnx`.
        clip_seconds: for one clip of this length at a time only, which some accelerators of
            phones ask for; calibration clips are cut or extended to it.
        report: is given what `panns_tf.inference.export.check.check_export` measured.

    Returns:
        The path.

    Raises:
        ValueError: as `panns_tf.inference.export.export_onnx`; and for a length of no samples.
    """
    litert()  # to be missed before the work
    clips = checked_clips(network, precision, calibration)
    if precision != "float32":
        try:
            import ai_edge_quantizer  # noqa: F401
        except ImportError:
            raise ValueError(f"{precision} in .tflite needs ai-edge-quantizer: {NEEDED}") from None
    described = {**describe(network), "precision": precision}
    samples = None
    if clip_seconds is not None:
        samples = round(clip_seconds * described["sample_rate"])
        if samples < 1:
            raise ValueError(f"clip_seconds must be above 0; received {clip_seconds}")
        clips = [of_length(clip, samples) for clip in clips]
        described["clip_samples"] = samples
    with written_whole(path, ".tflite") as partial:
        with quiet():
            content = _converted(in_precision(network), samples)
            partial.write_bytes(_rounded(content, network, precision, clips))
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr("labels.txt", "".join(f"{x}\n" for x in network.labels or ()))
            archive.writestr(f"{KEY}.json", json.dumps(described, indent=2) + "\n")
        measured = check_export(partial, network, clips=clips)
    if report:
        report(measured)
    return Path(path)


def _converted(network: Network, samples: int | None) -> bytes:
    shape = (None, None) if samples is None else (1, samples)
    signature = [tf.TensorSpec(shape, tf.float32, name="waveform")]
    with tempfile.TemporaryDirectory() as folder:
        with without_xla():
            portable(network).export(folder, input_signature=signature, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def _rounded(content: bytes, network: Network, precision: str, clips: list[np.ndarray]) -> bytes:
    """Returns a model in a lower precision, but for its front end."""
    if precision == "float32":
        return content
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
    front, _ = exact_layers(network)
    names = "|".join(re.escape(name) for name in sorted(front))
    kept = ((rf"/({names})(_\d+)?(/|;|$)", every), (".*", TFLOperationName.INPUT))
    for scope, operation in (*kept, (".*", TFLOperationName.OUTPUT)):
        quantizer.update_quantization_recipe(scope, operation, algorithm_key="no_quantize")
    ranges = None
    if quantizer.need_calibration:
        ranges = quantizer.calibrate({SIGNATURE: [{"waveform": clip} for clip in clips]})
    with large_kernels():
        return bytes(quantizer.quantize(ranges).quantized_model)
