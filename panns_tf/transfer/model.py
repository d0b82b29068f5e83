"""The network of a new task: a pretrained backbone and its embeddings, a new head."""

import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from panns_tf.models.network import Network
from panns_tf.models.registry import Architecture, find
from panns_tf.training.data import from_int16
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.store import AudioStore
from tfrecords.files import atomic

#: Hidden layers of Freeze_L3's classifier; the paper gives no widths.
HIDDEN = (512, 512)
#: Windows at a time where embeddings are computed.
_BATCH = 16


def is_classifier(layer: keras.layers.Layer) -> bool:
    """Whether a layer depends on the classes; a new task gets new ones."""
    return layer.name.startswith(("fc_audioset", "att_block.", "fc_hidden"))


def kept_overrides(pretrained: Network, overrides: dict) -> dict:
    """A pretrained network's overrides but for the classifier's, if the user wants no others."""
    for name, value in overrides.items():
        owner = pretrained.arch if name == "embedding_size" else pretrained.arch.frontend
        if getattr(owner, name) != value:
            raise ValueError(
                f"--{name.replace('_', '-')} {value}: the pretrained {pretrained.arch.name} has "
                f"{getattr(owner, name)}; leave it out, or take --strategy scratch"
            )
    changed = ("hidden", "activation", "dropout", "spec_augment")
    return {name: value for name, value in pretrained.overrides.items() if name not in changed}


def new_network(experiment: Experiment, pretrained: Network | None = None) -> Network:
    """A network for a task: the layers of a pretrained one, if any, and a new classifier."""
    arch, config, dataset = experiment.arch, experiment.config, experiment.dataset
    # Networks that join predictions for parts of a clip need each class by itself.
    softmax = find(arch).head == "clip" and not dataset.multi_label
    overrides = {**experiment.overrides, "activation": "softmax" if softmax else "sigmoid"}
    overrides |= {"hidden": HIDDEN} if config.strategy == "freeze_l3" else {}
    overrides |= {n: False for n in ("dropout", "spec_augment") if not getattr(config, n)}
    network = Network(arch, len(dataset.classes), **overrides)
    network.labels = list(dataset.classes)
    for layer in network.layers if pretrained else ():
        if layer.weights and not is_classifier(layer):
            try:
                layer.set_weights(pretrained.get_layer(layer.name).get_weights())
            except ValueError:
                raise ValueError(
                    f"the pretrained {arch} differs from the new one in {layer.name}; take its "
                    "own settings, or others' weights"
                ) from None
    return network


def trunk_and_head(network: Network) -> tuple[keras.Model, keras.Model]:
    """Cuts a network before its classifier, at (batch, width) or (batch, segments, width)."""
    last = "fc2" if network.arch.head == "patches" else "fc1"
    embedding, outputs = network.get_layer(last).output, network.output["clipwise_output"]
    if network.arch.head == "clip":  # logits, rather than joined probabilities of parts
        outputs = network.get_layer("fc_audioset").output
    return keras.Model(network.input, embedding), keras.Model(embedding, outputs)


def probabilities(head: keras.Model, arch: Architecture, embedded: np.ndarray) -> np.ndarray:
    """The probabilities that a head predicts for embeddings, float32 (windows, classes)."""
    outputs = head.predict(embedded, batch_size=512, verbose=0)
    if arch.head != "clip":
        return outputs
    softmax = arch.activation == "softmax"
    return special.softmax(outputs, axis=1) if softmax else special.expit(outputs)


def layer_groups(network: Network) -> list[list[keras.layers.Layer]]:
    """The layers with weights by block (``conv_block3``, ``features.7``), the classifier last."""
    groups: dict[str, list[keras.layers.Layer]] = {}
    for layer in network.layers:
        if layer.weights:
            first, _, rest = layer.name.partition(".")
            numbered = first if first[-1].isdigit() else f"{first}.{rest.partition('.')[0]}"
            name = "classifier" if is_classifier(layer) else numbered
            groups.setdefault(name, []).append(layer)
    found, waiting = [], []  # what stands alone, such as bn0, goes with the block after it
    for layers in groups.values():
        waiting += layers
        if "." in layers[0].name or layers[0].name.startswith("fc"):
            found.append(waiting)
            waiting = []
    return found


def fingerprint(network: Network) -> str:
    """SHA-256 of all that decides a network's embeddings."""
    arch = network.arch
    described = [arch.backbone, arch.head, arch.inputs, str(arch.frontend), arch.embedding_size]
    digest = hashlib.sha256(json.dumps(described).encode())
    for layer in network.layers:
        if not is_classifier(layer):
            for value in layer.get_weights():
                digest.update(layer.name.encode())
                digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def embed_windows(
    network: Network, store: AudioStore, places: np.ndarray, size: int, folder: Path
) -> np.ndarray:
    """Embeddings of windows, float32 (windows, ...), kept by their content and the network's."""
    keys = [
        hashlib.sha256(np.ascontiguousarray(store[n][start : start + size]).data).hexdigest()
        for n, start in places
    ]
    path = folder / f"{network.arch.name}-{fingerprint(network)[:32]}-{size}.npz"
    try:
        with np.load(path) as file:
            kept = dict(zip(file["keys"].tolist(), file["values"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        kept = {}  # none yet, cut off, or of another kind
    new = {key: n for n, key in enumerate(keys) if key not in kept}
    if new:
        trunk = trunk_and_head(network)[0]
        embed = tf.function(lambda batch: trunk(from_int16(batch), training=False), autograph=False)
        rows = store.predict(embed, places[list(new.values())], size, _BATCH, "embed")
        kept.update(zip(new, rows, strict=True))
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            np.savez(file, keys=np.array(list(kept)), values=np.stack(list(kept.values())))
    return np.stack([kept[key] for key in keys])
