"""Networks in operations that every runtime has: no FFT, no XLA, nothing left to fold."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from panns_tf.config import Frontend
from panns_tf.inference.model import FoldedLayers, folded
from panns_tf.layers.log_mel import SMALLEST_POWER, LogMel, analysis_window, mel_matrix
from panns_tf.layers.shapes import larger
from panns_tf.models.network import Network, copy_network

#: Decibels are ten common logarithms; runtimes have the natural one.
DECIBELS = 10 / np.log(10)


def portable(network: Network) -> keras.Model:
    """Returns a network for inference without FFT, XLA and batch normalisations to fold.

    Args:
        network: from `panns_tf.create_model`, trained.

    Returns:
        A functional model with the inputs and outputs of the network, see
        `panns_tf.inference.model.folded`; its log-mel is a `ConvolvedLogMel`.
    """
    return folded(network, PortableLayers(network))


def in_float16(network: Network) -> Network:
    """Returns a copy of a network that computes in float16, but for the front end and the end.

    Those layers stay float32 that do so when a network is trained in mixed precision.
    """
    return copy_network(network, "mixed_float16")


def front_layers(network: Network) -> set[str]:
    """Returns the names of a network's first layers: neither float16 nor 8 bits hold decibels.

    They are those that stay float32 in mixed precision, before the last that does not.
    """
    found = in_float16(network).layers  # from the input to the outputs
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


class ConvolvedLogMel(layers.Layer):
    """`LogMel` whose Fourier transform is a convolution.

    Its filters are the real and the imaginary parts of the frequencies that some mel filter
    takes, times the window; one step is one frame. Samples that every frame has or lacks together
    are channels of one place, since runtimes have no fast code for a single channel.

    Args:
        frontend: the settings.

    Input and output shape: as `LogMel`.
    """

    def __init__(self, frontend: Frontend, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.frontend = frontend
        mel = mel_matrix(frontend)
        used = np.flatnonzero(mel.any(axis=1))
        first, end = used[0], used[-1] + 1
        size = frontend.window_size
        turns = np.outer(np.arange(size), np.arange(first, end)) % size * (2 * np.pi / size)
        filters = np.concatenate([np.cos(turns), -np.sin(turns)], axis=1)
        filters *= analysis_window(frontend)[:, None]
        self.block = math.gcd(size, frontend.hop_size)
        shape = (size // self.block, self.block, -1)
        self.filters = filters.reshape(shape).astype("float32")  # (places, block, 2 * bins)
        # Squares of real and of imaginary parts go through the same mel filters.
        self.mel = np.tile(mel[first:end], (2, 1)).astype("float32")  # (2 * bins, mel_bins)
        self.built = True

    def call(self, waveform):
        half = self.frontend.window_size // 2
        missing = larger(0, half + 1 - ops.shape(waveform)[1])
        extended = ops.pad(waveform, ((0, 0), (0, missing)))
        reflected = ops.pad(extended, ((0, 0), (half, half)), mode="reflect")
        whole = ops.shape(reflected)[1] // self.block * self.block
        blocks = ops.reshape(
            reflected[:, :whole], (ops.shape(reflected)[0], -1, self.block)
        )  # (batch, places, block)
        steps = self.frontend.hop_size // self.block
        parts = ops.conv(
            blocks, self.filters, strides=steps, padding="valid"
        )  # (batch, frames or more, 2 * bins)
        frames = 1 + ops.shape(waveform)[1] // self.frontend.hop_size
        mel = ops.matmul(ops.square(parts[:, :frames]), self.mel)  # (batch, frames, mel_bins)
        return DECIBELS * ops.log(ops.maximum(mel, SMALLEST_POWER))

    def compute_output_spec(self, waveform):
        batch, samples = waveform.shape
        frames = None if samples is None else 1 + samples // self.frontend.hop_size
        return keras.KerasTensor((batch, frames, self.frontend.mel_bins), "float32")


class DilatedConv1D(layers.Conv1D):
    """Keras' Conv1D of stride 1, dilated, as the one operation that it is.

    Keras' way rearranges the input before and the output after, for the sake of gradients.
    """

    @classmethod
    def like(cls, layer: layers.Conv1D) -> "DilatedConv1D":
        """Returns a layer with the settings and the weights of another."""
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
