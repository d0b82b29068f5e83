"""Recordings of any length: predictions as of the whole at once, in constant memory."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from panns_tf.models.blocks import LayerFactory
from panns_tf.models.heads import clip_outputs, step_outputs
from panns_tf.models.network import feature_maps
from panns_tf.models.registry import Architecture


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """Output step i depends on samples ``i * hop - before`` to ``i * hop + after``, no others."""

    hop: int
    before: int
    after: int


def receptive_field(arch: Architecture) -> ReceptiveField:
    """The receptive field of an architecture, in samples; see `Architecture.receptive_field`."""
    hop, before, after = arch.receptive_field
    if "log_mel" not in arch.inputs:
        return ReceptiveField(hop, before, after)
    frame, window = arch.frontend.hop_size, arch.frontend.window_size
    half = window // 2  # frames are centred
    return ReceptiveField(hop * frame, before * frame + half, after * frame + window - 1 - half)


@dataclasses.dataclass(frozen=True)
class SplitNetwork:
    """A network in two: what it computes of every step, and of all of them together.

    Attributes:
        arch: the network.
        encoder: waveforms (batch, samples) to what the head computes of each step, by name,
            (batch, steps, n); see `panns_tf.models.heads.step_outputs`.
        head: pooled features (batch, channels) to the outputs by name; None where the steps
            have outputs themselves.
        field: of a step.
    """

    arch: Architecture
    encoder: keras.Model
    head: keras.Model | None
    field: ReceptiveField


def split_network(arch: Architecture, layer: LayerFactory, num_classes: int) -> SplitNetwork:
    """Splits a network at its pooling over time; the parts share its layers.

    Args:
        arch: the network.
        layer: its layers.
        num_classes: K.
    """
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    local = step_outputs(arch, layer, feature_maps(arch, layer, waveform), num_classes)
    head = None
    if "features" in local:
        pooled = keras.Input((local["features"].shape[-1],), name="pooled", dtype="float32")
        outputs = clip_outputs(arch, layer, pooled, num_classes)
        del outputs["logits"]
        head = keras.Model(pooled, outputs)
    return SplitNetwork(arch, keras.Model(waveform, local), head, receptive_field(arch))


class RunningPool:
    """The pooling over time of a network's head, step by step, in the memory of one step.

    Args:
        split: the network.
    """

    def __init__(self, split: SplitNetwork):
        self._split = split
        self._sums: dict[str, np.ndarray] = {}
        self._most: np.ndarray | None = None
        self.steps = 0

    def add(self, local: dict[str, np.ndarray]) -> None:
        """Adds steps: arrays (steps, n) by name, as the encoder gives them."""
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
        if self._split.head is not None:
            pooled = (self._most + mean["features"]).astype(np.float32)
            outputs = self._split.head(pooled[None], training=False)
            return {name: np.asarray(value)[0] for name, value in outputs.items()}
        kind = self._split.arch.head
        if kind == "max":
            clip = self._most
        elif kind == "attention":
            clip = np.minimum(self._sums["weighted"] / self._sums["weights"], 1)
        else:
            clip = mean["segments"]
        outputs = {"clipwise_output": clip, "embedding": mean["embedding"]}
        return {name: value.astype(np.float32) for name, value in outputs.items()}


class StreamingEncoder:
    """Gives what a network would give of a whole stream at once, while it comes in.

    The stream is cut into overlapping windows. Each begins where a step of the network begins and
    overlaps its neighbours by the receptive field, so that every step sees in some window all that
    it sees in the whole recording. Only those steps are kept. Nothing depends on how the stream was
    cut into blocks.

    Args:
        split: the network.
        run: from waveforms (1, samples) to the steps' outputs, as ``split.encoder``. All windows
            but the first ones and the last are of one length.
        window_seconds: of a window, overlaps included; longer if the receptive field asks for it.

    Attributes:
        pool: of all steps so far.
        samples: fed so far.
        latency: seconds, at most, from a sample to the outputs of its step.
    """

    def __init__(self, split: SplitNetwork, run: Callable, window_seconds: float):
        field, rate = split.field, split.arch.frontend.sample_rate
        self._hop = field.hop
        self._context = -(-field.before // field.hop)  # steps
        # Of a window of n steps the first n - lost see all that they would see.
        self._lost = -(-(field.after + 1) // field.hop)
        wanted = round(window_seconds * rate / field.hop)
        self._steps = max(wanted, self._context + self._lost + 1)
        self._run = run
        self._blocks: list[np.ndarray] = []
        self._held = 0  # samples
        self._start = 0  # the step at which the held samples begin
        self._done = 0  # steps given so far
        self.samples = 0
        self.pool = RunningPool(split)
        self.latency = (self._steps - self._context) * field.hop / rate

    @property
    def window_samples(self) -> int:
        """Samples of the next window. The first ones have less before them to overlap with."""
        return (self._steps - self._context + min(self._done, self._context)) * self._hop

    def feed(self, samples: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Takes the next samples, any number of them, float32 (samples,).

        Returns:
            The outputs of the steps that became certain, (steps, n) by name, in order.
        """
        self.samples += len(samples)
        self._held += len(samples)
        self._blocks.append(np.asarray(samples, np.float32))
        outputs = []
        if self._held >= self.window_samples:
            held = np.concatenate(self._blocks)
            while len(held) >= (size := self.window_samples):
                local = self._run(held[None, :size])
                outputs.append(self._certain(local, self._start + size // self._hop - self._lost))
                begin = max(0, self._done - self._context)
                held = held[(begin - self._start) * self._hop :]
                self._start = begin
            self._blocks, self._held = [held.copy()], len(held)
        return outputs

    def finish(self) -> list[dict[str, np.ndarray]]:
        """Returns the outputs of the remaining steps. The stream must have had a sample."""
        held = np.concatenate(self._blocks)
        self._blocks, self._held = [], 0
        return [self._certain(self._run(held[None]), None)]

    def _certain(self, local: dict, end: int | None) -> dict[str, np.ndarray]:
        """Keeps the steps from the first that was not given yet up to ``end``."""
        first, last = self._done - self._start, None if end is None else end - self._start
        local = {name: np.asarray(values)[0, first:last] for name, values in local.items()}
        self._done += len(next(iter(local.values())))
        self.pool.add(local)
        return local
