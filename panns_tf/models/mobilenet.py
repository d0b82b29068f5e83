"""MobileNets on the log-mel: depthwise separable convolutions."""

from keras import layers

from panns_tf.layers.cpu import DepthwiseConv
from panns_tf.models.blocks import LayerFactory, convolve, normalize
from panns_tf.models.features import log_mel
from panns_tf.models.registry import Architecture

#: Output channels and stride of each separable convolution.
V1 = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *5 * ((512, 1),),
    (1024, 2),
    (1024, 1),
)

#: Expansion, output channels, repeats, stride of the first. The strides of 96 and 160 are the
#: reference's, not those of the MobileNetV2 paper.
V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 2),
    (6, 160, 3, 1),
    (6, 320, 1, 1),
)


def shortest_clip(arch: Architecture) -> int:
    """Returns the number of samples below which the backbone would have no frame left."""
    return (2**5 - 1) * arch.frontend.hop_size


def _pool_and_normalize(layer: LayerFactory, name: str, first: int, x, stride: int, most):
    """What follows a 3x3 convolution: stride as an average pool, BN, ReLU up to ``most``."""
    if stride > 1:
        x = layer(layers.AveragePooling2D, f"{name}.{first}", pool_size=stride)(x)
    x = normalize(layer, f"{name}.{first + 1}", x)
    return layer(layers.ReLU, f"{name}.{first + 2}", max_value=most)(x)


def _depthwise(layer: LayerFactory, name: str, first: int, x, stride: int, most):
    x = layer(DepthwiseConv, f"{name}.{first}", kernel_size=3)(x)
    return _pool_and_normalize(layer, name, first + 1, x, stride, most)


def _stem(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda, most):
    x = log_mel(arch, layer, waveform, mixup_lambda)
    x = convolve(layer, "features.0.0", x, 32, 3)
    return _pool_and_normalize(layer, "features.0", 1, x, 2, most)


def mobilenet_v1(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Builds the backbone of MobileNetV1.

    Arguments as for `panns_tf.models.network.Backbone`.

    Returns:
        (items, frames // 32, mel_bins // 32, 1024).

    Source: ``MobileNetV1`` of the reference.
    """
    x = _stem(arch, layer, waveform, mixup_lambda, None)
    for i, (filters, stride) in enumerate(V1, start=1):
        name = f"features.{i}"
        x = _depthwise(layer, name, 0, x, stride, None)
        x = normalize(layer, f"{name}.5", convolve(layer, f"{name}.4", x, filters, 1))
        x = layer(layers.ReLU, f"{name}.6")(x)
    return x


def mobilenet_v2(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Builds the backbone of MobileNetV2.

    Arguments as for `panns_tf.models.network.Backbone`.

    Returns:
        (items, frames // 32, mel_bins // 32, 1280).

    Source: ``MobileNetV2``, ``InvertedResidual`` of the reference.
    """
    most = 6.0
    x = _stem(arch, layer, waveform, mixup_lambda, most)
    number = 0
    for expansion, filters, repeats, first_stride in V2:
        for repeat in range(repeats):
            number += 1
            stride = first_stride if repeat == 0 else 1
            name, at, shortcut = f"features.{number}.conv", 0, x
            if expansion > 1:
                x = convolve(layer, f"{name}.0", x, expansion * x.shape[-1], 1)
                x = layer(layers.ReLU, f"{name}.2", max_value=most)(
                    normalize(layer, f"{name}.1", x)
                )
                at = 3
            x = _depthwise(layer, name, at, x, stride, most)
            x = convolve(layer, f"{name}.{at + 4}", x, filters, 1)
            x = normalize(layer, f"{name}.{at + 5}", x)
            if stride == 1 and shortcut.shape[-1] == filters:
                x = layer(layers.Add, f"features.{number}.add")([shortcut, x])
    name = f"features.{number + 1}"
    x = normalize(layer, f"{name}.1", convolve(layer, f"{name}.0", x, 1280, 1))
    return layer(layers.ReLU, f"{name}.2", max_value=most)(x)
