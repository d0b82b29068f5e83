"""Batch normalisation that inference need not compute."""

import keras
import numpy as np
from keras import layers, ops

from panns_tf.layers import BatchNorm
from panns_tf.models import Network
from panns_tf.models.blocks import LayerBook
from panns_tf.models.graph import graph

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D)

#: What may lie between: a mean of places takes scale and shift through unchanged.
POOLS = (layers.AveragePooling1D, layers.AveragePooling2D)


def folded(network: Network) -> keras.Model:
    """Returns a network for inference, its batch normalisations within its convolutions.

    At inference a batch normalisation scales and shifts every channel by constants. Where it
    follows a convolution, which nothing else sees, they go into that one's kernel and bias.
    Others stay, such as ``bn0`` on the log-mel. Probabilities differ by rounding, some 1e-6.

    Args:
        network: from `panns_tf.create_model`, trained.

    Returns:
        A functional model with the inputs and outputs of the network. It keeps the weights that
        the network has now where they are folded and shares the other layers; to be called
        with ``training=False``.
    """
    return keras.Model(*folded_graph(network, FoldedBook(network)), name=network.name)


def folded_graph(network: Network, layer: LayerBook) -> tuple[keras.KerasTensor, dict]:
    """Returns input and outputs of a network's graph, built anew from other layers."""
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    outputs = graph(network.row, layer, waveform, None, network.num_classes)
    return waveform, {name: outputs[name] for name in network.output_shapes}


class FoldedBook(LayerBook):
    """Gives a network's own layers, but for convolutions and the normalisations in them.

    Args:
        network: whose layers these are.
    """

    def __init__(self, network: Network):
        pairs = foldable(network)
        super().__init__([*network.layers, *(folded_layer(*pair) for pair in pairs)])
        self._gone = {norm.name for _, norm in pairs}

    def __call__(self, kind, name: str, **settings):
        if name in self._gone:
            return lambda x: x
        return super().__call__(kind, name, **settings)


def foldable(network: Network) -> list[tuple[layers.Layer, BatchNorm]]:
    """Returns each batch normalisation that can be folded, and its convolution before it."""
    nodes = [node for depth in network._nodes_by_depth.values() for node in depth]
    consumers: dict[int, int] = {}
    for tensor in [*network.outputs, *(x for node in nodes for x in node.input_tensors)]:
        consumers[id(tensor)] = consumers.get(id(tensor), 0) + 1
    producer = {id(x): node for node in nodes for x in node.output_tensors}

    def before(node):
        (tensor,) = node.input_tensors
        return producer[id(tensor)] if consumers[id(tensor)] == 1 else None

    pairs = []
    for node in nodes:
        if not isinstance(node.operation, BatchNorm):
            continue
        source = before(node)
        if source and isinstance(source.operation, POOLS) and source.operation.padding == "valid":
            source = before(source)
        if source and _takes_a_bias(source.operation):
            pairs.append((source.operation, node.operation))
    return pairs


def _takes_a_bias(layer) -> bool:
    linear = getattr(layer, "activation", None) is keras.activations.linear
    return linear and isinstance(layer, CONVOLUTIONS)


def folded_layer(convolution: layers.Layer, norm: BatchNorm) -> layers.Layer:
    """Returns a convolution that does what a convolution and a batch normalisation do.

    Both are linear: ``(w * x + b - mean) * scale + beta``, where ``scale`` is gamma over the
    standard deviation. The products are taken in double precision.
    """
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    scale = (_array(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    kernel = ops.convert_to_numpy(convolution.kernel)
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)  # (height, width, channels, 1)
    wide = scale[:, None] if depthwise else scale
    bias = _array(convolution.bias) if convolution.use_bias else 0.0
    shift = (bias - mean) * scale + (_array(norm.beta) if norm.center else 0.0)
    # Initial values, which take longer to draw than the folding, are not needed.
    without = dict.fromkeys(("kernel_initializer", "depthwise_initializer"), "zeros")
    config = {**convolution.get_config(), "use_bias": True}
    config |= {name: value for name, value in without.items() if name in config}
    layer = type(convolution).from_config(config)
    layer.build((None,) * (kernel.ndim - 1) + (kernel.shape[-2],))
    # In double precision, but without a copy of the kernel in it.
    scaled = np.empty_like(kernel)
    np.multiply(kernel, wide, out=scaled, dtype="float64", casting="same_kind")
    layer.set_weights([scaled, shift])
    return layer


def _array(variable) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype("float64")
