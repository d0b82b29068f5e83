"""Constants of ONNX graphs: put in for inputs, and worked out beforehand."""

from collections.abc import Mapping

import numpy as np


def fill_in(model, values: Mapping[str, np.ndarray]) -> None:
    """Makes constants of inputs of an ``onnx.ModelProto``, and of all that follows from constants.

    Args:
        model: changed in place.
        values: by the names of inputs, which are inputs no longer.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    kept = [value for value in graph.input if value.name not in values]
    del graph.input[:]
    graph.input.extend(kept)
    constants = {constant.name: constant for constant in graph.initializer}
    arrays, nodes = dict(values), []
    outputs = {value.name for value in graph.output}
    for node in graph.node:
        known = all(name in arrays or name in constants for name in node.input if name)
        if not (known and any(name in arrays for name in node.input)) or outputs & set(node.output):
            nodes.append(node)
            continue
        feeds = {
            name: arrays[name] if name in arrays else onnx.numpy_helper.to_array(constants[name])
            for name in node.input
            if name
        }
        evaluator = ReferenceEvaluator(node, opsets={"": model.opset_import[0].version})
        arrays |= zip(node.output, evaluator.run(None, feeds), strict=True)
    used = {name for node in nodes for name in node.input} | outputs
    initializers = [constant for name, constant in constants.items() if name in used]
    initializers += [
        onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in arrays.items()
        if name in used
    ]
    for field, entries in (("node", nodes), ("initializer", initializers)):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(entries)
