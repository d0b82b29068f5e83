"""One-dimensional networks that see the waveform itself: LeeNet, DaiNet, Res1dNet."""

from keras import layers, ops

from panns_tf.models.blocks import (
    LayerFactory,
    convolve,
    dropout,
    first_convolution,
    normalize,
    rectify,
)
from panns_tf.models.registry import Architecture


def leenet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Builds the backbone of a LeeNet: blocks of one or two convolutions, max pooling by 3.

    Arguments as for `panns_tf.models.network.Backbone`.

    Returns:
        (batch, steps, widths[-1]).

    Source: ``LeeNet11``, ``LeeNet24`` of the reference; Lee et al. 2017.
    """
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    for block, filters in enumerate(arch.widths, start=1):
        name = f"conv_block{block}"
        last = block == len(arch.widths)
        for i, size in enumerate(arch.kernels, start=1):
            settings = {}
            if (block, i) == (1, 1):  # strided, and not padded as "same" would
                exact = {"dtype": "float32"}  # sound does not fit into half precision
                x = layer(layers.ZeroPadding1D, f"{name}.pad", padding=1, **exact)(x)
                settings = {"strides": 3, "padding": "valid", **exact}
            x = convolve(layer, f"{name}.conv{i}", x, filters, size, **settings)
            x = rectify(layer, f"{name}.relu{i}", normalize(layer, f"{name}.bn{i}", x))
        if block > 1 and (not last or arch.pool_last):
            # Windows begin one step before the first. After ReLU a padded 0 is never the
            # only maximum.
            x = layer(layers.ZeroPadding1D, f"{name}.pool_pad", padding=1)(x)
            x = layer(layers.MaxPooling1D, f"{name}.pool", pool_size=3)(x)
        if not last:
            x = dropout(layer, f"{name}.dropout", x, arch.block_dropout)
    return x


def dainet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Builds the backbone of DaiNet: residual blocks of four convolutions, max pooling by 4.

    Arguments and result as for `leenet`.

    Source: ``DaiNet19`` of the reference; Dai et al. 2017.
    """
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = first_convolution(layer, "", x, arch.widths[0], size=80, stride=4, pad=0)  # no ReLU follows
    for block, filters in enumerate(arch.widths, start=1):
        name = f"conv_block{block}"
        if block > 1:
            x = layer(layers.MaxPooling1D, f"{name}.pool", pool_size=4)(x)
        shortcut = x
        if x.shape[-1] != filters:
            shortcut = convolve(layer, f"{name}.downsample", x, filters, 1)
            shortcut = normalize(layer, f"{name}.bn_downsample", shortcut)
        for i in (1, 2, 3, 4):
            x = convolve(layer, f"{name}.conv{i}", x, filters, 3)
            x = normalize(layer, f"{name}.bn{i}", x, last_of_branch=i == 4)
            if i < 4:
                x = rectify(layer, f"{name}.relu{i}", x)
        x = rectify(layer, f"{name}.relu", layer(layers.Add, f"{name}.add")([x, shortcut]))
    return x


def res1dnet(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Builds the backbone of a Res1dNet: seven residual stages, all but the first strided by 4.

    Arguments and result as for `leenet`.

    Source: ``Res1dNet31``, ``Res1dNet51`` of the reference.
    """
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = first_convolution(layer, "", x, arch.widths[0], size=11, stride=5, pad=5)  # no ReLU follows
    for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), start=1):
        for i in range(depth):
            name = f"resnet.layer{stage}.{i}"
            stride = 4 if stage > 1 and i == 0 else 1
            x = _res1d_block(layer, name, x, width, stride, arch.block_dropout)
    return x


def _res1d_block(layer: LayerFactory, name: str, x, width: int, stride: int, rate: float):
    """``_ResnetBasicBlockWav1d``: the branch is max pooled, its shortcut average pooled."""
    shortcut = x
    if stride > 1:
        pool = {"pool_size": stride}
        shortcut = layer(layers.AveragePooling1D, f"{name}.downsample.0", **pool)(x)
        shortcut = convolve(layer, f"{name}.downsample.1", shortcut, width, 1)
        shortcut = normalize(layer, f"{name}.downsample.2", shortcut)
        x = layer(layers.MaxPooling1D, f"{name}.pool", **pool)(x)
    x = convolve(layer, f"{name}.conv1", x, width, 3)
    x = rectify(layer, f"{name}.relu1", normalize(layer, f"{name}.bn1", x))
    x = dropout(layer, f"{name}.dropout", x, rate)
    x = convolve(layer, f"{name}.conv2", x, width, 3, dilation_rate=2)
    x = normalize(layer, f"{name}.bn2", x, last_of_branch=True)
    return rectify(layer, f"{name}.relu", layer(layers.Add, f"{name}.add")([x, shortcut]))


def shortest_for_leenet(arch: Architecture) -> int:
    """Returns 1: every convolution and pool is padded."""
    return 1


def shortest_for_dainet(arch: Architecture) -> int:
    """Returns the samples that leave one step after all pools by 4."""
    return 80 + 4 * (4 ** (len(arch.widths) - 1) - 1)


def shortest_for_res1dnet(arch: Architecture) -> int:
    """Returns the samples that leave one step after a stride of 5 and all pools by 4."""
    return 5 * (4 ** (len(arch.widths) - 1) - 1) + 1
