"""Backbones on the log-mel or the wavegram: CNNs, VGGish, ResNets and MobileNets."""

from keras import layers

from panns_tf.layers.cpu import DepthwiseConv
from panns_tf.layers.shapes import ConcatenateInTime, CutPatches, PatchesOfClips
from panns_tf.models.blocks import (
    LayerFactory,
    add_shortcut,
    batch_norm,
    conv,
    conv_block,
    conv_bn,
    conv_bn_relu,
    dropout,
)
from panns_tf.models.features import log_mel, wavegram
from panns_tf.models.registry import Architecture

#: Frames of a VGGish patch: 0.96 s at a hop of 10 ms.
PATCH_FRAMES = 96

#: A bottleneck's output has this many times its inner channels.
EXPANSION = 4

# fmt: off
#: Output channels and stride of each separable convolution of MobileNetV1.
MOBILENET_V1 = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * ((512, 1),), (1024, 2),
    (1024, 1),
)

#: Expansion, output channels, repeats and first stride of each stage of MobileNetV2. The strides
#: at 96 and 160 channels are the reference's, not those of the MobileNetV2 paper.
MOBILENET_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 2), (6, 160, 3, 1),
    (6, 320, 1, 1),
)
# fmt: on


def cnn(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``Cnn6`` to ``Cnn14``, ``Wavegram_Logmel_Cnn14``; paper, Tables I and II."""
    maps = []  # each (items, frames // 2, mel_bins // 2, 64)
    if "log_mel" in arch.inputs:
        x = log_mel(arch, layer, waveform, mixup_lambda)
        maps.append(conv_block(layer, "conv_block1", x, arch.widths[0], kernels=arch.kernels))
    if "wavegram" in arch.inputs:
        maps.append(wavegram(arch, layer, waveform, mixup_lambda))
    x = layer(ConcatenateInTime, "concatenate")(maps) if len(maps) > 1 else maps[0]
    x = dropout(layer, "conv_block1.dropout", x, arch.block_dropout)
    for i, filters in enumerate(arch.widths[1:], start=2):
        pool = (2, 2) if i < len(arch.widths) or arch.pool_last else (1, 1)
        x = conv_block(layer, f"conv_block{i}", x, filters, pool, arch.kernels)
        x = dropout(layer, f"conv_block{i}.dropout", x, arch.block_dropout)
    return x


def vggish(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """VGGish on each patch by itself: (items, patches, features); Hershey et al. 2017, Table I."""
    clips = log_mel(arch, layer, waveform, mixup_lambda)  # (items, frames, mel_bins, 1)
    x = layer(CutPatches, "patches", frames=PATCH_FRAMES)(clips)
    # (items * patches, 96, mel_bins, 1)
    for block, (filters, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), start=1):
        for i in range(1, depth + 1):
            name = f"conv_block{block}.conv{i}"
            settings = {"kernel_size": 3, "padding": "same", "activation": "relu"}
            x = layer(layers.Conv2D, name, filters=filters, **settings)(x)
        x = layer(layers.MaxPooling2D, f"conv_block{block}.pool", pool_size=2)(x)
        x = dropout(layer, f"conv_block{block}.dropout", x, arch.block_dropout)
    x = layer(layers.Flatten, "flatten")(x)  # (items * patches, features)
    return layer(PatchesOfClips, "patches_of_clips")([x, clips])


def residual_block(arch: Architecture, layer: LayerFactory, name: str, x, width: int, halve: bool):
    """``_ResnetBasicBlock``, ``_ResnetBottleneck``; ``halve`` pools time and frequency first."""
    sizes = ((1, width), (3, width), (1, EXPANSION * width))
    sizes = sizes if arch.bottleneck else ((3, width), (3, width))
    if halve:
        # One pool serves both paths: pooling commutes with the shortcut's 1x1 convolution.
        x = layer(layers.AveragePooling2D, f"{name}.downsample.0", pool_size=2)(x)
    shortcut, filters = x, sizes[-1][1]
    if halve or x.shape[-1] != filters:
        index = 1 if halve else 0  # the pool counts as a module of `downsample`
        names = (f"{name}.downsample.{index}", f"{name}.downsample.{index + 1}")
        shortcut = conv_bn(layer, *names, x, filters, 1)
    for i, (size, channels) in enumerate(sizes, start=1):
        last = i == len(sizes)
        if last:
            x = dropout(layer, f"{name}.dropout", x, arch.block_dropout)
        x = conv_bn_relu(layer, name, i, x, channels, size, last)
    return add_shortcut(layer, name, x, shortcut)


def resnet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``ResNet22``, ``ResNet38``, ``ResNet54``; paper, Table III."""
    x = log_mel(arch, layer, waveform, mixup_lambda)
    x = conv_block(layer, "conv_block1", x, arch.widths[0])
    x = dropout(layer, "conv_block1.dropout", x, arch.stem_dropout)
    for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), start=1):
        for i in range(depth):
            halve = stage > 1 and i == 0
            x = residual_block(arch, layer, f"resnet.layer{stage}.{i}", x, width, halve)
    x = layer(layers.AveragePooling2D, "resnet.pool", pool_size=2)(x)
    x = dropout(layer, "resnet.dropout", x, arch.stem_dropout)
    x = conv_block(layer, "conv_block_after1", x, EXPANSION * arch.widths[-1], pool=(1, 1))
    return dropout(layer, "conv_block_after1.dropout", x, arch.stem_dropout)


