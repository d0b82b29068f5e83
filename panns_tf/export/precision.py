"""The precisions of exported networks, and the clips that they are fitted to."""

from collections.abc import Sequence

import keras
import numpy as np

from panns_tf.export.formats import PRECISIONS
from panns_tf.models.network import Network


def in_float16(network: Network) -> Network:
    """Returns a copy of a network that computes in float16, but for the front end and the end.

    Those layers stay float32 that do so when a network is trained in mixed precision.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        copy = Network.from_config(network.get_config())
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(network.get_weights())
    return copy


def front_layers(network: Network) -> set[str]:
    """Returns the names of a network's first layers: neither float16 nor 8 bits hold decibels.

    They are those that stay float32 in mixed precision, before the last that does not.
    """
    layers = in_float16(network).layers  # from the input to the outputs
    half = [i for i, x in enumerate(layers) if x.weights and x.compute_dtype == "float16"]
    return {layer.name for layer in layers[: max(half)] if layer.compute_dtype == "float32"}


def checked_clips(
    network: Network, precision: str, calibration: Sequence | None
) -> list[np.ndarray]:
    """Returns the clips to calibrate on as batches of one, after a look at them.

    Args:
        network: to be exported.
        precision: one of `PRECISIONS`.
        calibration: float waveforms (samples,) in [-1, 1] at the network's rate, or pairs of a
            waveform and its rate; or None.

    Raises:
        ValueError: for an unknown precision, ``int8`` without clips, and for what is no clip of
            this network.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; expected one of {PRECISIONS}")
    clips = [] if calibration is None else list(calibration)
    if precision == "int8" and not clips:
        raise ValueError(
            "int8 needs clips like those it is for, to measure the ranges of its activations: "
            "give calibration, 100 clips or so; or take dynamic_int8"
        )
    return [_checked_clip(clip, network.arch.frontend.sample_rate) for clip in clips]


def _checked_clip(clip, expected_rate: int) -> np.ndarray:
    if isinstance(clip, tuple):
        clip, rate = clip
        if rate != expected_rate:
            raise ValueError(
                f"calibration clips must have the network's rate of {expected_rate} Hz; received "
                f"{rate} Hz: resample them first"
            )
    clip = np.asarray(clip)
    if clip.ndim != 1 or not clip.size or clip.dtype.kind != "f":
        raise ValueError(
            "a calibration clip is a float waveform (samples,) in [-1, 1]; received "
            f"{clip.dtype} of shape {clip.shape}"
        )
    if not np.isfinite(clip).all():
        raise ValueError("a calibration clip holds values that are not finite")
    return clip.astype("float32")[None]


def of_length(clip: np.ndarray, samples: int) -> np.ndarray:
    """Returns (batch, any length) cut or extended by zeros to (batch, samples)."""
    return np.pad(clip[:, :samples], ((0, 0), (0, max(0, samples - clip.shape[1]))))
