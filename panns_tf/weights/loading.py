"""Networks with weights, from published checkpoints, state dicts and Keras' files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import keras
import numpy as np
import safetensors
import safetensors.numpy

from panns_tf.models.network import Network
from panns_tf.models.registry import Architecture, find
from panns_tf.weights.state_dict import load_torch_state, to_torch_state
from panns_tf.weights.torch_file import read_torch_state, write_torch_state
from panns_tf.weights.zoo import fetch, published_file
from tfrecords.classes import audioset_classes
from tfrecords.text import one_line

#: The value of ``weights`` for the published checkpoint.
AUDIOSET = "audioset"

#: Endings of files that hold a state dict of the reference.
STATE_FILES = (".pth", ".pt", ".safetensors")

#: Key of a written state dict's file whose value is JSON of the arguments of `create_model`.
DESCRIPTION = "panns_tf"

#: Weights of the classifiers, whose first axis has the classes.
CLASSIFIERS = ("fc_audioset.weight", "att_block.cla.weight")


def create_model(
    name: str, num_classes: int = 527, weights: str | Path | None = None, **overrides
) -> keras.Model:
    """Creates a network of the paper, ready for inference.

    Args:
        name: see `list_models`; case is ignored and short forms are understood.
        num_classes: K; 527 is AudioSet.
        weights: None for random ones; ``"audioset"`` for the published ones, downloaded once and
            verified; or a ``.pth``, ``.safetensors``, ``.keras`` or ``.weights.h5`` file.
        **overrides: ``sample_rate, window_size, hop_size, mel_bins, fmin, fmax, window,
            embedding_size``; ``hidden``, widths of layers before the classifier, and
            ``activation="softmax"`` for clips of one class each; and ``dropout=False``,
            ``spec_augment=False`` to switch these off.

    Returns:
        A functional model. Input ``waveform``: (batch, samples) float32 in [-1, 1], both axes of
        any size; too short clips are extended by zeros. Output: a dict of ``clipwise_output``
        (batch, K) in [0, 1] and ``embedding`` (batch, width); decision-level networks add
        ``framewise_output`` (batch, frames, K) and ``segmentwise_output``.

    Raises:
        ValueError: unknown network or override, impossible setting, weights of another network.
        OSError: the published weights cannot be downloaded.

    Example:

    >>> model = create_model("wavegram_logmel", num_classes=10)
    >>> model(np.zeros((1, 32000), "float32"))["clipwise_output"].shape
    TensorShape([1, 10])
    """
    network = Network(name, num_classes, zeros=weights is not None, **overrides)
    if weights is not None:
        assign_weights(network, weights)
    return network


def assign_weights(network: Network, weights: str | Path) -> None:
    """Assigns the ``weights`` of `create_model`, except None, to a network: all or none."""
    path = Path(weights)
    expected = "expected None, 'audioset', or a .pth, .safetensors, .keras or .weights.h5 file"
    if weights == AUDIOSET:
        published_file(network.arch.name)  # refuses networks without one
        if network.num_classes != 527:
            raise ValueError(
                f"the published {network.name} has 527 classes; received num_classes="
                f"{network.num_classes}"
            )
        path = fetch(network.arch.name)
    elif not path.is_file():
        raise ValueError(f"weights: no such file: {path}; {expected}")
    if path.suffix in STATE_FILES:
        _load_state(network, path, *_read_state(path))
    elif path.suffix == ".keras":
        saved = _read_keras(path)
        _check_settings(path, saved.arch, saved.num_classes, network)
        if saved.name != network.name:
            raise ValueError(f"{path} holds a {saved.name}, not a {network.name}")
        _load_or_restore(network, path, lambda: network.set_weights(saved.get_weights()))
        network.labels = saved.labels
    elif path.name.endswith(".weights.h5"):
        _load_or_restore(network, path, lambda: _load_h5(network, path))
    else:
        raise ValueError(f"weights: {expected}; received {path}")
    if weights == AUDIOSET:
        network.labels = list(audioset_classes().names)


def read_network_file(path: str | Path, arch: str | None = None) -> Network:
    """Reads a network, with its labels if there are any, from a ``.keras`` file or a state dict's.

    ``arch`` names the network of a state dict; if it is None, the file or its name does.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    if path.suffix not in STATE_FILES:
        if arch is not None:
            raise ValueError(f"--arch is for state dicts; {path} says which network it holds")
        return _read_keras(path)
    state, about = _read_state(path)
    if about is None or arch is not None:
        network = create_model(arch or _arch_of(path), _classes_of(state) or 527)
    else:
        network = create_model(**about)
    _load_state(network, path, state, about)
    if about is None and network.num_classes == 527:
        network.labels = list(audioset_classes().names)  # trained by the reference
    return network


