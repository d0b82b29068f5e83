"""The CNN family: log-mel, wavegram or both, and a stack of convolution blocks."""

from panns_tf.layers.timing import ConcatenateInTime
from panns_tf.models.blocks import LayerBook, conv_block, dropout
from panns_tf.models.features import WAVEGRAM_HOP, log_mel, wavegram
from panns_tf.models.registry import Architecture


def halvings(row: Architecture) -> int:
    """Returns how often the body halves time and frequency."""
    return len(row.widths) - (not row.pool_last)


def shortest_clip(row: Architecture) -> int:
    """Returns the number of samples below which the body would have no frame left."""
    lengths = []
    if "log_mel" in row.inputs:
        lengths.append((2 ** halvings(row) - 1) * row.frontend.hop_size)
    if "wavegram" in row.inputs:
        # The first, strided convolution rounds up, all later poolings down.
        lengths.append(WAVEGRAM_HOP * 2 ** (halvings(row) - 1) - 4)
    return max(lengths)


def cnn(row: Architecture, layer: LayerBook, waveform, mixup_lambda):
    """Builds the body of a CNN.

    Arguments as for `panns_tf.models.graph.Body`.

    Returns:
        (items, frames // 2**n, mel_bins // 2**n, widths[-1]), n the number of `halvings`.

    Source: ``Cnn14`` and its kin, ``Wavegram_Logmel_Cnn14``; paper, Tables I and II.
    """
    maps = []  # each (items, frames // 2, mel_bins // 2, 64)
    if "log_mel" in row.inputs:
        x = log_mel(row, layer, waveform, mixup_lambda)
        maps.append(conv_block(layer, "conv_block1", x, row.widths[0], kernels=row.kernels))
    if "wavegram" in row.inputs:
        maps.append(wavegram(row, layer, waveform, mixup_lambda))
    x = layer(ConcatenateInTime, "concatenate")(maps) if len(maps) > 1 else maps[0]
    x = dropout(layer, "conv_block1.dropout", x, row.block_dropout)
    for i, filters in enumerate(row.widths[1:], start=2):
        pool = (2, 2) if i < len(row.widths) or row.pool_last else (1, 1)
        x = conv_block(layer, f"conv_block{i}", x, filters, pool, row.kernels)
        x = dropout(layer, f"conv_block{i}.dropout", x, row.block_dropout)
    return x
