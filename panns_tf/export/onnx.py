"""Networks as ONNX files."""

import json
import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from panns_tf.export.portable import front_layers, portable
from panns_tf.export.settings import KEY
from panns_tf.inference.model import in_precision
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network, copy_network

#: The oldest version of ONNX's operations that has all that are used; runtimes of 2023 know it.
OPSET = 18

#: Kernels from this many values are kept out of the conversion.
LARGE = 2**14

#: What is computed in 8 bits after calibration. Others only pass on what these give.
ROUNDED = ("Conv", "MatMul", "Gemm", "Add", "AveragePool", "MaxPool", "Relu", "Clip")
ROUNDED += ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Pad")


def write(network: Network, path: Path, described: dict, clips: list[np.ndarray]) -> None:
    import onnx

    precision = described["precision"]
    half = precision == "float16"
    network = copy_network(network, "mixed_float16") if half else in_precision(network)
    model = _converted(network)
    _name_axes(model, network.output_shapes)
    if "int8" in precision:
        model = _rounded(model, front_layers(network), precision, clips)
    onnx.helper.set_model_props(model, {KEY: json.dumps(described)})
    onnx.save(model, path)


def _converted(network: Network):
    """A network as an ``onnx.ModelProto``, in the precision of its layers.

    Large kernels are inputs while tf2onnx works, which would keep some fifty copies of them.
    """
    import tf2onnx

    model = portable(network)
    kernels = [w for w in model.weights if math.prod(w.shape) >= LARGE]
    names = [f"kernel{number}" for number in range(len(kernels))]
    shapes = {"waveform": (None, None)} | {x: k.shape for x, k in zip(names, kernels, strict=True)}
    signature = [tf.TensorSpec(shape, tf.float32, name=x) for x, shape in shapes.items()]

    def outputs(waveform, *values):
        with keras.StatelessScope(list(zip(kernels, values, strict=True))):
            results = model(waveform, training=False)
        return {name: tf.cast(value, tf.float32) for name, value in results.items()}

    function = tf.function(outputs, input_signature=signature, autograph=False)
    with traced_for("portable"):
        converted, _ = tf2onnx.convert.from_function(
            function, input_signature=signature, opset=OPSET
        )
    arrays = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    return with_constants(converted, dict(zip(names, arrays, strict=True)))


def with_constants(model, values: Mapping[str, np.ndarray]):
    """A ``ModelProto`` with constants for these inputs, and for all that follows from them."""
    import onnx
    import onnxruntime

    inputs = [value for value in model.graph.input if value.name not in values]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for name, array in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/whole.onnx")
        settings.optimized_model_filepath = f"{folder}/folded.onnx"
        onnxruntime.InferenceSession(
            f"{folder}/whole.onnx", settings, providers=["CPUExecutionProvider"]
        )
        folded = onnx.load(settings.optimized_model_filepath)
    del folded.opset_import[:]  # which names extensions that are not used
    folded.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return folded


def _name_axes(model, output_shapes: Mapping[str, tuple]) -> None:
    """Gives the axes of unknown size names: batch, samples, frames, segments."""
    axes = {"waveform": ("batch", "samples")}
    for name, shape in output_shapes.items():
        lengths = [name.replace("wise_output", "s")] if len(shape) == 3 else []
        axes[name] = ("batch", *lengths, None)
    for value in (*model.graph.input, *model.graph.output):
        for dimension, axis in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=True):
            if axis:
                dimension.dim_param = axis


def _rounded(model, front: set[str], precision: str, clips: list[np.ndarray]):
    """A ``ModelProto`` in 8 bits, but for its front end."""
    import onnx
    from onnxruntime import quantization

    settings = {
        "nodes_to_exclude": front_nodes(model, front),
        "weight_type": quantization.QuantType.QInt8,
        "per_channel": True,
        # Processors without VNNI add pairs of products in 16 bits, too few for full 8.
        "reduce_range": True,
    }
    feeds = iter([{"waveform": clip} for clip in clips])
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        if precision == "dynamic_int8":
            quantization.quantize_dynamic(model, target, **settings)
        else:
            quantization.quantize_static(
                model,
                target,
                SimpleNamespace(get_next=lambda: next(feeds, None)),
                activation_type=quantization.QuantType.QUInt8,
                op_types_to_quantize=list(ROUNDED),
                **settings,
            )
        return onnx.load(target)


def front_nodes(model, front: set[str]) -> list[str]:
    """The names of the nodes of the first layers, and of all between them and the input.

    Nodes are named ``MODEL/LAYER_1/...``, or are nameless and belong to what they follow.
    """
    behind: set[str] = set()  # tensors that a later layer gave
    names = []
    for node in model.graph.node:
        scopes = node.name.split("/")
        layer = re.sub(r"_\d+$", "", scopes[1]) if len(scopes) > 2 else ""
        if layer in front or not (layer or behind & set(node.input)):
            names.append(node.name)
        else:
            behind.update(node.output)
    return names
