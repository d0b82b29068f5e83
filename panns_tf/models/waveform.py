"""Backbones on the waveform: LeeNets, DaiNet and Res1dNets, to (batch, steps, channels)."""

from keras import layers, ops

from panns_tf.models.blocks import (
    FLOAT32,
    LayerFactory,
    add_shortcut,
    conv_bn,
    conv_bn_relu,
    dropout,
    first_conv_bn,
)
from panns_tf.models.registry import Architecture


def leenet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``LeeNet11``, ``LeeNet24`` of the reference; Lee et al. 2017."""
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    for block, filters in enumerate(arch.widths, start=1):
        name = f"conv_block{block}"
        last = block == len(arch.widths)
        for i, size in enumerate(arch.kernels, start=1):
            settings = {}
            if (block, i) == (1, 1):  # strided, and not padded as "same" would
                x = layer(layers.ZeroPadding1D, f"{name}.pad", padding=1, **FLOAT32)(x)
                settings = {"strides": 3, "padding": "valid", **FLOAT32}
            x = conv_bn_relu(layer, name, i, x, filters, size, **settings)
        if block > 1 and (not last or arch.pool_last):
            # The first pooling window begins one step earlier. After a ReLU, zeros that were
            # added do not change a maximum.
            x = layer(layers.ZeroPadding1D, f"{name}.pool_pad", padding=1)(x)
            x = layer(layers.MaxPooling1D, f"{name}.pool", pool_size=3)(x)
        if not last:
            x = dropout(layer, f"{name}.dropout", x, arch.block_dropout)
    return x


def dainet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``DaiNet19`` of the reference; Dai et al. 2017."""
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = first_conv_bn(layer, "", x, arch.widths[0], size=80, stride=4, pad=0)
    for block, filters in enumerate(arch.widths, start=1):
        name = f"conv_block{block}"
        if block > 1:
            x = layer(layers.MaxPooling1D, f"{name}.pool", pool_size=4)(x)
        shortcut = x
        if x.shape[-1] != filters:
            names = (f"{name}.downsample", f"{name}.bn_downsample")
            shortcut = conv_bn(layer, *names, x, filters, 1)
        for i in (1, 2, 3, 4):
            x = conv_bn_relu(layer, name, i, x, filters, 3, last=i == 4)
        x = add_shortcut(layer, name, x, shortcut)
    return x


def res1dnet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``Res1dNet31``, ``Res1dNet51`` of the reference; all stages but the first stride by 4."""
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = first_conv_bn(layer, "", x, arch.widths[0], size=11, stride=5, pad=5)
    for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), start=1):
        for i in range(depth):
            name, strided = f"resnet.layer{stage}.{i}", stage > 1 and i == 0
            x = _res1d_block(layer, name, x, width, strided, arch.block_dropout)
    return x


def _res1d_block(layer: LayerFactory, name: str, x, width: int, strided: bool, rate: float):
    """``_ResnetBasicBlockWav1d``, whose branch is max pooled and whose shortcut average pooled."""
    shortcut = x
    if strided:
        shortcut = layer(layers.AveragePooling1D, f"{name}.downsample.0", pool_size=4)(x)
        names = (f"{name}.downsample.1", f"{name}.downsample.2")
        shortcut = conv_bn(layer, *names, shortcut, width, 1)
        x = layer(layers.MaxPooling1D, f"{name}.pool", pool_size=4)(x)
    x = conv_bn_relu(layer, name, 1, x, width, 3)
    x = dropout(layer, f"{name}.dropout", x, rate)
    x = conv_bn_relu(layer, name, 2, x, width, 3, last=True, dilation_rate=2)
    return add_shortcut(layer, name, x, shortcut)
