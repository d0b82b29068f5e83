"""Networks in operations that every runtime has."""

import keras
import tensorflow as tf
from keras import layers

from panns_tf.inference.export.convolved_log_mel import ConvolvedLogMel
from panns_tf.inference.fold import FoldedLayers, folded_graph
from panns_tf.layers import LogMel
from panns_tf.models import Network


def portable(network: Network) -> keras.Model:
    """Returns a network for inference without FFT, XLA and batch normalisations to fold.

    Args:
        network: from `panns_tf.create_model`, trained.

    Returns:
        A functional model with the inputs and outputs of the network, see
        `panns_tf.inference.fold.folded`; its log-mel is a `ConvolvedLogMel`.
    """
    return keras.Model(*folded_graph(network, PortableBook(network)), name=network.name)


class PortableBook(FoldedLayers):
    """Gives a network's layers folded, and the log-mel as convolutions."""

    def __init__(self, network: Network):
        super().__init__(network)
        for layer in network.layers:
            if isinstance(layer, LogMel):
                self._layers[layer.name] = ConvolvedLogMel(layer.frontend, name=layer.name)
        for name, layer in self._layers.items():
            if isinstance(layer, layers.Conv1D) and layer.dilation_rate != (1,):
                self._layers[name] = DilatedConv1D.like(layer)


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
            rest = dilation * (size - 1)
            inputs = tf.pad(inputs, ((0, 0), (rest // 2, rest - rest // 2), (0, 0)))
        outputs = tf.nn.conv2d(
            tf.expand_dims(inputs, 1),  # (batch, 1, steps, channels)
            tf.expand_dims(tf.convert_to_tensor(self.kernel), 0),
            strides=1,
            padding="VALID",
            dilations=(1, dilation),
        )
        outputs = tf.squeeze(outputs, 1)  # (batch, steps, filters)
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs
