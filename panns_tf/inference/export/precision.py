"""The precisions of exported networks, and which layers stay above them."""

from collections.abc import Sequence

import keras
import numpy as np

from panns_tf.models import Network
from panns_tf.models.network import blueprint

#: ``dynamic_int8`` rounds weights to 8 bits, and activations by the range that each clip has;
#: ``int8`` rounds activations by ranges that were measured on clips beforehand.
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")


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
    return [_clip(clip, network.row.frontend.sample_rate) for clip in clips]


def _clip(clip, rate: int) -> np.ndarray:
    if isinstance(clip, tuple):
        clip, found = clip
        if found != rate:
            raise ValueError(
                f"calibration clips must have the network's rate of {rate} Hz; received "
                f"{found} Hz: resample them first"
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


def exact_layers(network: Network) -> tuple[set[str], set[str]]:
    """Returns the layers that are float32 even where the network trains in half precision.

    Returns:
        Names of those before every other layer, the front end; and names of the others, at the
        end. Sound and decibels fit into neither half precision nor 8 bits.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        plan = blueprint(network.row.name, network.num_classes, **network.overrides)
    finally:
        keras.config.set_dtype_policy(before)
    front, end, rounded = set(), set(), set()
    for depth in sorted(plan._nodes_by_depth, reverse=True):
        for node in plan._nodes_by_depth[depth]:
            if node.is_input:
                continue
            exact = getattr(node.operation, "compute_dtype", "float32") == "float32"
            after = any(id(x) in rounded for x in node.input_tensors)
            if after or not exact:
                rounded.update(map(id, node.output_tensors))
            if exact and isinstance(node.operation, keras.layers.Layer):
                (end if after else front).add(node.operation.name)
    return front, end
