"""TensorFlow Serving's predict API by its documentation, for tests without the server.

https://www.tensorflow.org/tfx/serving/api_rest, section "Predict API".
"""

import json
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf


def predict(signatures: Mapping[str, Callable], body: str) -> dict:
    """Answers a request.

    Args:
        signatures: of the loaded SavedModel.
        body: the request.

    Returns:
        What the server would answer, before it becomes JSON; on an error ``{"error": ...}``.
    """
    try:
        request = json.loads(body)
        signature = signatures[request.pop("signature_name", "serving_default")]
        specs = signature.structured_input_signature[1]
        (form, given), *others = request.items()
        if others or form not in ("instances", "inputs"):
            raise ValueError("either instances or inputs")
        columns = (_of_rows if form == "instances" else _of_columns)(given, specs)
        if set(columns) != set(specs):
            raise ValueError(f"inputs {sorted(columns)}, expected {sorted(specs)}")
        tensors = {name: tf.constant(columns[name], specs[name].dtype) for name in specs}
        outputs = {name: value.numpy() for name, value in signature(**tensors).items()}
    except (KeyError, ValueError, TypeError, tf.errors.OpError) as error:
        return {"error": str(error)}
    if form == "inputs":
        named = {name: _plain(value) for name, value in outputs.items()}
        return {"outputs": named if len(named) > 1 else next(iter(named.values()))}
    # In the row format all outputs have the batch first.
    sizes = {len(value) for value in outputs.values()}
    if sizes != {len(given)}:
        return {"error": f"outputs of {sizes} items for {len(given)} instances"}
    rows = [{name: _plain(value[i]) for name, value in outputs.items()} for i in range(len(given))]
    return {"predictions": rows if len(outputs) > 1 else [next(iter(r.values())) for r in rows]}


def _of_rows(instances, specs: Mapping) -> dict:
    if not isinstance(instances, list) or not instances:
        raise ValueError("instances must be a list with something in it")
    if isinstance(instances[0], dict):
        return {name: [row[name] for row in instances] for name in instances[0]}
    return _of_columns(instances, specs)


def _of_columns(inputs, specs: Mapping) -> dict:
    if isinstance(inputs, dict):
        return inputs
    (name,) = specs  # only an input that is alone may go without its name
    return {name: inputs}


def _plain(value: np.ndarray):
    if value.dtype == object:
        value = np.vectorize(bytes.decode, otypes=[object])(value)
    return value.tolist()
