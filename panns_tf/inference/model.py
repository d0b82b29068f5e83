"""A network for inference: loaded, folded, in a precision, compiled where it pays."""

import collections
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

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
from panns_tf.models.registry import find
from panns_tf.run import find_model
from panns_tf.weights.loading import AUDIOSET, STATE_FILES, create_model, read_network_file
from tfrecords.classes import audioset_classes

_FILES = (*STATE_FILES, ".keras")

#: Dtype policies by the names that commands use.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

#: Seconds beyond which a recording passes the network in overlapping windows of that length.
WINDOW_SECONDS = 30.0

#: Clips in a batch at most, however short.
MOST_CLIPS = 64

#: A shape is compiled by XLA once so many seconds of audio had it. Compiling takes a few
#: seconds, and is paid back by about as many seconds of audio as this.
COMPILED_AFTER = 60.0
#: Shapes compiled at most, for the memory that each takes.
MOST_COMPILED = 16


def load_network(model: str | Path | Network, weights: str | Path | None = AUDIOSET) -> Network:
    """The network of a name, a file or a run directory, with its weights.

    Arguments and errors are those of `AudioTagger`. The labels are those that the network was saved
    with, AudioSet's where the reference's file has 527 classes, else ``class 0`` ...
    """
    if isinstance(model, Network):
        return model
    path = find_model(model)
    is_path = path.exists() or path.suffix in _FILES or os.sep in str(model)
    file = None if weights in (None, AUDIOSET) else find_model(weights)
    if is_path and file is not None:
        raise ValueError(
            f"{model} has weights of its own; received {weights} besides, which go with the name "
            "of a network"
        )
    if path.is_file() and path.suffix in _FILES:
        network = read_network_file(path)
    elif is_path:
        what = "no file of a network" if path.exists() else "no such file"
        raise ValueError(f"{path}: {what}; expected a .keras or .pth file or a run directory")
    elif file is not None and file.suffix in _FILES and file.is_file():
        network = read_network_file(file, str(model) if file.suffix in STATE_FILES else None)
        if network.arch.name != find(str(model)).name:
            raise ValueError(
                f"{file} holds a {network.arch.name}, not a {find(str(model)).name}; name that "
                "network, or the file alone"
            )
    else:
        network = create_model(str(model), weights=weights)  # which refuses what is no file
    if network.labels is None:
        names, count = audioset_classes().names, network.num_classes
        numbered = [f"class {i}" for i in range(count)]
        network.labels = list(names) if count == len(names) else numbered
    return network


class InferenceModel:
    """A network whose ``predict`` maps waveforms (batch, samples) to outputs by name; a batch is
    ``batch_size`` clips of 10 s, or as much audio in others.
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
        """Clips of a length in a full batch."""
        clips = self._seconds_at_once * self.sample_rate // max(1, samples)
        return max(1, min(int(clips), MOST_CLIPS))

    @functools.cached_property
    def _encoder_and_head(self) -> tuple:
        encoder, head = split_network(self.arch, self._layers, self.network.num_classes)
        return CompiledModel(encoder, self.sample_rate, self._compiles), head

    def streaming_encoder(self, latency: float | None = None) -> StreamingEncoder:
        """What predicts a recording of any length as if whole; of a stream with a latency, s."""
        window = WINDOW_SECONDS
        if latency is not None:
            hop, before, _ = receptive_field(self.arch)
            window = latency + (before + hop) / self.sample_rate
        return StreamingEncoder(self._encoder_and_head[0], self.arch, window)

    def pool(self, blocks: Iterable[dict]) -> dict[str, np.ndarray]:
        """Outputs (n,) by name of a recording, from those of a `streaming_encoder`."""
        return pool_steps(self.arch.head, self._encoder_and_head[1], blocks)


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
    """The network itself if it computes in a precision, else a copy that does; in bfloat16 the
    log-mel, ``bn0``, the first convolution on waveforms and the last layer stay float32.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {tuple(PRECISIONS)}; received {precision!r}")
    if precision == "bfloat16" and not has_bfloat16():  # which would be imitated, slowly
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
    processor = Path("/proc/cpuinfo")  # of Linux
    flags = processor.read_text() if processor.exists() else ""
    return _has_gpu() or "avx512_bf16" in flags or "amx_bf16" in flags


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def folded(
    network: Network, layer: LayerFactory | None = None, names: Iterable[str] | None = None
) -> keras.Model:
    """A network with each batch normalisation, as it is now, in the convolution before it, and the
    others shared; ``layer`` makes them, `FoldedLayers` by default, ``names`` are of outputs.
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
    """A convolution and a batch normalisation in one: ``(w * x + b - mean) * scale + beta``, with
    ``scale`` gamma over the standard deviation; products are in double precision.
    """
    gamma, beta, mean, variance = (array.astype("float64") for array in norm.get_weights())
    kernel, *bias = convolution.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    shift = ((bias[0] if bias else 0.0) - mean) * scale + beta
    # Initial values, which take longer to draw than the folding, are not needed.
    zeros = dict.fromkeys(("kernel_initializer", "depthwise_initializer"), "zeros")
    config = {**convolution.get_config(), "use_bias": True}
    config |= {name: value for name, value in zeros.items() if name in config}
    layer = type(convolution).from_config(config)
    layer.build((None,) * (kernel.ndim - 1) + (kernel.shape[-2],))
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)  # (height, width, channels, 1)
    layer.set_weights([kernel * (scale[:, None] if depthwise else scale), shift])
    return layer
