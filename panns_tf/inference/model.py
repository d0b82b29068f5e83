"""A network for inference: normalisations folded, in a precision, compiled where it pays."""

import collections
import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from panns_tf.inference.long_audio import (
    StreamingEncoder,
    pool_steps,
    receptive_field,
    split_network,
)
from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.cpu import traced_for
from panns_tf.models.blocks import LayerFactory
from panns_tf.models.network import Network, all_outputs, copy_network

#: Dtype policies by the names that commands use.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

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

    A batch is ``batch_size`` clips of 10 s, or as much audio in others. ``predict`` is a function
    from waveforms (batch, samples) to ``clipwise_output`` and ``embedding``.
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
        # In half precision a processor's own operations are faster than XLA's for it.
        self._compiles = precision == "float32" or _has_gpu()
        whole = folded(network, self._layers, ("clipwise_output", "embedding"))
        self.predict = CompiledModel(whole, self.sample_rate, self._compiles)

    def clips_at_once(self, samples: int) -> int:
        """How many clips of a length make a full batch."""
        clips = self._seconds_at_once * self.sample_rate // max(1, samples)
        return max(1, min(int(clips), MOST_CLIPS))

    @functools.cached_property
    def _encoder_and_head(self) -> tuple:
        encoder, head = split_network(self.arch, self._layers, self.network.num_classes)
        return CompiledModel(encoder, self.sample_rate, self._compiles), head

    def streaming_encoder(self, latency: float | None = None) -> StreamingEncoder:
        """What predicts a recording of any length as if whole, in constant memory.

        Of a stream ``latency`` is wanted, in seconds from a sample to the outputs of its step.
        """
        window = WINDOW_SECONDS
        if latency is not None:
            hop, before, _ = receptive_field(self.arch)
            window = latency + (before + hop) / self.sample_rate
        return StreamingEncoder(self._encoder_and_head[0], self.arch, window)

    def pool(self, parts: Iterable[dict]) -> dict[str, np.ndarray]:
        """Outputs (n,) by name of a recording, from those of a `streaming_encoder`."""
        return pool_steps(self.arch.head, self._encoder_and_head[1], parts)


class CompiledModel:
    """A function from waveforms (batch, samples) to arrays, compiled for the shapes that recur."""

    def __init__(self, model: keras.Model, sample_rate: int, compiles: bool):
        self._model, self._sample_rate, self._compiles = model, sample_rate, compiles
        self._seconds: collections.Counter = collections.Counter()
        self.compiled: dict[tuple, Callable] = {}
        signature = [tf.TensorSpec((None, None), tf.float32)]
        run = traced_for("this_machine")(self._run)
        self._plain = tf.function(run, input_signature=signature, autograph=False)

    def _run(self, waveforms):
        return self._model(waveforms, training=False)

    def __call__(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        shape = waveforms.shape
        is_common = self._compiles and self._seconds[shape] >= COMPILED_AFTER
        if is_common and shape not in self.compiled and len(self.compiled) < MOST_COMPILED:
            run = traced_for("xla")(self._run)
            self.compiled[shape] = tf.function(run, jit_compile=True, autograph=False)
        self._seconds[shape] += waveforms.size / self._sample_rate
        outputs = self.compiled.get(shape, self._plain)(tf.constant(waveforms))
        return {name: np.asarray(tf.cast(value, tf.float32)) for name, value in outputs.items()}


def in_precision(network: Network, precision: str = "float32") -> Network:
    """Returns the network itself if it computes in a precision, else a copy that does.

    In bfloat16 the log-mel, ``bn0``, the first convolution on waveforms and the last layer stay
    float32. A ValueError if this machine only imitates it, slowly.
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


def folded(
    network: Network, layer: LayerFactory | None = None, names: Iterable[str] | None = None
) -> keras.Model:
    """Returns a network for inference, its batch normalisations within its convolutions.

    Where one follows a convolution, its constants go into kernel and bias. Others stay, such as
    ``bn0`` on the log-mel. Probabilities differ by rounding, some 1e-6. What is folded keeps the
    weights that the network has now, the other layers are shared. ``layer`` makes the graph's
    layers, if not `FoldedLayers`; ``names`` are those of the outputs, if not the network's.
    """
    layer = layer or FoldedLayers(network)
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    outputs = all_outputs(network.arch, layer, waveform, network.num_classes)
    kept = {name: outputs[name] for name in names or network.output_shapes}
    return keras.Model(waveform, kept, name=network.name)


class FoldedLayers(LayerFactory):
    """A network's own layers, but for convolutions and the normalisations folded into them."""

    def __init__(self, network: Network):
        super().__init__(network.layers)
        self._folded = network.convolution_of
        for norm, name in self._folded.items():
            self._layers[name] = folded_layer(network.get_layer(name), network.get_layer(norm))

    def __call__(self, kind, name: str, **settings):
        if name in self._folded:
            return lambda x: x
        return super().__call__(kind, name, **settings)


def folded_layer(convolution: layers.Layer, norm: BatchNorm) -> layers.Layer:
    """Returns a convolution that does what a convolution and a batch normalisation do.

    Both are linear: ``(w * x + b - mean) * scale + beta``, where ``scale`` is gamma over the
    standard deviation. The products are taken in double precision.
    """
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    scale = (_array(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    kernel = ops.convert_to_numpy(convolution.kernel)
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)  # (height, width, channels, 1)
    factors = scale[:, None] if depthwise else scale
    bias = _array(convolution.bias) if convolution.use_bias else 0.0
    shift = (bias - mean) * scale + (_array(norm.beta) if norm.center else 0.0)
    # Initial values, which take longer to draw than the folding, are not needed.
    zeros = dict.fromkeys(("kernel_initializer", "depthwise_initializer"), "zeros")
    config = {**convolution.get_config(), "use_bias": True}
    config |= {name: value for name, value in zeros.items() if name in config}
    layer = type(convolution).from_config(config)
    layer.build((None,) * (kernel.ndim - 1) + (kernel.shape[-2],))
    # In double precision, but without a copy of the kernel in it.
    scaled = np.empty_like(kernel)
    np.multiply(kernel, factors, out=scaled, dtype="float64", casting="same_kind")
    layer.set_weights([scaled, shift])
    return layer


def _array(variable) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype("float64")
