"""State dicts of the PyTorch reference: names, shapes and layouts converted to Keras and back."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.log_mel import LogMel, analysis_window, mel_matrix
from panns_tf.models.network import Network, check_network

#: Counter of batches that only PyTorch has, one for each batch normalisation.
COUNTER = "num_batches_tracked"

#: Float32 constants of the same front end agree to 3e-8; those of another window, mel scale or
#: range differ by thousands of times this.
FRONTEND_TOLERANCE = 1e-6

#: For each layer class: PyTorch's name, Keras' attribute, axes that transpose PyTorch's array.
RULES = (
    (BatchNorm, (("weight", "gamma", (0,)), ("bias", "beta", (0,)))),
    (BatchNorm, (("running_mean", "moving_mean", (0,)), ("running_var", "moving_variance", (0,)))),
    (keras.layers.Conv1D, (("weight", "kernel", (2, 1, 0)), ("bias", "bias", (0,)))),
    (keras.layers.Conv2D, (("weight", "kernel", (2, 3, 1, 0)), ("bias", "bias", (0,)))),
    (keras.layers.DepthwiseConv2D, (("weight", "kernel", (2, 3, 0, 1)), ("bias", "bias", (0,)))),
    (keras.layers.Dense, (("weight", "kernel", (1, 0)), ("bias", "bias", (0,)))),
)


def torch_entries(model: keras.Model) -> dict[str, tuple[keras.Variable, tuple[int, ...]]]:
    """Variables of a network by reference name, with the axes that give their Keras layout."""
    entries = {}
    for layer in model.layers:
        for kind, leaves in RULES:
            if isinstance(layer, kind):
                for leaf, attribute, axes in leaves:
                    variable = getattr(layer, attribute, None)
                    if variable is not None:
                        entries[f"{layer.name}.{leaf}"] = variable, axes
    return entries


def frozen_entries(model: Network) -> dict[str, np.ndarray]:
    """The constants of the front end under their reference names, in double precision."""
    if not any(isinstance(layer, LogMel) for layer in model.layers):
        return {}
    frontend = model.arch.frontend
    size, window = frontend.window_size, analysis_window(frontend)
    phase = np.outer(np.arange(size // 2 + 1), np.arange(size)) % size * (2 * np.pi / size)
    return {
        "spectrogram_extractor.stft.conv_real.weight": (np.cos(phase) * window)[:, None],
        "spectrogram_extractor.stft.conv_imag.weight": (-np.sin(phase) * window)[:, None],
        "logmel_extractor.melW": mel_matrix(frontend),
    }


def unused_entries(model: Network) -> dict[str, np.ndarray]:
    """Entries of the reference that no output depends on, untrained; its convolutions are zeros."""
    entries = {}
    normalisation = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}
    for module, shape in model.arch.unused:
        shape = tuple(model.num_classes if size is None else size for size in shape)
        for leaf, value in (normalisation if len(shape) == 1 else {"weight": 0}).items():
            entries[f"{module}.{leaf}"] = np.full(shape, value, "float32")
    return entries


def load_torch_state(model: keras.Model, state: Mapping[str, Any]) -> None:
    """Loads a state dict of the PyTorch reference into a network, completely or not at all.

    ``state`` maps reference names to arrays, or anything that ``numpy.asarray`` takes. Each array
    is read twice, to be checked and to be loaded, and none is kept. Optional are the constants of
    the front end, which have to be those of this network, batch counters, and the modules that its
    `Architecture` lists as unused.

    Raises:
        ValueError: lists every missing, unknown, misshapen and contradicting entry. The
            network is unchanged then.
    """
    check_network(model)
    entries, constants = torch_entries(model), frozen_entries(model)
    shapes = {name: array.shape for name, array in (constants | unused_entries(model)).items()}
    for name, (variable, axes) in entries.items():
        shapes[name] = tuple(variable.shape[axis] for axis in np.argsort(axes))
    faults = [f"missing: {name}" for name in entries if name not in state]
    for name in state:
        # Every counter belongs to a batch normalisation, which has a mean.
        if name.replace(f".{COUNTER}", ".running_mean") not in shapes:
            faults.append(f"unknown: {name}")
        elif not name.endswith(COUNTER):
            faults += _faults(name, np.asarray(state[name]), shapes[name], constants.get(name))
    if faults:
        raise ValueError(f"this is no state of {model.name}: " + "; ".join(faults))
    for name, (variable, axes) in entries.items():
        variable.assign(np.asarray(state[name]).transpose(axes).astype(variable.dtype))


def _faults(name: str, array: np.ndarray, shape: tuple, constant: np.ndarray | None) -> list[str]:
    if array.shape != shape:
        return [f"misshapen: {name} is {array.shape}, expected {shape}"]
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        return [f"not finite numbers: {name} of {array.dtype}"]
    if constant is not None and np.abs(array - constant).max() > FRONTEND_TOLERANCE:
        return [f"of another front end: {name}"]
    return []


def to_torch_state(model: keras.Model) -> dict[str, np.ndarray]:
    """The state dict of a network for the reference's ``load_state_dict(strict=True)``.

    It maps reference names to arrays in PyTorch's layouts: float32, and int64 scalars for batch
    counters (0). Unused modules of three networks are untrained; see `unused_entries`::

        state = {name: torch.from_numpy(a) for name, a in to_torch_state(model).items()}
        torch.save({"model": state}, "Cnn14.pth")
    """
    check_network(model)
    state = {name: np.asarray(array, "float32") for name, array in frozen_entries(model).items()}
    for name, (variable, axes) in torch_entries(model).items():
        array = keras.ops.convert_to_numpy(variable).astype("float32")
        state[name] = np.ascontiguousarray(array.transpose(np.argsort(axes)))
    state |= unused_entries(model)
    for name in list(state):
        if name.endswith(".running_var"):
            state[name.replace("running_var", COUNTER)] = np.zeros((), "int64")
    return state
