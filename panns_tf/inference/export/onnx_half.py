"""ONNX graphs in half precision.

ONNX Runtime's own converter passes what lies between two nodes that are to stay float32 through
float16, sizes and decibels too.
"""

from collections.abc import Set

import numpy as np

#: Of what float16 holds.
LARGEST = 65504.0


def halved(model, exact: Set[str]):
    """Returns an ``onnx.ModelProto`` whose nodes compute in float16, but for some.

    Inputs and outputs stay float32, and so does everything on the way between nodes that stay.

    Args:
        model: in float32.
        exact: names of nodes that stay as they are.
    """
    import onnx

    original, model = model, onnx.ModelProto()
    model.CopyFrom(original)
    types = _types(onnx.shape_inference.infer_shapes(model))
    float32, float16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    constants = {constant.name: constant for constant in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    half: set[str] = set()  # tensors that are float16 under their own names
    copies: dict[str, str] = {}  # of a tensor in the other precision
    nodes, halves = [], []

    def copied(name: str, to: int) -> str:
        if name not in copies:
            copies[name] = f"{name}.{'half' if to == float16 else 'float'}"
            if name in constants:
                array = onnx.numpy_helper.to_array(constants[name])
                array = np.clip(array, -LARGEST, LARGEST).astype(np.float16)
                halves.append(onnx.numpy_helper.from_array(array, copies[name]))
            else:
                nodes.append(
                    onnx.helper.make_node("Cast", [name], [copies[name]], name=copies[name], to=to)
                )
        return copies[name]

    for node in model.graph.node:
        stays = node.name in exact
        for place, name in enumerate(node.input):
            if types.get(name) == float32 and (name in half) == stays:
                node.input[place] = copied(name, float32 if stays else float16)
        nodes.append(node)
        if stays:
            continue
        for place, name in enumerate(node.output):
            if types.get(name) != float32:
                continue
            if name in outputs:
                node.output[place] = f"{name}.half"
                nodes.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=float32))
                copies[name] = f"{name}.half"
            else:
                half.add(name)
    used = {name for node in nodes for name in node.input}
    kept = [constant for name, constant in constants.items() if name in used]
    for field, values in (("node", nodes), ("initializer", [*kept, *halves]), ("value_info", [])):
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(values)
    return model


def _types(model) -> dict[str, int]:
    """Returns the element type of each tensor."""
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {constant.name: constant.data_type for constant in model.graph.initializer}
