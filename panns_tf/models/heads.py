"""From feature maps to probabilities."""

from keras import layers, ops

from panns_tf.models.blocks import LayerBook, dropout
from panns_tf.models.registry import Architecture


def clip_head(row: Architecture, layer: LayerBook, x, num_classes: int) -> dict:
    """One prediction for the whole clip.

    Args:
        row: the network.
        layer: the layers.
        x: (batch, frames, mel_bins, channels).
        num_classes: K.

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1], its ``logits`` (batch, K), and ``embedding``
        (batch, embedding_size).
    """
    x = ops.mean(x, axis=2)  # (batch, frames, channels)
    x = ops.max(x, axis=1) + ops.mean(x, axis=1)  # (batch, channels)
    x = dropout(layer, "fc1.dropout", x, row.head_dropout)
    fc1 = layer(layers.Dense, "fc1", units=row.embedding_size, activation="relu")
    x = fc1(x)  # (batch, embedding_size)
    # The classifier reads the values before this dropout, as in the reference.
    embedding = dropout(layer, "embedding.dropout", x, row.head_dropout)
    logits = layer(layers.Dense, "fc_audioset", units=num_classes, dtype="float32")(x)
    probabilities = layer(layers.Activation, "sigmoid", activation="sigmoid", dtype="float32")
    return {"clipwise_output": probabilities(logits), "embedding": embedding, "logits": logits}
