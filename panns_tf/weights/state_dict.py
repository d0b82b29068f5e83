"""The reference's state dicts, strictly: names, shapes and layouts of PyTorch to Keras."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from panns_tf.layers import BatchNorm, LogMel
from panns_tf.layers.log_mel import analysis_window, mel_matrix
from panns_tf.models import Network

#: Counters that only PyTorch keeps.
COUNTER = "num_batches_tracked"

#: Single-precision copies of the front end's formulas agree to 3e-8; another window, mel scale
#: or range differs by thousands of times this.
FRONTEND_TOLERANCE = 1e-6

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


def frozen_entries(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the constants of the front end under their reference names."""
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


def load_torch_state(model: keras.Model, state: Mapping[str, Any]) -> None:
    """Loads a state dict of the PyTorch reference into a network, all of it or nothing.

    Args:
        model: a network from `panns_tf.create_model`.
        state: from reference names to arrays (NumPy, or anything ``numpy.asarray`` takes).
            The constants of the front end may be left out; where they are given, they must
            be those of this network. Batch counters and entries that the network's row
            declares unused are passed over.

    Raises:
        ValueError: lists every missing, unknown, misshapen and contradicting entry. The
            network is unchanged then.
    """
    if not isinstance(model, Network):
        raise TypeError(f"expected a network from panns_tf.create_model; received {type(model)}")
    entries, constants = torch_entries(model), frozen_entries(model)
    faults = [f"missing: {name}" for name in entries if name not in state]
    arrays = {}
    for name, value in state.items():
        if name in entries:
            array = np.asarray(value)
            variable, axes = entries[name]
            expected = tuple(variable.shape[axis] for axis in np.argsort(axes))
            if array.shape != expected:
                faults.append(f"misshapen: {name} is {array.shape}, expected {expected}")
            elif array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                faults.append(f"not finite numbers: {name} of {array.dtype}")
            else:
                arrays[name] = array.transpose(axes)
        elif name in constants:
            array = np.asarray(value)
            if array.shape != constants[name].shape:
                expected = constants[name].shape
                faults.append(f"misshapen: {name} is {array.shape}, expected {expected}")
            elif not np.abs(array - constants[name]).max() <= FRONTEND_TOLERANCE:
                faults.append(f"of another front end: {name}")
        elif not name.endswith(COUNTER) and not name.startswith(model.row.unused):
            faults.append(f"unknown: {name}")
    if faults:
        raise ValueError(f"this is no state of {model.name}: " + "; ".join(faults))
    for name, array in arrays.items():
        entries[name][0].assign(array)
