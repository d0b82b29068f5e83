"""Trained networks from wherever they were saved."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from panns_tf.inference.export.saved_model import DESCRIPTION, describe
from panns_tf.models import Network, find
from panns_tf.weights.loading import STATE_FILES, create_model, read_network
from tfrecords.classes import audioset_classes

#: Files of a run directory that hold its network, the preferred first.
OF_RUN = ("final.keras", "best.keras")


def load_network(model: str | Path, weights: str | Path | None = "audioset") -> Network:
    """Returns a network with its weights and labels.

    Args:
        model: the name of a network; or a ``.keras`` file, a ``.pth`` file, or a run directory.
        weights: for a name: ``"audioset"`` for the published weights, which are downloaded once;
            a file, see `panns_tf.create_model`; or None for random ones.

    Returns:
        The network. Its ``labels`` are those it was saved with; of the reference's files with 527
        classes AudioSet's; else ``class 0``, ``class 1`` ...

    Raises:
        ValueError: if there is no such network or file, or it cannot be read.
        OSError: if the published weights cannot be downloaded.
    """
    path = Path(model)
    if not str(model):
        raise ValueError("a model without a name; expected a network, a file or a run directory")
    is_path = path.exists() or path.suffix in (*STATE_FILES, ".keras") or os.sep in str(model)
    if is_path and weights not in (None, "audioset"):
        raise ValueError(
            f"{path} has weights of its own; received {weights} besides, which go with the name "
            "of a network"
        )
    if path.is_dir():
        found = [path / name for name in OF_RUN if (path / name).is_file()]
        if not found:
            folds = sorted(fold.parent.name for fold in path.glob(f"fold-*/{OF_RUN[0]}"))
            if folds:
                raise ValueError(
                    f"{path} holds a network for each fold; name one, such as {path / folds[0]}"
                )
            kind = "a SavedModel" if (path / "saved_model.pb").is_file() else "a folder"
            raise ValueError(
                f"{path} is {kind} without {' or '.join(OF_RUN)}; expected a run directory, a "
                ".keras or .pth file or the name of a network"
            )
        path = found[0]
    if path.is_file() and path.suffix in (*STATE_FILES, ".keras"):
        network = read_network(path)
    elif is_path:
        what = "no file of a network" if path.exists() else "no such file"
        raise ValueError(f"{what}: {path}; expected a .keras or .pth file, or a run directory")
    else:
        network = _named(str(model), weights)
    if network.labels is None:
        network.labels = _labels(network.num_classes)
    return network


def _named(name: str, weights: str | Path | None) -> Network:
    if weights in (None, "audioset"):
        return create_model(name, weights=weights)
    path = Path(weights)
    if path.suffix in STATE_FILES:
        return read_network(path, name)
    if path.suffix != ".keras" or not path.is_file():
        return create_model(name, weights=weights)  # says what is wrong
    network, wanted = read_network(path), find(name)
    if network.row.name != wanted.name:
        raise ValueError(f"{path} holds a {network.row.name}, not a {wanted.name}")
    return network


def _labels(num_classes: int) -> list[str]:
    names = audioset_classes().names
    if num_classes == len(names):
        return list(names)
    return [f"class {number}" for number in range(num_classes)]


def load_any(path: str | Path) -> tuple[Callable, dict]:
    """Loads a trained network from wherever it was saved.

    Args:
        path: a ``.keras`` file, a SavedModel of `export_saved_model`, or a run directory, of
            which ``final.keras`` is taken, or ``best.keras`` while there is none.

    Returns:
        A function from float32 waveforms (batch, samples) to the outputs by name, and the
        description: ``network``, ``sample_rate``, ``num_classes``, ``labels``, ``path``.

    Raises:
        ValueError: if there is no such thing at ``path``.
    """
    path = Path(path)
    for candidate in (path / name for name in OF_RUN):
        if candidate.is_file():
            path = candidate
            break
    if path.suffix == ".keras" and path.is_file():
        network = read_network(path)
        return network, {**describe(network), "path": str(path)}
    if (path / "saved_model.pb").is_file():
        if not (path / DESCRIPTION).is_file():
            raise ValueError(f"{path} lacks {DESCRIPTION}: it was not exported by this project")
        try:
            description = json.loads((path / DESCRIPTION).read_text())
            missing = {"network", "sample_rate", "num_classes", "labels"} - set(description)
            if missing:
                raise ValueError(f"{DESCRIPTION} lacks {', '.join(sorted(missing))}")
            loaded = tf.saved_model.load(str(path))
            serve = loaded.signatures["serving_default"]
        except Exception as error:  # TensorFlow raises whatever its readers raise
            raise ValueError(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error

        def call(waveform):
            # The closure keeps `loaded`, which owns the weights, alive.
            return serve(waveform=waveform) if loaded else None

        return call, {**description, "path": str(path)}
    raise ValueError(
        f"no model at {path}; expected a .keras file, a SavedModel or a run directory "
        "that holds final.keras or best.keras"
    )
