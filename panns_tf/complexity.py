"""How large networks are and how much they compute, counted as the paper counts and truly."""

import dataclasses
import math

import keras
from keras import layers

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.log_mel import LogMel
from panns_tf.models.blocks import LayerBook
from panns_tf.models.graph import graph
from panns_tf.models.network import checked_classes
from panns_tf.models.registry import Architecture, find
from panns_tf.models.valueless import without_values

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D)
AVERAGE_POOLS = (layers.AveragePooling1D, layers.AveragePooling2D)

#: Where the reference rectifies and pools by layer objects, which its counter sees, and not by
#: function calls, which it does not: by body, prefixes of our layers' names.
COUNTED_RELUS = {"resnet": "resnet.", "res1dnet": "resnet.", "mobilenet_v1": "features."}
COUNTED_POOLS = {"resnet": ".downsample.", "res1dnet": ".downsample.", "mobilenet": "features."}


@dataclasses.dataclass(frozen=True)
class Complexity:
    """The size of a network and its work on one clip.

    Attributes:
        parameters: trainable ones, those that the reference holds and never uses included, as
            the paper's Table XII counts them.
        operations: what Table XII prints as "multi-adds": a multiplication and an addition are
            two. Convolutions (the reference's Fourier transform is two of them), fully connected
            layers (once, also where they see many segments), batch normalisations, and the
            rectifiers and average pools that the reference has as layer objects.
        multiply_adds: of the convolutions and fully connected layers, a multiplication and its
            addition being one: "MACs".
    """

    parameters: int
    operations: int
    multiply_adds: int


def complexity(name: str, seconds: float = 10.0, num_classes: int = 527, **overrides) -> Complexity:
    """Counts the parameters and operations of a network; nothing is computed.

    Args:
        name: of the network; see `panns_tf.list_models`.
        seconds: length of the clip.
        num_classes: K.
        **overrides: as for `panns_tf.create_model`.

    Raises:
        ValueError: as `panns_tf.create_model`.

    Example:

    >>> complexity("Cnn14").operations
    42219593359

    Source: ``utils/utilities.py`` and ``pytorch/pytorch_utils.py`` of the reference; Table XII.
    """
    row = find(name).override(**overrides)
    num_classes = checked_classes(num_classes)
    samples = round(seconds * row.frontend.sample_rate) if math.isfinite(seconds) else 0
    if samples < 1:
        raise ValueError(f"seconds must be above 0; received {seconds}")
    with without_values():
        waveform = keras.Input((samples,), batch_size=1)
        model = keras.Model(waveform, graph(row, LayerBook(), waveform, None, num_classes))
    parameters = row.unused_parameters(num_classes)
    operations = multiply_adds = 0
    for layer in model.layers:
        parameters += sum(math.prod(v.shape) for v in layer.trainable_variables)
        macs = _multiply_adds(layer)
        multiply_adds += macs
        operations += 2 * macs + _other_operations(row, layer)
    return Complexity(parameters, operations, multiply_adds)


def _multiply_adds(layer: layers.Layer) -> int:
    if isinstance(layer, LogMel):
        _, frames, _ = layer.output.shape
        size = layer.frontend.window_size
        return 2 * frames * (size // 2 + 1) * size  # real and imaginary part
    if isinstance(layer, layers.Dense):
        return math.prod(layer.kernel.shape)
    if isinstance(layer, CONVOLUTIONS):
        return math.prod(layer.output.shape) * _taps(layer)
    return 0


def _taps(layer: layers.Layer) -> int:
    """Products in one output of a convolution."""
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return math.prod(layer.kernel.shape[:-2] if depthwise else layer.kernel.shape[:-1])


def _other_operations(row: Architecture, layer: layers.Layer) -> int:
    family = "mobilenet" if row.body.startswith("mobilenet") else row.body
    if isinstance(layer, layers.Dense):
        return math.prod(layer.bias.shape)
    if isinstance(layer, CONVOLUTIONS):
        count = math.prod(layer.output.shape) if layer.use_bias else 0
        if family == "mobilenet" and layer.kernel_size == (3, 3) and not _is_pooled(layer):
            # The reference has an average pool of 1x1 after each 3x3 convolution of stride 1.
            count += math.prod(layer.output.shape)
        return count
    if isinstance(layer, BatchNorm):
        return 2 * math.prod(layer.input.shape)
    if isinstance(layer, layers.ReLU):
        prefix = COUNTED_RELUS.get(row.body)
        return 2 * math.prod(layer.input.shape) if prefix and layer.name.startswith(prefix) else 0
    if isinstance(layer, AVERAGE_POOLS):
        part = COUNTED_POOLS.get(family)
        counted = part and part in layer.name
        return math.prod(layer.output.shape) * math.prod(layer.pool_size) if counted else 0
    return 0


def _is_pooled(layer: layers.Layer) -> bool:
    following = [node.operation for node in layer._outbound_nodes]
    return any(isinstance(operation, AVERAGE_POOLS) for operation in following)
