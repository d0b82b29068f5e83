"""Trained networks from wherever they were saved."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from panns_tf.models.network import Network
from panns_tf.models.registry import find
from panns_tf.run import find_model
from panns_tf.weights.loading import AUDIOSET, STATE_FILES, create_model, read_network
from tfrecords.classes import audioset_classes
from tfrecords.files import read_json
from tfrecords.text import one_line

#: Description of the network within a SavedModel; TensorFlow keeps this folder for users' files.
DESCRIPTION = Path("assets.extra") / "panns_tf.json"

_FILES = (*STATE_FILES, ".keras")


def load_network(model: str | Path, weights: str | Path | None = AUDIOSET) -> Network:
    """Returns a network with its weights and labels.

    ``model`` is the name of a network, a ``.keras``, ``.pth`` or ``.safetensors`` file, or a run
    directory; ``weights``, for a name, as `panns_tf.create_model` has them. The ``labels`` are
    those it was saved with; of the reference's files with 527 classes AudioSet's; else ``class 0``,
    ``class 1`` ... Errors as of `panns_tf.AudioTagger`.
    """
    path = find_model(model)
    is_path = path.exists() or path.suffix in _FILES or os.sep in str(model)
    if is_path and weights not in (None, AUDIOSET):
        raise ValueError(
            f"{model} has weights of its own; received {weights} besides, which go with the name "
            "of a network"
        )
    if path.is_file() and path.suffix in _FILES:
        network = read_network(path)
    elif is_path:
        what = "no file of a network" if path.exists() else "no such file"
        raise ValueError(f"{path}: {what}; expected a .keras or .pth file or a run directory")
    else:
        network = _by_name(str(model), weights)
    if network.labels is None:
        names, count = audioset_classes().names, network.num_classes
        numbered = [f"class {i}" for i in range(count)]
        network.labels = list(names) if count == len(names) else numbered
    return network


def _by_name(name: str, weights: str | Path | None) -> Network:
    path = Path(weights or "")
    if weights in (None, AUDIOSET) or path.suffix not in _FILES or not path.is_file():
        return create_model(name, weights=weights)  # which refuses what is no file
    network = read_network(path, name if path.suffix in STATE_FILES else None)
    if network.arch.name != find(name).name:
        raise ValueError(f"{path} holds a {network.arch.name}, not a {find(name).name}")
    return network


def load_any(path: str | Path) -> tuple[Callable, dict]:
    """Loads a trained network from a ``.keras`` file, a SavedModel of ours or a run directory.

    Returns a function from float32 waveforms (batch, samples) to the outputs by name, and the
    description: ``network``, ``sample_rate``, ``num_classes``, ``labels``, ``path``.
    """
    path = find_model(path)
    if path.suffix == ".keras" and path.is_file():
        network = read_network(path)
        return network, {**describe(network), "path": str(path)}
    if not (path / "saved_model.pb").is_file():
        raise ValueError(
            f"no model at {path}; expected a .keras file, a SavedModel or a run directory"
        )
    description = read_json(path / DESCRIPTION)
    try:
        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises whatever its readers raise
        raise ValueError(f"{path} cannot be loaded: {one_line(error)}") from error

    def call(waveform):
        # The closure keeps `loaded`, which owns the weights, alive.
        return serve(waveform=waveform) if loaded else None

    return call, {**description, "path": str(path)}


def describe(network: Network) -> dict:
    """What a user of an exported network must know of it, for JSON.

    ``inputs`` says what the network sees: where that is no ``log_mel``, of ``frontend`` the
    ``sample_rate`` alone has a meaning, and for a ``wavegram`` the number of ``mel_bins``.
    ``frame_seconds`` lie between frames of ``framewise_output``; None if it has none.
    """
    front = network.arch.frontend
    frames = "framewise_output" in network.output_shapes
    description = {
        "network": network.arch.name,
        "sample_rate": front.sample_rate,
        "num_classes": network.num_classes,
        "labels": network.labels,
        "inputs": network.arch.inputs,
        "frontend": dataclasses.asdict(front),
        "frame_seconds": front.hop_size / front.sample_rate if frames else None,
        "overrides": network.overrides,
    }
    return json.loads(json.dumps(description))  # lists, as whoever reads it has them
