"""Networks as ONNX files."""

import json
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from panns_tf.export.check import check_export, checked_clips
from panns_tf.export.portable import front_layers, in_float16, portable
from panns_tf.export.runtimes import KEY, NEEDED, quiet
from panns_tf.inference.loading import describe
from panns_tf.inference.model import in_precision
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network
from tfrecords.files import atomic_path, check_output_file

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
) -> dict:
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
            `panns_tf.export.check.checked_clips`. Needed for ``int8``, else used in the
            check only.

    Returns:
        What `panns_tf.export.check.check_export` measured.

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
    path = Path(path)
    check_output_file(path, "path", force=True, suffixes=(".onnx",))
    with atomic_path(path) as temporary:
        with quiet():
            model = _converted(in_float16(network) if precision == "float16" else network)
            if "int8" in precision:
                model = _rounded(model, front_layers(network), precision, clips)
        described = {**describe(network), "precision": precision}
        onnx.helper.set_model_props(model, {KEY: json.dumps(described)})
        onnx.save(model, temporary)
        return check_export(temporary, network, clips=clips)


def _converted(network: Network):
    """Returns a network as an ``onnx.ModelProto``, in the precision of its layers.

    Large kernels are inputs while tf2onnx works, which would keep some fifty copies of them.
    """
    import tf2onnx

    if all(layer.compute_dtype != "float16" for layer in network.layers):
        network = in_precision(network)
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
    fill_in(converted, dict(zip(names, arrays, strict=True)))
    _name_axes(converted, network.output_shapes)
    return converted


def fill_in(model, values: Mapping[str, np.ndarray]) -> None:
    """Makes constants of a ``ModelProto``'s inputs, by name, and of all that follows from them."""
    from onnx.numpy_helper import from_array, to_array
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    inputs = [value for value in graph.input if value.name not in values]
    constants = {constant.name: constant for constant in graph.initializer}
    outputs = {value.name for value in graph.output}
    arrays, nodes = dict(values), []
    for node in graph.node:
        names = {name for name in node.input if name}
        follows = names & arrays.keys() and names <= arrays.keys() | constants.keys()
        if not follows or outputs & set(node.output):
            nodes.append(node)
            continue
        feeds = {x: arrays[x] if x in arrays else to_array(constants[x]) for x in names}
        evaluator = ReferenceEvaluator(node, opsets={"": model.opset_import[0].version})
        arrays |= zip(node.output, evaluator.run(None, feeds), strict=True)
    used = {name for node in nodes for name in node.input}
    initializers = [constants[name] for name in constants if name in used | outputs]
    for name, array in arrays.items():
        if name in used:
            initializers.append(from_array(np.ascontiguousarray(array), name))
    for field, entries in (("input", inputs), ("node", nodes), ("initializer", initializers)):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(entries)


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
    """Returns a ``ModelProto`` in 8 bits, but for its front end."""
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
    """Returns the names of the nodes of an ``onnx.ModelProto`` that are to stay float32.

    They are those of the first layers, and all that lies between them and the input. Nodes are
    named ``MODEL/LAYER_1/...``, or are nameless and belong to what they follow.
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