def _arch_of(path: Path) -> str:
    """The network named by a file, as in the names of the published files."""
    try:
        return find(path.name.split("_mAP")[0].removesuffix(path.suffix)).name
    except ValueError:
        raise ValueError(
            f"{path} does not tell which network it holds; name it with --arch, or in the file's "
            "name, such as Cnn14_mAP=0.431.pth"
        ) from None


def write_network(network: Network, path: Path) -> None:
    if path.suffix not in STATE_FILES:
        (network.save if path.suffix == ".keras" else network.save_weights)(path)
        return
    # State dicts of several networks are alike, so the file names its network.
    arguments = {"name": network.arch.name, "num_classes": network.num_classes}
    about = {DESCRIPTION: json.dumps({**arguments, **network.overrides})}
    state = to_torch_state(network)
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(state, path, metadata=about)
    else:
        write_torch_state(path, {**about, "model": state})


def _read_state(path: Path) -> tuple[Mapping, dict | None]:
    """The state dict of a file, and the arguments of `create_model` if it has them."""
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, "np") as file:
                extra = file.metadata() or {}
            state = safetensors.numpy.load_file(path)
        except Exception as error:  # SafetensorError, and NumPy's errors of unknown types
            raise ValueError(f"{path} is refused: {one_line(error)}") from error
        for name, array in state.items():
            if array.dtype.kind == "V":  # bfloat16, which NumPy does not have
                state[name] = array.astype("float32")
    else:
        state = read_torch_state(path)
        extra = state.extra
    try:
        about = json.loads(extra.get(DESCRIPTION, "null"))
    except (TypeError, ValueError):
        about = None
    return state, about if isinstance(about, dict) and "name" in about else None


def _classes_of(state: Mapping) -> int | None:
    """The number of classes of a state dict, None if it has no classifier."""
    shapes = [np.shape(state[name]) for name in CLASSIFIERS if name in state]
    return shapes[0][0] if shapes and shapes[0] else None


def _load_state(network: Network, path: Path, state: Mapping, about: dict | None) -> None:
    arch, classes = network.arch, _classes_of(state) or network.num_classes
    if about is not None:
        # Settings that arrays do not show, such as a decision-level head or a hop.
        overrides = {key: about[key] for key in about.keys() - {"name", "num_classes"}}
        arch = find(about["name"]).override(**overrides)
    _check_settings(path, arch, classes, network)
    try:
        load_torch_state(network, state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_settings(path: Path, arch: Architecture, classes: int, network: Network) -> None:
    """Compares settings that arrays do not show, and classes, whose error says more than shapes."""
    for name in ("backbone", "head", "frontend", "activation"):
        saved, expected = getattr(arch, name), getattr(network.arch, name)
        if saved != expected:
            raise ValueError(
                f"{path} holds a {arch.name} with {name}={saved!r}, not a {network.arch.name} with "
                f"{name}={expected!r}"
            )
    if classes != network.num_classes:
        raise ValueError(
            f"{path} holds a network of {classes} classes; received num_classes="
            f"{network.num_classes}"
        )


def _load_or_restore(network: Network, path: Path, load: Callable[[], None]) -> None:
    """Loads all values or none; if Keras fails, it may have loaded some."""
    before = network.get_weights()
    try:
        load()
    except Exception as error:  # HDF5 and Keras raise many kinds of errors
        network.set_weights(before)
        raise ValueError(
            f"weights: {path} is damaged or of another network or settings than {network.name} "
            f"with {network.num_classes} classes: {one_line(error)[:300]}"
        ) from error


def _load_h5(network: Network, path: Path) -> None:
    """Loads a ``.weights.h5`` file, in which Keras finds layers by class and order alone."""
    arrays = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: arrays.append(item) if hasattr(item, "shape") else None)
        if len(arrays) != len(network.weights):
            raise ValueError(f"it holds {len(arrays)} arrays, expected {len(network.weights)}")
    network.load_weights(path)


def _read_keras(path: Path) -> Network:
    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras passes on errors of its zip, JSON and HDF5 readers
        raise ValueError(f"{path} cannot be loaded: {one_line(error)[:300]}") from error
    if not isinstance(network, Network):
        raise ValueError(f"{path} holds a {type(network).__name__}; expected a panns_tf network")
    return network
