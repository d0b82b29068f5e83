"""How large networks are and how much they compute, counted as the paper counts and truly."""

import dataclasses
import math

from panns_tf.models.registry import Architecture, find

#: Where the reference rectifies and pools by layer objects, which its counter sees, and not by
#: function calls, which it does not: by backbone, prefixes of our layers' names.
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
    """Returns the parameters and operations of a network; nothing is computed.

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
    arch = find(name).override(**overrides)
    if arch == find(name) and (seconds, num_classes) == (10.0, 527) and arch.parameters:
        return Complexity(arch.parameters, arch.operations, arch.multiply_adds)
    return count(arch, seconds, num_classes)


def count(arch: Architecture, seconds: float = 10.0, num_classes: int = 527) -> Complexity:
    """Counts the parameters and operations of an architecture, layer by layer.

    Raises:
        ValueError: as `panns_tf.create_model`.
    """
    import keras

    from panns_tf.models.blocks import LayerFactory
    from panns_tf.models.network import all_outputs, checked_classes

    num_classes = checked_classes(num_classes)
    samples = round(seconds * arch.frontend.sample_rate) if math.isfinite(seconds) else 0
    if samples < 1:
        raise ValueError(f"seconds must be above 0; received {seconds}")
    waveform = keras.Input((samples,), batch_size=1)
    outputs = all_outputs(arch, LayerFactory(zeros=True), waveform, None, num_classes)
    layers = {layer.name: layer for layer in keras.Model(waveform, outputs).layers}
    parameters = arch.unused_parameters(num_classes)
    operations = multiply_adds = 0
    for layer in layers.values():
        parameters += sum(math.prod(v.shape) for v in layer.trainable_variables)
        macs = _multiply_adds(layer)
        multiply_adds += macs
        operations += 2 * macs + _other_operations(arch, layers, layer)
    return Complexity(parameters, operations, multiply_adds)


def _multiply_adds(layer) -> int:
    kind = _kind(layer)
    if kind == "log_mel":
        _, frames, _ = layer.output.shape
        size = layer.frontend.window_size
        return 2 * frames * (size // 2 + 1) * size  # real and imaginary part
    if kind == "dense":
        return math.prod(layer.kernel.shape)
    if kind == "convolution":
        return math.prod(layer.output.shape) * math.prod(layer.kernel.shape[:-1])
    if kind == "depthwise":
        return math.prod(layer.output.shape) * math.prod(layer.kernel.shape[:-2])
    return 0


def _kind(layer) -> str:
    """The kind of a layer, as far as it is counted."""
    from keras import layers

    from panns_tf.layers.log_mel import LogMel

    for name, kinds in (
        ("log_mel", LogMel),
        ("dense", layers.Dense),
        ("depthwise", layers.DepthwiseConv2D),
        ("convolution", (layers.Conv1D, layers.Conv2D)),
        ("normalisation", layers.BatchNormalization),
        ("rectifier", layers.ReLU),
        ("pool", (layers.AveragePooling1D, layers.AveragePooling2D)),
    ):
        if isinstance(layer, kinds):
            return name
    return ""


def _other_operations(arch: Architecture, layers: dict, layer) -> int:
    kind = _kind(layer)
    family = "mobilenet" if arch.backbone.startswith("mobilenet") else arch.backbone
    if kind == "dense":
        return math.prod(layer.bias.shape)
    if kind in ("convolution", "depthwise"):
        count = math.prod(layer.output.shape) if layer.use_bias else 0
        if family == "mobilenet" and layer.kernel_size == (3, 3):
            # The reference has an average pool of 1x1 after each 3x3 convolution of stride 1,
            # where we have none between it and the normalisation.
            prefix, _, number = layer.name.rpartition(".")
            pooled = f"{prefix}.{int(number) + 1}" in layers
            count += 0 if pooled else math.prod(layer.output.shape)
        return count
    if kind == "normalisation":
        return 2 * math.prod(layer.input.shape)
    if kind == "rectifier":
        counted = COUNTED_RELUS.get(arch.backbone)
        return 2 * math.prod(layer.input.shape) if counted and layer.name.startswith(counted) else 0
    if kind == "pool":
        counted = COUNTED_POOLS.get(family)
        pooled = math.prod(layer.output.shape) * math.prod(layer.pool_size)
        return pooled if counted and counted in layer.name else 0
    return 0
