"""VGGish: a VGG on patches of log-mel, the first column of the paper's Table I."""

from keras import layers

from panns_tf.layers.segments import CutPatches, PatchesOfClips
from panns_tf.models.blocks import LayerBook, dropout
from panns_tf.models.features import log_mel
from panns_tf.models.registry import Architecture

#: 0.96 s at a hop of 10 ms.
PATCH_FRAMES = 96


def shortest_clip(row: Architecture) -> int:
    """Returns the number of samples below which there would be no whole patch."""
    return (PATCH_FRAMES - 1) * row.frontend.hop_size


def vggish(row: Architecture, layer: LayerBook, waveform, mixup_lambda):
    """Builds the body of VGGish: plain convolutions and max pooling, on each patch by itself.

    Arguments as for `panns_tf.models.graph.Body`.

    Returns:
        (items, patches, features). Patches follow each other without overlap; a rest shorter
        than a patch at the clip's end is dropped.

    Source: Hershey et al. 2017, with the log-mel and bn0 of the other networks; paper, Table I.
    """
    clips = log_mel(row, layer, waveform, mixup_lambda)  # (items, frames, mel_bins, 1)
    x = layer(CutPatches, "patches", frames=PATCH_FRAMES)(clips)
    # (items * patches, 96, mel_bins, 1)
    for block, (filters, depth) in enumerate(zip(row.widths, row.depths, strict=True), start=1):
        for i in range(1, depth + 1):
            name = f"conv_block{block}.conv{i}"
            settings = {"kernel_size": 3, "padding": "same", "activation": "relu"}
            x = layer(layers.Conv2D, name, filters=filters, **settings)(x)
        x = layer(layers.MaxPooling2D, f"conv_block{block}.pool", pool_size=2)(x)
        x = dropout(layer, f"conv_block{block}.dropout", x, row.block_dropout)
    x = layer(layers.Flatten, "flatten")(x)  # (items * patches, features)
    return layer(PatchesOfClips, "patches_of_clips")([x, clips])
