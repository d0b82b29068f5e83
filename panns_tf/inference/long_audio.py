"""Samples that come in: predictions as of the whole recording at once, or of its windows."""

from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np

from panns_tf.models.blocks import LayerFactory
from panns_tf.models.heads import clip_outputs, step_outputs
from panns_tf.models.network import feature_maps
from panns_tf.models.registry import Architecture
from panns_tf.windows import WindowCutter


def receptive_field(arch: Architecture) -> tuple[int, int, int]:
    """Hop, before, after: step i depends on samples i * hop - before to i * hop + after alone."""
    hop, before, after = arch.receptive_field
    if "log_mel" not in arch.inputs:
        return hop, before, after
    frame, window = arch.frontend.hop_size, arch.frontend.window_size
    half = window // 2  # frames are centred
    return hop * frame, before * frame + half, after * frame + window - 1 - half


def split_network(
    arch: Architecture, layer: LayerFactory, num_classes: int
) -> tuple[keras.Model, keras.Model | None]:
    """Encoder and head of a network, split at its pooling over time, which share its layers; no
    head (pooled features to outputs) where steps have outputs themselves.
    """
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    steps = step_outputs(arch, layer, feature_maps(arch, layer, waveform), num_classes)
    head = None
    if "features" in steps:
        pooled = keras.Input((steps["features"].shape[-1],), name="pooled", dtype="float32")
        outputs = clip_outputs(arch, layer, pooled, num_classes)
        del outputs["logits"]
        head = keras.Model(pooled, outputs)
    return keras.Model(waveform, steps), head


def pool_steps(kind: str, head: Callable | None, blocks: Iterable[dict]) -> dict[str, np.ndarray]:
    """Pools steps as a network's `Architecture.head` of a ``kind`` does, in the memory of one of
    ``blocks``, the encoder's outputs (steps, n) by name.
    """
    count, most, sums = 0, -np.inf, {}
    for block in blocks:
        values = {name: rows.astype(np.float64) for name, rows in block.items()}
        rows = values["segments" if head is None else "features"]
        if not len(rows):
            continue
        count, most = count + len(rows), np.maximum(most, rows.max(axis=0))
        if "attention" in values:
            # The reference clamps it to [-10, 10], so that no exponential overflows.
            weights = np.exp(values.pop("attention"))
            values |= {"weights": weights, "weighted": weights * rows}
        sums = {name: sums.get(name, 0) + each.sum(axis=0) for name, each in values.items()}
    if head is not None:
        pooled = (most + sums["features"] / count).astype(np.float32)
        return {name: np.asarray(x)[0] for name, x in head(pooled[None], training=False).items()}
    if kind == "max":
        clip = most
    elif kind == "attention":
        clip = np.minimum(sums["weighted"] / sums["weights"], 1)
    else:
        clip = sums["segments"] / count
    outputs = {"clipwise_output": clip, "embedding": sums["embedding"] / count}
    return {name: value.astype(np.float32) for name, value in outputs.items()}


class StreamingEncoder:
    """Outputs as of a whole stream at once, while it comes in; ``encode`` takes (1, samples).

    Windows begin where a step of the network begins and overlap by the receptive field, so that
    every step sees in some window all that it sees in the whole recording; only those are kept.
    """

    def __init__(self, encode: Callable, arch: Architecture, window_seconds: float):
        self.step, before, after = receptive_field(arch)
        self.sample_rate = arch.frontend.sample_rate
        self._encode = encode
        self._context = -(-before // self.step)  # steps
        # Of a window of n steps the first n - lost depend on nothing beyond the window.
        self._lost = -(-(after + 1) // self.step)
        wanted = round(window_seconds * self.sample_rate / self.step)
        self._steps = max(wanted, self._context + self._lost + 1)
        self._held = np.zeros(0, np.float32)
        self._start = 0  # the step at which the held samples begin
        self._done = 0  # steps returned so far
        self.samples = 0
        # Seconds, at most, from a sample to the outputs of its step.
        self.latency = (self._steps - self._context) * self.step / self.sample_rate

    @property
    def window_samples(self) -> int:
        """Samples of the next window. The first ones have less before them to overlap with."""
        return (self._steps - self._context + min(self._done, self._context)) * self.step

    def feed(self, samples: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Takes the next samples (n,); yields what became certain, (steps, n) by name."""
        self.samples += len(samples)
        self._held = np.concatenate([self._held, samples], dtype=np.float32)
        while len(self._held) >= (size := self.window_samples):
            yield self._certain(self._held[:size], size // self.step - self._lost)
            begin = max(0, self._done - self._context)
            self._held = self._held[(begin - self._start) * self.step :]
            self._start = begin

    def finish(self) -> Iterator[dict[str, np.ndarray]]:
        """Yields the outputs of the remaining steps. The stream must have had a sample."""
        yield self._certain(self._held, None)

    def _certain(self, window: np.ndarray, end: int | None) -> dict[str, np.ndarray]:
        """Of a window's steps the new ones up to ``end``."""
        new = slice(self._done - self._start, end)
        steps = {name: np.asarray(x)[0, new] for name, x in self._encode(window[None]).items()}
        self._done += len(next(iter(steps.values())))
        return steps


class WindowPredictor:
    """Predicts windows of samples that come in, in full batches or ``batch_size`` at a time."""

    def __init__(self, model, size: int, hop: int, batch_size: int | None = None):
        self._model, self._cutter = model, WindowCutter(size, hop)
        self._batch_size = batch_size or model.clips_at_once(size)
        self._waiting: list[tuple[int, np.ndarray]] = []
        self.step, self.sample_rate = hop, model.sample_rate
        self.samples = 0
        # From a sample to the outputs of the window in whose middle it is.
        self.latency = (size + hop) / model.sample_rate

    def feed(self, block: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Takes the next samples (n,); yields outputs of windows, and the ``start`` of each."""
        self.samples += len(block)
        self._waiting += self._cutter.feed(block)
        while len(self._waiting) >= self._batch_size:
            yield self._predict()

    def finish(self) -> Iterator[dict[str, np.ndarray]]:
        self._waiting += self._cutter.finish()
        while self._waiting:
            yield self._predict()

    def _predict(self) -> dict[str, np.ndarray]:
        starts, windows = zip(*self._waiting[: self._batch_size], strict=True)
        del self._waiting[: self._batch_size]
        return {**self._model.predict(np.stack(windows)), "start": np.array(starts)}
