"""A network for inference: normalisations folded, in a precision, compiled where it pays."""

import collections
import functools
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.inference.fold import FoldedLayers
from panns_tf.inference.long_audio import SplitNetwork, StreamingEncoder, split_network
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network, all_outputs, copy_network

#: Dtype policies by the names that commands use.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

#: Outputs that are kept of a clip; the frames repeat the segments.
OUTPUTS = ("clipwise_output", "embedding", "segmentwise_output")

#: Seconds beyond which a recording passes the network in overlapping windows of that length.
WINDOW_SECONDS = 30.0

#: Clips in a batch at most, however short.
MOST_CLIPS = 64

#: A shape is compiled by XLA once so many seconds of audio came in it. Compiling takes a few
#: seconds, and is paid back by about as many seconds of audio as this.
COMPILED_AFTER = 60.0
#: Shapes compiled at most, for the memory that each takes.
MOST_COMPILED = 16


class InferenceModel:
    """A network for inference.

    Args:
        network: from `panns_tf.create_model`, trained.
        precision: ``"float32"`` or ``"bfloat16"``.
        batch_size: clips of 10 s at a time; as much audio in shorter or longer clips.

    Attributes:
        network: that was given.
        sample_rate: Hz.
        labels: of the classes.
        embedding_size: width of an embedding.
    """

    def __init__(self, network: Network, precision: str = "float32", batch_size: int = 8):
        if batch_size < 1:
            raise ValueError(f"--batch-size must be at least 1; received {batch_size}")
        self.network, self.arch = network, network.arch
        self.sample_rate = self.arch.frontend.sample_rate
        self.embedding_size = network.output_shapes["embedding"][-1]
        self.labels = list(network.labels or map(str, range(network.num_classes)))
        self._seconds_at_once = 10 * batch_size
        self._layers = FoldedLayers(in_precision(network, precision))
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        outputs = all_outputs(self.arch, self._layers, waveform, network.num_classes)
        kept = {name: outputs[name] for name in OUTPUTS if name in outputs}
        # In half precision a processor's own operations are faster than XLA's for it.
        self._compiles = precision == "float32" or _has_gpu()
        self.predict = CompiledModel(keras.Model(waveform, kept), self.sample_rate, self._compiles)

    def clips_at_once(self, samples: int) -> int:
        """Returns how many clips of a length make a full batch."""
        clips = self._seconds_at_once * self.sample_rate // max(1, samples)
        return max(1, min(int(clips), MOST_CLIPS))

    @functools.cached_property
    def split(self) -> SplitNetwork:
        """The network split at its pooling over time."""
        return split_network(self.arch, self._layers, self.network.num_classes)

    @functools.cached_property
    def _encode(self) -> "CompiledModel":
        return CompiledModel(self.split.encoder, self.sample_rate, self._compiles)

    def streaming_encoder(self, latency: float | None = None) -> StreamingEncoder:
        """Returns what predicts a recording of any length as if whole, in constant memory.

        Args:
            latency: seconds wanted from a sample to the outputs of its step; None for whatever
                costs least.
        """
        field, window = self.split.field, WINDOW_SECONDS
        if latency is not None:
            window = latency + (field.before + field.hop) / self.sample_rate
        return StreamingEncoder(self.split, self._encode, window)


class CompiledModel:
    """A model as a function of NumPy arrays, compiled for the shapes that recur.

    Called with waveforms (batch, samples) float32; returns float32 arrays by name.

    Args:
        model: from waveforms to outputs by name.
        sample_rate: Hz.
        compiles: whether XLA may be used.
    """

    def __init__(self, model: keras.Model, sample_rate: int, compiles: bool):
        self._model = model
        self._sample_rate = sample_rate
        self._compiles = compiles
        self._seconds: collections.Counter = collections.Counter()
        self.compiled: dict[tuple, Callable] = {}
        signature = [tf.TensorSpec((None, None), tf.float32)]
        run = traced_for("this_machine")(self._run)
        self._plain = tf.function(run, input_signature=signature, autograph=False)

    def _run(self, waveforms):
        return self._model(waveforms, training=False)

    def __call__(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        shape = waveforms.shape
        function = self.compiled.get(shape, self._plain)
        if self._compiles and function is self._plain and len(self.compiled) < MOST_COMPILED:
            if self._seconds[shape] >= COMPILED_AFTER:
                run = traced_for("xla")(self._run)
                function = tf.function(run, jit_compile=True, autograph=False)
                self.compiled[shape] = function
                del self._seconds[shape]
            else:
                self._seconds[shape] += waveforms.size / self._sample_rate
        outputs = function(tf.constant(waveforms))
        return {name: np.asarray(tf.cast(value, tf.float32)) for name, value in outputs.items()}


def in_precision(network: Network, precision: str = "float32") -> Network:
    """Returns the network itself if it computes in a precision, else a copy that does.

    In bfloat16 the log-mel, ``bn0``, the first convolution on waveforms and the last layer stay
    float32.

    Args:
        network: from `panns_tf.create_model`.
        precision: ``"float32"`` or ``"bfloat16"``.

    Raises:
        ValueError: for another precision, or one that this machine only imitates, slowly.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {tuple(PRECISIONS)}; received {precision!r}")
    if precision == "bfloat16" and not has_bfloat16():
        raise ValueError(
            "--precision bfloat16: neither this processor (avx512_bf16, amx_bf16) nor a GPU here "
            "computes in it; use float32"
        )
    dtypes = {layer.compute_dtype for layer in network.layers}
    if precision in dtypes and dtypes <= {precision, "float32"}:
        return network
    return copy_network(network, PRECISIONS[precision])


def has_bfloat16() -> bool:
    """Whether there is a GPU, or a processor with instructions for bfloat16."""
    if _has_gpu():
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
