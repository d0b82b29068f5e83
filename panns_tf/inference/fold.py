"""Batch normalisation folded into the convolutions before it."""

import keras
import numpy as np
from keras import layers, ops

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.models.blocks import LayerFactory
from panns_tf.models.network import Network, all_outputs


def folded(network: Network) -> keras.Model:
    """Returns a network for inference, its batch normalisations within its convolutions.

    At inference a batch normalisation scales and shifts every channel by constants. Where it
    follows a convolution, they go into that one's kernel and bias. Others stay, such as ``bn0`` on
    the log-mel. Probabilities differ by rounding, some 1e-6.

    Args:
        network: from `panns_tf.create_model`, trained.

    Returns:
        A functional model with the inputs and outputs of the network. It keeps the weights that
        the network has now where they are folded and shares the other layers; to be called
        with ``training=False``.
    """
    return keras.Model(*folded_graph(network, FoldedLayers(network)), name=network.name)


def folded_graph(network: Network, layer: LayerFactory) -> tuple[keras.KerasTensor, dict]:
    """Returns input and outputs of a network's graph, built anew from other layers."""
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    outputs = all_outputs(network.arch, layer, waveform, network.num_classes)
    return waveform, {name: outputs[name] for name in network.output_shapes}


class FoldedLayers(LayerFactory):
    """Gives a network's own layers, but for convolutions and the normalisations folded into them.

    Args:
        network: whose layers these are.
    """

    def __init__(self, network: Network):
        pairs = foldable(network)
        super().__init__([*network.layers, *(folded_layer(*pair) for pair in pairs)])
        self._folded = {norm.name for _, norm in pairs}

    def __call__(self, kind, name: str, **settings):
        if name in self._folded:
            return lambda x: x
        return super().__call__(kind, name, **settings)


def foldable(network: Network) -> list[tuple[layers.Layer, BatchNorm]]:
    """Each convolution with the batch normalisation that follows it.

    An average pool between them takes scale and shift unchanged.
    """
    pairs = network.convolution_of.items()
    return [(network.get_layer(name), network.get_layer(norm)) for norm, name in pairs]


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
