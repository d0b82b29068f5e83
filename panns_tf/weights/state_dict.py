"""The reference's state dicts, strictly: names, shapes and layouts of PyTorch to Keras."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.log_mel import LogMel, analysis_window, mel_matrix
from panns_tf.models.network import Network
from panns_tf.weights.torch_file import TorchState

#: Counters that only PyTorch keeps, one for each batch normalisation.
COUNTER = "num_batches_tracked"

#: Single-precision copies of the front end's formulas agree to 3e-8; another window, mel scale
#: or range differs by thousands of times this.
FRONTEND_TOLERANCE = 1e-6

#: Entries are checked and copied in pieces of at most this many numbers (16 MB), or one row.
PIECE = 1 << 22

#: By layer class: PyTorch leaf, attribute of the Keras layer, axes of the Keras array in PyTorch's.
RULES = (
    (BatchNorm, (("weight", "gamma", None), ("bias", "beta", None))),
    (BatchNorm, (("running_mean", "moving_mean", None), ("running_var", "moving_variance", None))),
    (keras.layers.Conv1D, (("weight", "kernel", (2, 1, 0)), ("bias", "bias", None))),
    (keras.layers.Conv2D, (("weight", "kernel", (2, 3, 1, 0)), ("bias", "bias", None))),
    (keras.layers.DepthwiseConv2D, (("weight", "kernel", (2, 3, 0, 1)), ("bias", "bias", None))),
    (keras.layers.Dense, (("weight", "kernel", (1, 0)), ("bias", "bias", None))),
)


def torch_entries(model: keras.Model) -> dict[str, tuple[keras.Variable, tuple[int, ...]]]:
    """Returns, by reference name, each variable of a network and the axes of its Keras layout."""
    entries = {}
    for layer in model.layers:
        for kind, leaves in RULES:
            if not isinstance(layer, kind):
                continue
            for leaf, attribute, axes in leaves:
                variable = getattr(layer, attribute, None)
                if variable is not None:
                    axes = axes or tuple(range(len(variable.shape)))
                    entries[f"{layer.name}.{leaf}"] = variable, axes
    return entries


def torch_shape(variable: keras.Variable, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape that a variable of `torch_entries` has in PyTorch's layout."""
    return tuple(variable.shape[axis] for axis in np.argsort(axes))


def frozen_entries(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the constants of the front end under their reference names, in double precision."""
    constants = {}
    for layer in model.layers:
        if isinstance(layer, LogMel):
            size = layer.frontend.window_size
            window = analysis_window(layer.frontend)
            phase = np.outer(np.arange(size // 2 + 1), np.arange(size)) % size * (2 * np.pi / size)
            stft = "spectrogram_extractor.stft.conv_"
            constants[f"{stft}real.weight"] = (np.cos(phase) * window)[:, None]
            constants[f"{stft}imag.weight"] = (-np.sin(phase) * window)[:, None]
            constants["logmel_extractor.melW"] = mel_matrix(layer.frontend)
    return constants


def unused_entries(model: Network) -> dict[str, np.ndarray]:
    """Returns what the reference's module holds and no output depends on, as it starts there.

    Convolutions, which start at random there, are zeros.
    """
    entries = {}
    for module, shape in model.arch.unused:
        shape = tuple(model.num_classes if size is None else size for size in shape)
        if len(shape) == 1:  # a batch normalisation
            for leaf, value in (
                ("weight", 1),
                ("bias", 0),
                ("running_mean", 0),
                ("running_var", 1),
            ):
                entries[f"{module}.{leaf}"] = np.full(shape, value, "float32")
        else:
            entries[f"{module}.weight"] = np.zeros(shape, "float32")
    return entries


def entry_shapes(model: Network) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """Returns the shapes of the entries that a state dict must have, and of those it may have."""
    required = {name: torch_shape(*entry) for name, entry in torch_entries(model).items()}
    idle = {**frozen_entries(model), **unused_entries(model)}
    return required, {name: array.shape for name, array in idle.items()}


def load_torch_state(model: keras.Model, state: Mapping[str, Any]) -> None:
    """Loads a state dict of the PyTorch reference into a network, all of it or nothing.

    Every entry is looked at twice, first to check and then to load, and none is kept: of a
    mapping as `read_torch_state` gives only pieces are in memory.

    Args:
        model: a network from `panns_tf.create_model`.
        state: from reference names to arrays (NumPy, or anything ``numpy.asarray`` takes).
            The constants of the front end may be left out; where they are given, they must
            be those of this network. Batch counters and the modules that the network's row
            declares unused may be there or not.

    Raises:
        ValueError: lists every missing, unknown, misshapen and contradicting entry. The
            network is unchanged then.
    """
    if not isinstance(model, Network):
        raise TypeError(f"expected a network from panns_tf.create_model; received {type(model)}")
    entries, constants = torch_entries(model), frozen_entries(model)
    required, optional = entry_shapes(model)
    shapes = {**required, **optional}
    faults = [f"missing: {name}" for name in entries if name not in state]
    for name in state:
        if name.endswith(f".{COUNTER}"):
            # Of a batch normalisation that is known by its mean.
            if name.replace(COUNTER, "running_mean") not in shapes:
                faults.append(f"unknown: {name}")
        elif name not in shapes:
            faults.append(f"unknown: {name}")
        else:
            faults.extend(_faults(state, name, shapes[name], constants.get(name)))
    if faults:
        raise ValueError(f"this is no state of {model.name}: " + "; ".join(faults))
    for name, (variable, axes) in entries.items():
        _assign(variable, axes, _pieces(state, name, shapes[name]))


def _pieces(state: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Iterator[tuple]:
    """Yields an entry's parts along its first axis: where they begin and end, and the arrays."""
    rows = max(1, PIECE // max(1, math.prod(shape[1:])))
    whole = None if isinstance(state, TorchState) else np.asarray(state[name])
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        yield start, stop, state.rows(name, start, stop) if whole is None else whole[start:stop]


def _faults(state, name: str, shape: tuple[int, ...], constant: np.ndarray | None) -> list[str]:
    lazy = isinstance(state, TorchState)
    found = state.shape(name) if lazy else np.shape(state[name])
    if found != shape:
        return [f"misshapen: {name} is {found}, expected {shape}"]
    for start, stop, array in _pieces(state, name, shape):
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            return [f"not finite numbers: {name} of {array.dtype}"]
        if constant is not None:
            distance = np.abs(array - constant[start:stop]).max(initial=0)
            if not distance <= FRONTEND_TOLERANCE:
                return [f"of another front end: {name}"]
    return []


def _assign(variable: keras.Variable, axes: tuple[int, ...], pieces: Iterator[tuple]) -> None:
    """Copies an entry into its variable, piece by piece where the backend can."""
    if keras.backend.backend() != "tensorflow":
        arrays = [array for *_, array in pieces]
        variable.assign(np.concatenate(arrays).transpose(axes))
        return
    for start, stop, array in pieces:
        where = [slice(None)] * len(axes)
        where[axes.index(0)] = slice(start, stop)  # the axis that is PyTorch's first
        variable.value[tuple(where)].assign(array.transpose(axes).astype(variable.dtype))


def to_torch_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the state dict of a network as the PyTorch reference has it.

    It holds everything that the reference's ``load_state_dict(strict=True)`` asks for: the
    constants of the front end, batch counters (0), and the unused modules of three networks
    (untrained; see `unused_entries`)::

        state = {name: torch.from_numpy(a) for name, a in to_torch_state(model).items()}
        torch.save({"model": state}, "Cnn14.pth")

    Args:
        model: a network from `panns_tf.create_model`.

    Returns:
        From reference names to arrays in PyTorch's layouts, float32; int64 scalars for counters.
    """
    if not isinstance(model, Network):
        raise TypeError(f"expected a network from panns_tf.create_model; received {type(model)}")
    state = {name: np.asarray(array, "float32") for name, array in frozen_entries(model).items()}
    for name, (variable, axes) in torch_entries(model).items():
        array = keras.ops.convert_to_numpy(variable).astype("float32")
        state[name] = np.ascontiguousarray(array.transpose(np.argsort(axes)))
    state |= unused_entries(model)
    for name in list(state):
        module, _, leaf = name.rpartition(".")
        if leaf == "running_var":
            state[f"{module}.{COUNTER}"] = np.zeros((), "int64")
    return state
