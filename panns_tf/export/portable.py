"""Networks in operations that every runtime has: no FFT, no XLA, nothing left to fold."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from panns_tf.config import Frontend
from panns_tf.inference.model import FoldedLayers, folded
from panns_tf.layers.log_mel import LogMel, analysis_window
from panns_tf.models.network import Network, copy_network


def portable(network: Network) -> keras.Model:
    """A trained network for inference without FFT, XLA and batch normalisations to fold."""
    return folded(network, PortableLayers(network))


def front_layers(network: Network) -> set[str]:
    """The layers that stay float32 in mixed precision: decibels fit neither float16 nor 8 bits."""
    found = copy_network(network, "mixed_float16").layers  # from the input to the outputs
    half = [i for i, x in enumerate(found) if x.weights and x.compute_dtype == "float16"]
    return {layer.name for layer in found[: max(half)] if layer.compute_dtype == "float32"}


class PortableLayers(FoldedLayers):
    """Gives a network's layers folded, and the log-mel as convolutions."""

    def __init__(self, network: Network):
        super().__init__(network)
        for name, layer in self._layers.items():
            if isinstance(layer, LogMel):
                self._layers[name] = ConvolvedLogMel(layer.frontend, name=name)
            elif isinstance(layer, layers.Conv1D) and layer.dilation_rate != (1,):
                self._layers[name] = DilatedConv1D.like(layer)


class ConvolvedLogMel(LogMel):
    """`LogMel` whose Fourier transform is a convolution; one step is one frame.

    Its filters are the real and imaginary parts of the frequencies that some mel filter takes,
    times the window. Samples that every frame has or lacks together are channels of one place,
    since runtimes have no fast code for a single channel.
    """

    def __init__(self, frontend: Frontend, **kwargs):
        super().__init__(**dataclasses.asdict(frontend), jit_compile=False, **kwargs)
        size = frontend.window_size
        frequencies = np.arange(size // 2 + 1)[self.bins]
        turns = np.outer(np.arange(size), frequencies) % size * (2 * np.pi / size)
        filters = np.concatenate([np.cos(turns), -np.sin(turns)], axis=1)
        filters *= analysis_window(frontend)[:, None]
        self.block = math.gcd(size, frontend.hop_size)
        shape = (size // self.block, self.block, -1)
        self.filters = filters.reshape(shape).astype("float32")  # (places, block, 2 * bins)
        # Squares of real and of imaginary parts go through the same mel filters.
        self.mel = np.tile(self.mel, (2, 1))  # (2 * bins, mel_bins)

    def mel_power(self, waveform, frames):
        whole = ops.shape(waveform)[1] // self.block * self.block
        blocks = ops.reshape(
            waveform[:, :whole], (ops.shape(waveform)[0], -1, self.block)
        )  # (batch, places, block)
        steps = self.frontend.hop_size // self.block
        parts = ops.conv(blocks, self.filters, strides=steps, padding="valid")
        # (batch, frames or more, 2 * bins)
        return ops.matmul(ops.square(parts[:, :frames]), self.mel)


class DilatedConv1D(layers.Conv1D):
    """Keras' Conv1D of stride 1, dilated, as the one operation that it is.

    Keras' way rearranges the input before and the output after, for the sake of gradients.
    """

    @classmethod
    def like(cls, layer: layers.Conv1D) -> "DilatedConv1D":
        copy = cls.from_config(layer.get_config())
        copy.build((None, None, layer.kernel.shape[1]))
        copy.set_weights(layer.get_weights())
        return copy

    def call(self, inputs):
        (dilation,), (size,) = self.dilation_rate, self.kernel_size
        if self.padding == "same":  # ONNX Runtime has no "same" under dilation
            total = dilation * (size - 1)
            inputs = tf.pad(inputs, ((0, 0), (total // 2, total - total // 2), (0, 0)))
        outputs = tf.nn.conv2d(
            tf.expand_dims(inputs, 1),  # (batch, 1, steps, channels)
            tf.expand_dims(tf.convert_to_tensor(self.kernel), 0),
            strides=1,
            padding="VALID",
            dilations=(1, dilation),
        )
        outputs = tf.squeeze(outputs, 1)  # (batch, steps, filters)
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs
