"""The CNN family: log-mel, wavegram or both, and a stack of convolution blocks; VGGish."""

from keras import layers

from panns_tf.layers.shapes import ConcatenateInTime, CutPatches, PatchesOfClips
from panns_tf.models.blocks import LayerFactory, conv_block, dropout
from panns_tf.models.features import log_mel, wavegram
from panns_tf.models.registry import Architecture

#: Frames of a VGGish patch: 0.96 s at a hop of 10 ms.
PATCH_FRAMES = 96


def cnn(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """``Cnn14`` and its kin, ``Wavegram_Logmel_Cnn14``; paper, Tables I and II."""
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
    """VGGish on each patch by itself: (items, patches, features).

    Source: Hershey et al. 2017, with the log-mel and bn0 of the other networks; paper, Table I.
    """
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
