"""MobileNets on the log-mel: depthwise separable convolutions."""

from keras import layers

from panns_tf.layers.cpu import DepthwiseConv
from panns_tf.models.blocks import LayerFactory, convolve, convolve_normalize, normalize
from panns_tf.models.features import log_mel
from panns_tf.models.registry import Architecture

# fmt: off
#: Output channels and stride of each separable convolution.
V1 = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * ((512, 1),), (1024, 2),
    (1024, 1),
)

#: Expansion, output channels, repeats, stride of the first. The strides of 96 and 160 are the
#: reference's, not those of the MobileNetV2 paper.
V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 2), (6, 160, 3, 1),
    (6, 320, 1, 1),
)
# fmt: on


def _pool_normalize_rectify(layer: LayerFactory, name: str, at: int, x, stride: int, most):
    """What follows module ``at``, a 3x3 convolution: its stride as a pool, BN, ReLU to ``most``."""
    if stride > 1:
        x = layer(layers.AveragePooling2D, f"{name}.{at + 1}", pool_size=stride)(x)
    x = normalize(layer, f"{name}.{at + 2}", x, f"{name}.{at}")
    return layer(layers.ReLU, f"{name}.{at + 3}", max_value=most)(x)


def _depthwise(layer: LayerFactory, name: str, at: int, x, stride: int, most):
    x = layer(DepthwiseConv, f"{name}.{at}", kernel_size=3)(x)
    return _pool_normalize_rectify(layer, name, at, x, stride, most)


def _pointwise(layer: LayerFactory, name: str, at: int, x, filters: int):
    return convolve_normalize(layer, f"{name}.{at}", f"{name}.{at + 1}", x, filters, 1)


def _stem(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda, most):
    x = convolve(layer, "features.0.0", log_mel(arch, layer, waveform, mixup_lambda), 32, 3)
    return _pool_normalize_rectify(layer, "features.0", 0, x, 2, most)


def mobilenet_v1(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``MobileNetV1`` of the reference: (items, frames // 32, mel_bins // 32, 1024)."""
    x = _stem(arch, layer, waveform, mixup_lambda, None)
    for i, (filters, stride) in enumerate(V1, start=1):
        name = f"features.{i}"
        x = _pointwise(layer, name, 4, _depthwise(layer, name, 0, x, stride, None), filters)
        x = layer(layers.ReLU, f"{name}.6")(x)
    return x


def mobilenet_v2(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``MobileNetV2`` of the reference: (items, frames // 32, mel_bins // 32, 1280)."""
    most = 6.0
    x = _stem(arch, layer, waveform, mixup_lambda, most)
    blocks = [
        (expansion, filters, first_stride if repeat == 0 else 1)
        for expansion, filters, repeats, first_stride in V2
        for repeat in range(repeats)
    ]
    for number, (expansion, filters, stride) in enumerate(blocks, start=1):
        name, at, shortcut = f"features.{number}.conv", 0, x
        if expansion > 1:
            x = _pointwise(layer, name, 0, x, expansion * x.shape[-1])
            x, at = layer(layers.ReLU, f"{name}.2", max_value=most)(x), 3
        x = _depthwise(layer, name, at, x, stride, most)
        x = _pointwise(layer, name, at + 4, x, filters)
        if stride == 1 and shortcut.shape[-1] == filters:
            x = layer(layers.Add, f"features.{number}.add")([shortcut, x])
    name = f"features.{len(blocks) + 1}"
    x = _pointwise(layer, name, 0, x, 1280)
    return layer(layers.ReLU, f"{name}.2", max_value=most)(x)
