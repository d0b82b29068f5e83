"""Parameters, operations (as the paper counts them) and multiply-adds of networks."""

import dataclasses
import math

from panns_tf.models.registry import Architecture, find

#: Parts of the names of counted ReLUs and pools, by backbone: those that are modules in the
#: reference, whose counter does not count function calls.
COUNTED_RELUS = {"resnet": "resnet.", "res1dnet": "resnet.", "mobilenet_v1": "features."}
COUNTED_POOLS = {"resnet": ".downsample.", "res1dnet": ".downsample.", "mobilenet": "features."}


@dataclasses.dataclass(frozen=True)
class Complexity:
    """The size of a network and its work on one clip.

    Attributes:
        parameters: number of trainable parameters, including those that the reference never uses.
        operations: the "multi-adds" of the paper's Table XII: a multiplication and an addition are
            two. Convolutions (the reference's Fourier transform is two of them), fully connected
            layers (once, even if they are applied to many segments), batch normalisations, and the
            ReLUs and average pools that are modules in the reference.
        multiply_adds: "MACs", of the convolutions and fully connected layers alone.
    """

    parameters: int
    operations: int
    multiply_adds: int


def complexity(name: str, seconds: float = 10.0, num_classes: int = 527, **overrides) -> Complexity:
    """Parameters and operations of a network for a clip, counted without running the network.

    ``num_classes``, ``overrides`` and errors are those of `panns_tf.create_model`. Source:
    ``utils/utilities.py`` and ``pytorch/pytorch_utils.py`` of the reference; Table XII.

    >>> complexity("Cnn14").operations
    42219593359
    """
    arch = find(name).override(**overrides)
    if arch == find(name) and (seconds, num_classes) == (10.0, 527) and arch.parameters:
        return Complexity(arch.parameters, arch.operations, arch.multiply_adds)
    return count(arch, seconds, num_classes)


def count(arch: Architecture, seconds: float = 10.0, num_classes: int = 527) -> Complexity:
    import keras

    from panns_tf.models.blocks import LayerFactory
    from panns_tf.models.network import all_outputs, checked_classes

    num_classes = checked_classes(num_classes)
    samples = round(seconds * arch.frontend.sample_rate) if math.isfinite(seconds) else 0
    if samples < 1:
        raise ValueError(f"seconds must be above 0; received {seconds}")
    waveform = keras.Input((samples,), batch_size=1)
    outputs = all_outputs(arch, LayerFactory(zeros=True), waveform, num_classes)
    layers = {layer.name: layer for layer in keras.Model(waveform, outputs).layers}
    parameters = arch.unused_parameters(num_classes)
    operations = multiply_adds = 0
    for layer in layers.values():
        parameters += sum(math.prod(v.shape) for v in layer.trainable_variables)
        macs, others = _work(layer, arch.backbone, layers)
        multiply_adds += macs
        operations += 2 * macs + others
    return Complexity(parameters, operations, multiply_adds)


def _work(layer, backbone: str, layers: dict) -> tuple[int, int]:
    """A layer's multiply-adds, and its other operations that the reference counts."""
    from keras import layers as kinds

    from panns_tf.layers.log_mel import LogMel

    family = "mobilenet" if backbone.startswith("mobilenet") else backbone
    if isinstance(layer, LogMel):
        size, frames = layer.frontend.window_size, layer.output.shape[1]
        return 2 * frames * (size // 2 + 1) * size, 0  # real and imaginary values
    if isinstance(layer, kinds.Dense):
        return math.prod(layer.kernel.shape), math.prod(layer.bias.shape)
    if isinstance(layer, kinds.Conv1D | kinds.Conv2D | kinds.DepthwiseConv2D):
        outputs = math.prod(layer.output.shape)
        fixed = 2 if isinstance(layer, kinds.DepthwiseConv2D) else 1
        others = outputs if layer.use_bias else 0
        if family == "mobilenet" and layer.kernel_size == (3, 3):
            # The reference has an average pool of 1x1 after each 3x3 convolution of stride 1,
            # for which this network has no layer.
            prefix, _, number = layer.name.rpartition(".")
            others += 0 if f"{prefix}.{int(number) + 1}" in layers else outputs
        return outputs * math.prod(layer.kernel.shape[:-fixed]), others
    if isinstance(layer, kinds.BatchNormalization):
        return 0, 2 * math.prod(layer.input.shape)
    if isinstance(layer, kinds.ReLU) and layer.name.startswith(COUNTED_RELUS.get(backbone, "?")):
        return 0, 2 * math.prod(layer.input.shape)
    if isinstance(layer, kinds.AveragePooling1D | kinds.AveragePooling2D):
        counted = COUNTED_POOLS.get(family, "?") in layer.name
        return 0, counted * math.prod(layer.output.shape) * math.prod(layer.pool_size)
    return 0, 0
