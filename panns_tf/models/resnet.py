"""Two-dimensional residual networks on the log-mel."""

from keras import layers

from panns_tf.models.blocks import (
    LayerFactory,
    add_shortcut,
    conv_block,
    convolution,
    convolve_normalize,
    dropout,
)
from panns_tf.models.features import log_mel
from panns_tf.models.registry import Architecture

#: A bottleneck's output has this many times its inner channels.
EXPANSION = 4


def residual_block(arch: Architecture, layer: LayerFactory, name: str, x, width: int, halve: bool):
    """``_ResnetBasicBlock``, ``_ResnetBottleneck``; ``halve`` time and frequency before them."""
    sizes = ((1, width), (3, width), (1, EXPANSION * width))
    sizes = sizes if arch.bottleneck else ((3, width), (3, width))
    if halve:
        # One pool serves both paths: pooling commutes with the shortcut's 1x1 convolution.
        x = layer(layers.AveragePooling2D, f"{name}.downsample.0", pool_size=2)(x)
    shortcut, filters = x, sizes[-1][1]
    if halve or x.shape[-1] != filters:
        at = 1 if halve else 0  # the pool counts as a module of `downsample`
        names = (f"{name}.downsample.{at}", f"{name}.downsample.{at + 1}")
        shortcut = convolve_normalize(layer, *names, x, filters, 1)
    for i, (size, channels) in enumerate(sizes, start=1):
        last = i == len(sizes)
        if last:
            x = dropout(layer, f"{name}.dropout", x, arch.block_dropout)
        x = convolution(layer, name, i, x, channels, size, last)
    return add_shortcut(layer, name, x, shortcut)


def resnet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``ResNet22``, ``ResNet38``, ``ResNet54``; paper, Table III."""
    x = conv_block(
        layer, "conv_block1", log_mel(arch, layer, waveform, mixup_lambda), arch.widths[0]
    )
    x = dropout(layer, "conv_block1.dropout", x, arch.stem_dropout)
    for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), start=1):
        for i in range(depth):
            halve = stage > 1 and i == 0
            x = residual_block(arch, layer, f"resnet.layer{stage}.{i}", x, width, halve)
    x = layer(layers.AveragePooling2D, "resnet.pool", pool_size=2)(x)
    x = dropout(layer, "resnet.dropout", x, arch.stem_dropout)
    x = conv_block(layer, "conv_block_after1", x, EXPANSION * arch.widths[-1], pool=(1, 1))
    return dropout(layer, "conv_block_after1.dropout", x, arch.stem_dropout)
