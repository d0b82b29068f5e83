"""Networks as ONNX files."""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.inference.export.check import check_export
from panns_tf.inference.export.files import quiet, written_whole
from panns_tf.inference.export.onnx_constants import fill_in
from panns_tf.inference.export.onnx_half import halved
from panns_tf.inference.export.onnx_parts import name_axes, nodes_by_part
from panns_tf.inference.export.portable import portable
from panns_tf.inference.export.precision import checked_clips, exact_layers
from panns_tf.inference.export.runtimes import KEY, NEEDED
from panns_tf.inference.export.saved_model import describe
from panns_tf.inference.model import in_precision
from panns_tf.layers.compiled import without_xla
from panns_tf.models import Network

#: The oldest version of ONNX's operations that has all that are used; runtimes of 2023 know it.
OPSET = 18

#: Kernels from this many values are kept out of the conversion.
LARGE = 2**14

#: What is computed in 8 bits after calibration. Others only pass on what these give.
ROUNDED = ("Conv", "MatMul", "Gemm", "Add", "AveragePool", "MaxPool", "Relu", "Clip")
ROUNDED += ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Pad")


def export_onnx(
    network: Network,
    path: str | Path,
    precision: str = "float32",
    calibration: Sequence | None = None,
    report: Callable[[dict], None] | None = None,
) -> Path:
    """Writes a network as an ONNX file, front end included, and checks it in ONNX Runtime.

    Its input is ``waveform``, float32 (batch, samples) in [-1, 1], both axes of any size; its
    outputs are the network's, by name, in float32. The entry ``panns_tf`` of its metadata is
    JSON that names the network, its sample rate, its labels and the precision.

    Args:
        network: from `panns_tf.create_model`.
        path: a name that ends in ``.onnx``; an older file is replaced.
        precision: of the weights and of what is computed after the front end, which is always
            float32. ``float32``; ``float16``; ``dynamic_int8``, whose weights have 8 bits and
            whose activations are rounded clip by clip; or ``int8``, rounded by ranges
            measured on the clips given.
        calibration: clips like those that the file is for; see
            `panns_tf.inference.export.precision.checked_clips`. Needed for ``int8``, else
            used in the check only.
        report: is given what `panns_tf.inference.export.check.check_export` measured.

    Returns:
        The path.

    Raises:
        ValueError: before the work, for an unknown precision, missing or unsuited clips, a path
            that cannot be written or a missing package; after it, if the file is not what the
            network is. An older file is then still there.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  to be missed before the work
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ValueError(f"export to ONNX needs {error.name}: {NEEDED}") from None
    clips = checked_clips(network, precision, calibration)
    with written_whole(path, ".onnx") as partial:
        with quiet():
            model = _rounded(_converted(in_precision(network)), network, precision, clips)
        described = {**describe(network), "precision": precision}
        onnx.helper.set_model_props(model, {KEY: json.dumps(described)})
        onnx.save(model, partial)
        measured = check_export(partial, network, clips=clips)
    if report:
        report(measured)
    return Path(path)


def _converted(network: Network):
    """Returns a network as a float32 ``onnx.ModelProto``.

    Large kernels are inputs while tf2onnx works, which would keep some fifty copies of them.
    """
    import tf2onnx

    model = portable(network)
    kernels = [w for w in model.weights if math.prod(w.shape) >= LARGE]
    names = [f"kernel{number}" for number in range(len(kernels))]
    signature = [tf.TensorSpec((None, None), tf.float32, name="waveform")]
    signature += [
        tf.TensorSpec(kernel.shape, tf.float32, name=name)
        for kernel, name in zip(kernels, names, strict=True)
    ]

    def outputs(waveform, *values):
        with keras.StatelessScope(list(zip(kernels, values, strict=True))):
            return model(waveform, training=False)

    function = tf.function(outputs, input_signature=signature, autograph=False)
    with without_xla():
        converted, _ = tf2onnx.convert.from_function(
            function, input_signature=signature, opset=OPSET
        )
    arrays = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    fill_in(converted, dict(zip(names, arrays, strict=True)))
    name_axes(converted, network.output_shapes)
    return converted


def _rounded(model, network: Network, precision: str, clips: list[np.ndarray]):
    """Returns a ``ModelProto`` in a lower precision, but for its front end."""
    if precision == "float32":
        return model
    layers = {layer.name for layer in network.layers}
    parts = nodes_by_part(model, layers, *exact_layers(network))
    if precision == "float16":
        return halved(model, {*parts.front, *parts.end})
    import onnx
    from onnxruntime import quantization

    settings = {
        "nodes_to_exclude": parts.front,
        "weight_type": quantization.QuantType.QInt8,
        "per_channel": True,
        # Processors without VNNI add pairs of products in 16 bits, too few for full 8.
        "reduce_range": True,
    }
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        if precision == "dynamic_int8":
            quantization.quantize_dynamic(model, target, **settings)
        else:
            quantization.quantize_static(
                model,
                target,
                _Reader(clips),
                activation_type=quantization.QuantType.QUInt8,
                op_types_to_quantize=list(ROUNDED),
                **settings,
            )
        return onnx.load(target)


class _Reader:
    """Gives clips one by one, as ``onnxruntime.quantization.CalibrationDataReader`` does."""

    def __init__(self, clips: list[np.ndarray]):
        self._clips: Iterator[np.ndarray] = iter(clips)

    def get_next(self) -> dict[str, np.ndarray] | None:
        clip = next(self._clips, None)
        return None if clip is None else {"waveform": clip}