def _pool_bn_relu(layer: LayerFactory, name: str, index: int, x, stride: int, relu_max):
    """The modules after module ``index``, a 3x3 convolution, whose stride is an average pool."""
    if stride > 1:
        x = layer(layers.AveragePooling2D, f"{name}.{index + 1}", pool_size=stride)(x)
    x = batch_norm(layer, f"{name}.{index + 2}", x, f"{name}.{index}")
    return layer(layers.ReLU, f"{name}.{index + 3}", max_value=relu_max)(x)


def _depthwise(layer: LayerFactory, name: str, index: int, x, stride: int, relu_max):
    x = layer(DepthwiseConv, f"{name}.{index}", kernel_size=3)(x)
    return _pool_bn_relu(layer, name, index, x, stride, relu_max)


def _pointwise(layer: LayerFactory, name: str, index: int, x, filters: int):
    return conv_bn(layer, f"{name}.{index}", f"{name}.{index + 1}", x, filters, 1)


def _stem(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda, relu_max):
    x = conv(layer, "features.0.0", log_mel(arch, layer, waveform, mixup_lambda), 32, 3)
    return _pool_bn_relu(layer, "features.0", 0, x, 2, relu_max)


def mobilenet_v1(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``MobileNetV1`` of the reference: (items, frames // 32, mel_bins // 32, 1024)."""
    x = _stem(arch, layer, waveform, mixup_lambda, None)
    for i, (filters, stride) in enumerate(MOBILENET_V1, start=1):
        name = f"features.{i}"
        x = _pointwise(layer, name, 4, _depthwise(layer, name, 0, x, stride, None), filters)
        x = layer(layers.ReLU, f"{name}.6")(x)
    return x


def mobilenet_v2(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``MobileNetV2`` of the reference: (items, frames // 32, mel_bins // 32, 1280)."""
    relu_max = 6.0
    x = _stem(arch, layer, waveform, mixup_lambda, relu_max)
    blocks = [
        (expansion, filters, first_stride if repeat == 0 else 1)
        for expansion, filters, repeats, first_stride in MOBILENET_V2
        for repeat in range(repeats)
    ]
    for number, (expansion, filters, stride) in enumerate(blocks, start=1):
        name, index, shortcut = f"features.{number}.conv", 0, x
        if expansion > 1:
            x = _pointwise(layer, name, 0, x, expansion * x.shape[-1])
            x, index = layer(layers.ReLU, f"{name}.2", max_value=relu_max)(x), 3
        x = _depthwise(layer, name, index, x, stride, relu_max)
        x = _pointwise(layer, name, index + 4, x, filters)
        if stride == 1 and shortcut.shape[-1] == filters:
            x = layer(layers.Add, f"features.{number}.add")([shortcut, x])
    name = f"features.{len(blocks) + 1}"
    x = _pointwise(layer, name, 0, x, 1280)
    return layer(layers.ReLU, f"{name}.2", max_value=relu_max)(x)
