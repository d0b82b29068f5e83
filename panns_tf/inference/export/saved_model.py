"""Networks as SavedModels, which run without this package."""

import json
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from panns_tf.layers.compiled import without_xla
from panns_tf.models import Network

#: TensorFlow keeps this folder of a SavedModel for files of its users.
DESCRIPTION = Path("assets.extra") / "panns_tf.json"


def export_saved_model(network: Network, path: str | Path) -> Path:
    """Writes a network as a SavedModel, front end included.

    Its signature ``serving_default`` takes ``waveform``, float32 (batch, samples) in [-1, 1],
    both axes of any size, and gives the network's outputs by name. It runs in float32 whatever
    the training policy, and without XLA, so that clips of ever new lengths compile nothing.
    ``assets.extra/panns_tf.json`` names the network, its sample rate and its labels.

    Args:
        network: from `panns_tf.create_model`.
        path: a directory; replaced if it holds a SavedModel already.

    Returns:
        The path.
    """
    path = Path(path)
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(f"{path} exists and is no SavedModel; choose another place")
    partial = path.with_name(f"partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    signature = [tf.TensorSpec((None, None), tf.float32, name="waveform")]
    with without_xla():
        in_float32(network).export(partial, input_signature=signature, verbose=False)
    (partial / DESCRIPTION).parent.mkdir(exist_ok=True)
    (partial / DESCRIPTION).write_text(json.dumps(describe(network), indent=2) + "\n")
    shutil.rmtree(path, ignore_errors=True)
    partial.replace(path)
    return path


def in_float32(network: Network) -> Network:
    """Returns the network itself if it computes in float32, else a copy that does."""
    if all(layer.compute_dtype == "float32" for layer in network.layers):
        return network
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        copy = Network.from_config(network.get_config())
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(network.get_weights())
    return copy


def describe(network: Network) -> dict:
    """Returns what a user of an exported network must know of it, as JSON takes it."""
    return {
        "network": network.row.name,
        "sample_rate": network.row.frontend.sample_rate,
        "num_classes": network.num_classes,
        "labels": list(network.labels) if network.labels else None,
    }
