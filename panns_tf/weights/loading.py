"""Weights from files into networks: published, the reference's, and Keras' own."""

import zipfile
from pathlib import Path

import h5py
import keras

from panns_tf.models import Architecture, Network, find
from panns_tf.weights.identify import classes_of, description, networks_of, shapes_of
from panns_tf.weights.state_dict import load_torch_state
from panns_tf.weights.torch_checkpoint import read_torch_state
from panns_tf.weights.zoo import fetch, published_file
from tfrecords.classes import audioset_classes

#: The value of ``weights`` that stands for the published checkpoint.
AUDIOSET = "audioset"

#: Endings of PyTorch's files.
TORCH = (".pth", ".pt")


def load_weights(network: Network, weights: str | Path) -> None:
    """Loads weights into a network, all of them or none.

    Args:
        network: from `panns_tf.create_model`.
        weights: ``"audioset"`` for the network's published checkpoint, downloaded unless it is
            in the cache; or the path of a ``.pth``, ``.keras`` or ``.weights.h5`` file.

    Raises:
        ValueError: if there is no such file or checkpoint, or it is damaged, of another network
            or of other settings.
        OSError: if the published checkpoint cannot be downloaded.
    """
    if weights == AUDIOSET:
        published_file(network.row.name)
        if network.num_classes != 527:
            raise ValueError(
                f"the published {network.name} has 527 classes; received num_classes="
                f"{network.num_classes}"
            )
        _load_torch(network, fetch(network.row.name))
        network.labels = list(audioset_classes().names)
        return
    path = Path(weights)
    if not path.is_file():
        raise ValueError(
            f"weights: no such file: {path}; expected None, {AUDIOSET!r}, a .pth, a .keras or "
            "a .weights.h5"
        )
    if path.suffix in TORCH:
        _load_torch(network, path)
    elif path.suffix == ".keras":
        _load_keras(network, path)
    elif path.name.endswith(".weights.h5"):
        _load_h5(network, path)
    else:
        raise ValueError(
            f"weights: expected a .pth, a .keras or a .weights.h5 file; received {path}"
        )


def _load_torch(network: Network, path: Path) -> None:
    state = read_torch_state(path)
    said = description(state)
    if said is not None:
        # What its entries do not tell: a decision-level head, a hop.
        settings = {key: said[key] for key in said.keys() - {"name", "num_classes"}}
        row = find(said["name"]).override(**settings)
        ours = network.row
        if (row.body, row.head, row.frontend) != (ours.body, ours.head, ours.frontend):
            raise ValueError(
                f"{path} holds a {row.name} with {row.frontend}, not a {ours.name} with "
                f"{ours.frontend}"
            )
        _check_activation(path, row, ours)
    try:
        load_torch_state(network, state)
    except ValueError as error:
        owners = networks_of(state)
        if owners and network.row.name not in owners:
            raise ValueError(
                f"{path} holds a {' or '.join(owners)}, not a {network.row.name}; "
                f"create that network to load it"
            ) from error
        classes = classes_of(shapes_of(state))
        if owners and classes != network.num_classes:
            raise ValueError(
                f"{path} holds a {network.row.name} of {classes} classes; received num_classes="
                f"{network.num_classes}"
            ) from error
        raise ValueError(f"{path}: {error}") from error


def _load_h5(network: Network, path: Path) -> None:
    """Keras finds layers in such a file by class and order, so no more must be in it either."""
    before = network.get_weights()
    try:
        with h5py.File(path) as file:
            arrays = []
            file.visititems(lambda _, item: arrays.append(item) if hasattr(item, "shape") else None)
            if len(arrays) != len(network.weights):
                raise ValueError(f"it holds {len(arrays)} arrays, expected {len(network.weights)}")
        network.load_weights(path)
    except Exception as error:  # HDF5 and Keras raise whatever they meet
        network.set_weights(before)
        raise ValueError(
            f"weights: {path} is damaged or of another network or number of classes than "
            f"{network.name} with {network.num_classes}: {one_line(error)}"
        ) from error


def one_line(error: Exception) -> str:
    """Returns what an error says in a line of moderate length."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def read_network(path: str | Path) -> Network:
    """Reads a network from a ``.keras`` file.

    Raises:
        ValueError: in one line, if it cannot be read or holds something else.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} cannot be loaded: it is truncated, or no .keras file")
    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its zip, JSON and HDF5 readers raise
        raise ValueError(f"{path} cannot be loaded: {one_line(error)}") from error
    if not isinstance(network, Network):
        raise ValueError(f"{path} holds no network of this project but a {type(network).__name__}")
    return network


def _load_keras(network: Network, path: Path) -> None:
    saved = read_network(path)
    shapes, expected = ([tuple(w.shape) for w in m.weights] for m in (saved, network))
    if saved.name != network.name or shapes != expected:
        raise ValueError(
            f"weights: {path} holds {saved.name} with {saved.output_shapes}; expected "
            f"{network.name} with {network.output_shapes} and the same settings"
        )
    if saved.row.frontend != network.row.frontend:
        raise ValueError(
            f"weights: {path} was trained on {saved.row.frontend}; expected {network.row.frontend}"
        )
    _check_activation(path, saved.row, network.row)
    network.set_weights(saved.get_weights())
    network.labels = saved.labels


def _check_activation(path: Path, found: Architecture, expected: Architecture) -> None:
    if found.activation != expected.activation:
        raise ValueError(
            f"weights: {path} was trained with activation={found.activation!r}; expected "
            f"{expected.activation!r}"
        )
