"""Two-dimensional residual networks on the log-mel."""

from keras import layers

from panns_tf.models.blocks import (
    LayerFactory,
    conv_block,
    convolve,
    dropout,
    normalize,
    rectify,
)
from panns_tf.models.features import log_mel
from panns_tf.models.registry import Architecture

#: A bottleneck's output has this many times its inner channels.
EXPANSION = 4


def shortest_clip(arch: Architecture) -> int:
    """Returns the number of samples below which the backbone would have no frame left."""
    # conv_block1, three of the four stages and the pool after them halve.
    return (2 ** (len(arch.depths) + 1) - 1) * arch.frontend.hop_size


def residual_block(
    layer: LayerFactory, name: str, x, width: int, halve: bool, bottleneck: bool, rate: float
):
    """Two convolutions, or three in a bottleneck, and a shortcut around them.

    Args:
        layer: the layers.
        name: of the block in the reference.
        x: (batch, frames, bins, channels).
        width: inner channels.
        halve: whether time and frequency are halved, by an average pool at the start of both
            the branch and the shortcut.
        bottleneck: whether the outer convolutions are 1x1.
        rate: of the dropout before the last convolution.

    Returns:
        (batch, frames, bins, width), or 4 * width channels from a bottleneck, and time and
        frequency halved if ``halve``.

    Source: ``_ResnetBasicBlock``, ``_ResnetBottleneck`` of the reference.
    """
    kernels = (1, 3, 1) if bottleneck else (3, 3)
    filters = (width, width, EXPANSION * width) if bottleneck else (width, width)
    if halve:
        # One pool serves both paths: pooling commutes with the shortcut's 1x1 convolution.
        x = layer(layers.AveragePooling2D, f"{name}.downsample.0", pool_size=2)(x)
    shortcut = x
    if halve or x.shape[-1] != filters[-1]:
        at = 1 if halve else 0  # the pool counts as a module of `downsample`
        shortcut = convolve(layer, f"{name}.downsample.{at}", x, filters[-1], 1)
        shortcut = normalize(layer, f"{name}.downsample.{at + 1}", shortcut)
    for i, (size, channels) in enumerate(zip(kernels, filters, strict=True), start=1):
        last = i == len(kernels)
        if last:
            x = dropout(layer, f"{name}.dropout", x, rate)
        x = convolve(layer, f"{name}.conv{i}", x, channels, size)
        x = normalize(layer, f"{name}.bn{i}", x, last_of_branch=last)
        if not last:
            x = rectify(layer, f"{name}.relu{i}", x)
    return rectify(layer, f"{name}.relu", layer(layers.Add, f"{name}.add")([x, shortcut]))


def resnet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Builds the backbone of a ResNet: a convolution block, four residual stages, another block.

    Arguments as for `panns_tf.models.network.Backbone`.

    Returns:
        (items, frames // 32, mel_bins // 32, 2048).

    Source: ``ResNet22``, ``ResNet38``, ``ResNet54``; paper, Table III.
    """
    x = log_mel(arch, layer, waveform, mixup_lambda)
    x = conv_block(layer, "conv_block1", x, arch.widths[0])
    x = dropout(layer, "conv_block1.dropout", x, arch.stem_dropout)
    for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), start=1):
        for i in range(depth):
            name = f"resnet.layer{stage}.{i}"
            halve = stage > 1 and i == 0
            x = residual_block(layer, name, x, width, halve, arch.bottleneck, arch.block_dropout)
    x = layer(layers.AveragePooling2D, "resnet.pool", pool_size=2)(x)
    x = dropout(layer, "resnet.dropout", x, arch.stem_dropout)
    x = conv_block(layer, "conv_block_after1", x, EXPANSION * arch.widths[-1], pool=(1, 1))
    return dropout(layer, "conv_block_after1.dropout", x, arch.stem_dropout)
