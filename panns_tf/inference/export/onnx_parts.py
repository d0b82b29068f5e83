"""Which nodes of an ONNX graph are computed in which precision."""

import dataclasses
import re
from collections.abc import Mapping, Set

#: The front end, what may be rounded, and the last layers, in the order of the graph.
FRONT, MIDDLE, END = range(3)


@dataclasses.dataclass(frozen=True)
class Parts:
    """Names of a graph's nodes.

    Attributes:
        front: the front end, and all arithmetic of sizes.
        end: the last layers.
    """

    front: list[str]
    end: list[str]


def nodes_by_part(model, layers: Set[str], front: Set[str], end: Set[str]) -> Parts:
    """Sorts the nodes of an ``onnx.ModelProto`` by the layers that they are or come after.

    Args:
        model: of which nodes are named ``MODEL/LAYER_1/...``, or are nameless and belong to what
            they follow.
        layers: names of all layers.
        front, end: names of those that stay float32: see
            `panns_tf.inference.export.precision.exact_layers`.
    """
    # By tensor; constants are in none.
    part = {value.name: FRONT for value in model.graph.input}
    sizes: set[str] = set()  # tensors that count, and must not be rounded
    parts = Parts([], [])
    for node in model.graph.node:
        inputs = [name for name in node.input if name in part]
        if not inputs:  # made of constants, which layers share whatever the name says
            parts.front.append(node.name)
            continue
        at = max(part[name] for name in inputs)
        layer = _layer(node.name)
        if layer in end and at != FRONT:
            at = END
        elif layer in layers - front - end:
            at = max(at, MIDDLE)
        if node.op_type == "Shape" or sizes.issuperset(inputs):
            sizes.update(node.output)
            at = FRONT
        if at == FRONT:
            parts.front.append(node.name)
        elif at == END:
            parts.end.append(node.name)
        part.update(dict.fromkeys(node.output, at))
    return parts


def _layer(name: str) -> str:
    scopes = name.split("/")
    return re.sub(r"_\d+$", "", scopes[1]) if len(scopes) > 1 else ""


def name_axes(model, output_shapes: Mapping[str, tuple]) -> None:
    """Gives the axes of unknown size names: batch, samples, frames, segments."""
    (waveform,) = model.graph.input
    axes = {"waveform": ("batch", "samples")}
    for name, shape in output_shapes.items():
        lengths = [name.replace("wise_output", "s")] if len(shape) == 3 else []
        axes[name] = ("batch", *lengths, None)
    for value in (waveform, *model.graph.output):
        for dimension, axis in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=True):
            if axis:
                dimension.dim_param = axis
