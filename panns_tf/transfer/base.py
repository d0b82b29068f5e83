"""The network of a new task, from one that was trained on another."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from panns_tf.inference.loading import load_network
from panns_tf.models import Network, find
from panns_tf.transfer.stages import CLASSIFIER
from panns_tf.weights.loading import STATE_FILES

#: Hidden layers of Freeze_L3's classifier; the paper gives no widths.
HIDDEN = (512, 512)


def read_base(arch: str | None, weights: str | None) -> Network:
    """Returns a pretrained network.

    Args:
        arch: its name; None where ``weights`` says it.
        weights: ``"audioset"`` for the published ones, or a file or a run directory.

    Raises:
        ValueError: if it cannot be read, or is of another network than ``arch``.
        OSError: if the published weights cannot be downloaded.
    """
    if weights == "audioset":
        return load_network(find(arch or "Cnn14").name, "audioset")
    path = Path(weights)
    if path.suffix in STATE_FILES and arch:
        return load_network(find(arch).name, weights)
    network = load_network(weights, None) if _is_place(path) else load_network(arch or "", weights)
    if arch and find(arch).name != network.row.name:
        raise ValueError(
            f"--weights {weights} holds a {network.row.name}, not a {find(arch).name}; leave "
            "--arch out, or name that"
        )
    return network


def _is_place(path: Path) -> bool:
    return path.is_dir() or path.suffix in (*STATE_FILES, ".keras")


def task_overrides(row_name: str, strategy: str, single_label: bool, overrides: dict) -> dict:
    """Returns the overrides of a network for a task: those given, and its classifier's.

    Args:
        row_name: of the registry.
        strategy: one of `panns_tf.transfer.settings.STRATEGIES`.
        single_label: whether every clip has one class.
        overrides: as for `panns_tf.create_model`.
    """
    found = {**overrides, "activation": activation_of(row_name, single_label)}
    if strategy == "freeze_l3":
        found["hidden"] = HIDDEN
    return found


def new_network(
    row_name: str,
    labels: tuple[str, ...],
    overrides: dict,
    base: Network | None = None,
    head: keras.Model | None = None,
) -> Network:
    """Returns a network for a task, every layer that hears as the base has it, the classifier new.

    Args:
        row_name: of the registry.
        labels: of the task's classes.
        overrides: see `task_overrides`.
        base: a pretrained network of the same row, or None for random weights.
        head: a trained classifier, whose weights it takes; or None for random ones.

    Raises:
        ValueError: if a layer of the base has another shape, by other overrides.
    """
    network = Network(row_name, len(labels), **overrides)
    network.labels = list(labels)
    if base is not None:
        _copy(base, network)
    for layer in head.layers if head is not None else ():
        if layer.weights:
            network.get_layer(layer.name).set_weights(layer.get_weights())
    return network


def activation_of(row_name: str, single_label: bool) -> str:
    """Returns softmax where a clip has one class and the head one word on it, else sigmoid."""
    return "softmax" if single_label and find(row_name).head == "clip" else "sigmoid"


def overrides_of(base: Network) -> dict:
    """Returns a pretrained network's overrides but for those of its classifier and training."""
    own = ("hidden", "activation", "dropout", "spec_augment")
    return {name: value for name, value in base.overrides.items() if name not in own}


def _copy(base: Network, network: Network) -> None:
    given = {layer.name: layer for layer in base.layers if layer.weights}
    differing = []
    for layer in network.layers:
        if not layer.weights or CLASSIFIER.fullmatch(layer.name):
            continue
        source = given.get(layer.name)
        ours = [tuple(v.shape) for v in layer.weights]
        if source is None or [tuple(v.shape) for v in source.weights] != ours:
            differing.append(layer.name)
        else:
            layer.set_weights(source.get_weights())
    if differing:
        raise ValueError(
            f"the pretrained {base.row.name} differs from the new one in {len(differing)} layers, "
            f"first {differing[0]}; take its own settings, or others' weights"
        )


def fingerprint(network: Network) -> str:
    """Returns a SHA-256 of all that decides what a network's classifier reads."""
    row = network.row
    digest = hashlib.sha256()
    said = [row.body, row.head, row.inputs, str(row.frontend), row.embedding_size]
    digest.update(json.dumps(said).encode())
    for layer in network.layers:
        if layer.weights and not CLASSIFIER.fullmatch(layer.name):
            digest.update(layer.name.encode())
            for value in layer.get_weights():
                digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
