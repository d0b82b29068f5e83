"""The network of a new task: a pretrained backbone, a new head, layer groups."""

import hashlib
import json
import re
from pathlib import Path

import keras
import numpy as np
from scipy import special

from panns_tf.inference.loading import load_network
from panns_tf.models.network import Network
from panns_tf.models.registry import Architecture, find
from panns_tf.weights.loading import AUDIOSET

#: Hidden layers of Freeze_L3's classifier; the paper gives no widths.
HIDDEN = (512, 512)
#: Layers that depend on the classes; a new task gets new ones.
CLASSIFIER = re.compile(r"fc_audioset|att_block\..*|fc_hidden\d+")
#: A layer group is named by the first part of its layers' names that holds a number.
_GROUP = re.compile(r"(?:resnet\.layer\d+|features\.\d+|[a-z_]*\d+)")


def read_pretrained(arch: str | None, weights: str) -> Network:
    """Returns a pretrained network.

    Args:
        arch: its name; None where ``weights`` says it.
        weights: ``"audioset"`` for the published ones, or a file or a run directory.

    Raises:
        ValueError: if it cannot be read, or is of another network than ``arch``.
        OSError: if the published weights cannot be downloaded.
    """
    if arch is None:
        return load_network("Cnn14" if weights == AUDIOSET else weights)
    name = find(arch).name
    network = load_network(weights) if Path(weights).is_dir() else load_network(name, weights)
    if network.arch.name != name:
        raise ValueError(
            f"--weights {weights} holds a {network.arch.name}, not a {name}; leave --arch out, or "
            "name that"
        )
    return network


def check_overrides(pretrained: Network, overrides: dict) -> None:
    """Raises ValueError if the user wants another front end than a pretrained network has."""
    for name, value in overrides.items():
        owner = pretrained.arch if name == "embedding_size" else pretrained.arch.frontend
        if getattr(owner, name) != value:
            raise ValueError(
                f"--{name.replace('_', '-')} {value}: the pretrained {pretrained.arch.name} has "
                f"{getattr(owner, name)}; leave it out, or take --strategy scratch"
            )


def kept_overrides(pretrained: Network) -> dict:
    """A pretrained network's overrides but for those of its classifier and of training."""
    changed = ("hidden", "activation", "dropout", "spec_augment")
    return {name: value for name, value in pretrained.overrides.items() if name not in changed}


def new_network(
    arch: str,
    labels: tuple[str, ...],
    overrides: dict,
    *,
    strategy: str = "finetune",
    single_label: bool = True,
    pretrained: Network | None = None,
) -> Network:
    """Returns a network for a task: the layers of a pretrained one, and a new classifier.

    Args:
        arch: of the registry.
        labels: of the task's classes.
        overrides: as for `panns_tf.create_model`.
        strategy: one of `panns_tf.transfer.settings.STRATEGIES`.
        single_label: whether every clip has one class: then the activation is softmax, but for
            networks that join predictions for parts of a clip.
        pretrained: a network of the same architecture, or None for random weights.

    Raises:
        ValueError: if a layer of the pretrained network has another shape.
    """
    activation = "softmax" if single_label and find(arch).head == "clip" else "sigmoid"
    hidden = {"hidden": HIDDEN} if strategy == "freeze_l3" else {}
    network = Network(arch, len(labels), **overrides, activation=activation, **hidden)
    network.labels = list(labels)
    if pretrained is None:
        return network
    sources = {layer.name: layer for layer in pretrained.layers if layer.weights}
    differing = []
    for layer in network.layers:
        if layer.weights and not CLASSIFIER.fullmatch(layer.name):
            source = sources.get(layer.name)
            shapes = [tuple(v.shape) for v in layer.weights]
            if source is None or [tuple(v.shape) for v in source.weights] != shapes:
                differing.append(layer.name)
            else:
                layer.set_weights(source.get_weights())
    if differing:
        raise ValueError(
            f"the pretrained {arch} differs from the new one in {len(differing)} layers, "
            f"first {differing[0]}; take its own settings, or others' weights"
        )
    return network


def trunk_and_head(network: Network) -> tuple[keras.Model, keras.Model]:
    """Cuts a new network before its classifier; the parts share its layers.

    Returns:
        A model from ``waveform`` (batch, samples) float32 to the embedding, (batch, width), or
        (batch, segments, width) of networks that classify parts of a clip; and a model from there
        to (batch, classes): logits where the network has one prediction for a clip, else
        probabilities, see `probabilities`.
    """
    names = {layer.name for layer in network.layers}
    embedding = network.get_layer("fc2" if "fc2" in names else "fc1").output
    outputs = network.output["clipwise_output"]
    if network.arch.head == "clip":
        outputs = network.get_layer("fc_audioset").output
    return keras.Model(network.input, embedding), keras.Model(embedding, outputs)


def probabilities(head: keras.Model, arch: Architecture, embedded: np.ndarray) -> np.ndarray:
    """The probabilities that a head predicts for embeddings, float32 (windows, classes)."""
    outputs = head.predict(embedded, batch_size=512, verbose=0)
    if arch.head != "clip":
        return outputs
    return (
        special.softmax(outputs, axis=1) if arch.activation == "softmax" else special.expit(outputs)
    )


def layer_groups(network: Network) -> list[list[keras.layers.Layer]]:
    """The layers with weights by group, from the waveform on, the classifier last.

    A group is a block of the reference, ``conv_block3``, ``resnet.layer2``, ``features.7``; what
    stands alone, such as ``bn0``, is in the group of the block after it.
    """
    groups: dict[str, list[keras.layers.Layer]] = {}
    for layer in network.layers:
        if layer.weights:
            match = _GROUP.match(layer.name)
            name = match.group() if match else layer.name
            name = "classifier" if CLASSIFIER.fullmatch(layer.name) else name
            groups.setdefault(name, []).append(layer)
    found, waiting = [], []
    for name, layers in groups.items():
        waiting += layers
        alone = len(layers) == 1 and name != "classifier"
        if not (alone and name.startswith(("bn", "pre_bn", "conv0", "pre_conv"))):
            found.append(waiting)
            waiting = []
    return found


def fingerprint(network: Network) -> str:
    """SHA-256 of all that decides a network's embeddings."""
    arch = network.arch
    digest = hashlib.sha256()
    described = [arch.backbone, arch.head, arch.inputs, str(arch.frontend), arch.embedding_size]
    digest.update(json.dumps(described).encode())
    for layer in network.layers:
        if layer.weights and not CLASSIFIER.fullmatch(layer.name):
            digest.update(layer.name.encode())
            for value in layer.get_weights():
                digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
