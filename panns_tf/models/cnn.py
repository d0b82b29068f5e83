"""The CNN family: log-mel, wavegram or both, a stack of convolution blocks, a head."""

from panns_tf.layers import ConcatenateInTime, PadToMinimum
from panns_tf.models.blocks import LayerBook, conv_block, dropout
from panns_tf.models.features import WAVEGRAM_HOP, log_mel, mixed, wavegram
from panns_tf.models.heads import clip_head
from panns_tf.models.registry import Architecture


def shortest_clip(row: Architecture) -> int:
    """Returns the number of samples below which the body would have no frame left."""
    halvings = len(row.widths) - 1  # the last block does not pool
    lengths = []
    if "log_mel" in row.inputs:
        lengths.append((2**halvings - 1) * row.frontend.hop_size)
    if "wavegram" in row.inputs:
        # The first, strided convolution rounds up, all later poolings down.
        lengths.append(WAVEGRAM_HOP * 2 ** (halvings - 1) - 4)
    return max(lengths)


def cnn(row: Architecture, layer: LayerBook, waveform, mixup_lambda, num_classes: int) -> dict:
    """Builds the graph of a CNN.

    Args:
        row: the network.
        layer: the layers, existing ones shared.
        waveform: symbolic (batch, samples) in [-1, 1].
        mixup_lambda: symbolic (batch,), or None for no mixup.
        num_classes: K.

    Returns:
        The head's outputs by name, for ``batch / 2`` items under mixup.

    Source: ``Cnn14`` and its kin, ``Wavegram_Logmel_Cnn14``; paper, Table II.
    """
    if row.mixup == "waveform":
        waveform = mixed(layer, "mixup.waveform", waveform, mixup_lambda)
        mixup_lambda = None
    waveform = layer(PadToMinimum, "pad", minimum=shortest_clip(row))(waveform)
    maps = []  # each (items, frames // 2, mel_bins // 2, 64)
    if "log_mel" in row.inputs:
        x = log_mel(row, layer, waveform, mixup_lambda)
        maps.append(conv_block(layer, "conv_block1", x, row.widths[0]))
    if "wavegram" in row.inputs:
        maps.append(wavegram(row, layer, waveform, mixup_lambda))
    x = layer(ConcatenateInTime, "concatenate")(maps) if len(maps) > 1 else maps[0]
    x = dropout(layer, "conv_block1.dropout", x, row.block_dropout)
    for i, filters in enumerate(row.widths[1:], start=2):
        last = i == len(row.widths)
        x = conv_block(layer, f"conv_block{i}", x, filters, pool=(1, 1) if last else (2, 2))
        x = dropout(layer, f"conv_block{i}.dropout", x, row.block_dropout)
    return clip_head(row, layer, x, num_classes)
