"""A network in two parts: what it says of every moment, and what it makes of all of them."""

import dataclasses

import keras
import numpy as np

from panns_tf.inference.reach import Reach, reach_of
from panns_tf.models.blocks import LayerBook
from panns_tf.models.graph import features
from panns_tf.models.heads import clip_of_features, local_outputs
from panns_tf.models.registry import Architecture


@dataclasses.dataclass(frozen=True)
class Parts:
    """A network whose clip-level outputs are gathered from those of its steps.

    Attributes:
        row: the network.
        local: waveforms (batch, samples) to what the head knows of each step, by name, (batch,
            steps, n); see `panns_tf.models.heads.local_outputs`.
        rest: pooled features (batch, channels) to the outputs by name; None where the steps
            have outputs themselves.
        reach: of a step.
    """

    row: Architecture
    local: keras.Model
    rest: keras.Model | None
    reach: Reach


def split(row: Architecture, layer: LayerBook, num_classes: int) -> Parts:
    """Splits a network.

    Args:
        row: the network.
        layer: its layers, which the parts share.
        num_classes: K.
    """
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    local = local_outputs(row, layer, features(row, layer, waveform), num_classes)
    rest = None
    if "features" in local:
        pooled = keras.Input((local["features"].shape[-1],), name="pooled", dtype="float32")
        rest = keras.Model(pooled, clip_of_features(row, layer, pooled, num_classes))
    model = keras.Model(waveform, local)
    return Parts(row, model, rest, reach_of(model))


class Gathered:
    """What the steps of a recording come to, in the memory of one step.

    Args:
        parts: the network.
    """

    def __init__(self, parts: Parts):
        self._parts = parts
        self._sums: dict[str, np.ndarray] = {}
        self._most: np.ndarray | None = None
        self.steps = 0

    def add(self, local: dict[str, np.ndarray]) -> None:
        """Adds steps: arrays (steps, n) by name, as the local part gives them."""
        steps = len(next(iter(local.values())))
        if not steps:
            return
        self.steps += steps
        local = {name: values.astype(np.float64) for name, values in local.items()}
        first = local["features"] if "features" in local else local["segments"]
        most = first.max(axis=0)
        self._most = most if self._most is None else np.maximum(self._most, most)
        if "attention" in local:
            # The reference clamps it to [-10, 10], so that no exponential overflows.
            weights = np.exp(local.pop("attention"))
            local["weights"], local["weighted"] = weights, weights * local["segments"]
        for name, values in local.items():
            self._sums[name] = self._sums.get(name, 0) + values.sum(axis=0)

    def outputs(self) -> dict[str, np.ndarray]:
        """Returns ``clipwise_output`` (classes,) and ``embedding`` (width,), float32."""
        mean = {name: total / self.steps for name, total in self._sums.items()}
        if self._parts.rest is not None:
            pooled = (self._most + mean["features"]).astype(np.float32)
            found = self._parts.rest(pooled[None], training=False)
            return {name: np.asarray(value)[0] for name, value in found.items()}
        head = self._parts.row.head
        if head == "max":
            clip = self._most
        elif head == "attention":
            clip = np.minimum(self._sums["weighted"] / self._sums["weights"], 1)
        else:
            clip = mean["segments"]
        found = {"clipwise_output": clip, "embedding": mean["embedding"]}
        return {name: value.astype(np.float32) for name, value in found.items()}
