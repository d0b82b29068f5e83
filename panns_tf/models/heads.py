"""From feature maps to probabilities."""

from keras import layers, ops

from panns_tf.layers.segments import RepeatSegments
from panns_tf.models.blocks import LayerBook, dropout
from panns_tf.models.registry import Architecture


def _without_frequency(x):
    return ops.mean(x, axis=2) if len(x.shape) == 4 else x  # (batch, steps, channels)


def _embedding(row: Architecture, layer: LayerBook, x, name: str = "fc1"):
    x = dropout(layer, f"{name}.dropout", x, row.head_dropout)
    return layer(layers.Dense, name, units=row.embedding_size, activation="relu")(x)


def _hidden(row: Architecture, layer: LayerBook, x):
    """What lies between embedding and classifier; nothing in the published networks."""
    for number, units in enumerate(row.hidden, start=1):
        x = layer(layers.Dense, f"fc_hidden{number}", units=units, activation="relu")(x)
        x = dropout(layer, f"fc_hidden{number}.dropout", x, row.head_dropout)
    return x


def _classify(row: Architecture, layer: LayerBook, x, num_classes: int):
    x = _hidden(row, layer, x)
    logits = layer(layers.Dense, "fc_audioset", units=num_classes, dtype="float32")(x)
    return logits, _probabilities(row, layer, logits)


def _probabilities(row: Architecture, layer: LayerBook, logits):
    kind = row.activation
    return layer(layers.Activation, kind, activation=kind, dtype="float32")(logits)


def embed(row: Architecture, layer: LayerBook, x):
    """Builds what the classifier reads.

    Args:
        row: the network.
        layer: the layers.
        x: (batch, frames, mel_bins, channels) or (batch, steps, channels).

    Returns:
        (batch, embedding_size); of heads that classify parts of a clip (batch, segments,
        embedding_size).
    """
    x = _without_frequency(x)  # (batch, steps, channels)
    if row.head == "clip":
        return _embedding(row, layer, ops.max(x, axis=1) + ops.mean(x, axis=1))
    if row.head == "patches":
        return _embedding(row, layer, _embedding(row, layer, x, "fc1"), "fc2")
    # The average divides by 3 at both ends too: zeros count.
    padded = layer(layers.ZeroPadding1D, "segments.pad", padding=1)(x)
    average = layer(layers.AveragePooling1D, "segments.average", pool_size=3, strides=1)(padded)
    settings = {"pool_size": 3, "strides": 1, "padding": "same"}
    x = layer(layers.MaxPooling1D, "segments.max", **settings)(x) + average
    return _embedding(row, layer, x)  # (batch, segments, embedding_size)


def decide(row: Architecture, layer: LayerBook, embedding, num_classes: int) -> dict:
    """Builds a head's word on clips from what `embed` gives.

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1], and where the head has such its ``logits``
        (batch, K).
    """
    if row.head == "clip":
        logits, probabilities = _classify(row, layer, embedding, num_classes)
        return {"clipwise_output": probabilities, "logits": logits}
    return _joined(row, _scores(row, layer, embedding, num_classes))


def _scores(row: Architecture, layer: LayerBook, embedding, num_classes: int) -> dict:
    """What is said of each part of a clip.

    Returns:
        ``segments`` (batch, segments, K) in [0, 1], ``embedding`` as given, and ``attention``,
        the segments' weights before the softmax, or the ``logits``, both (batch, segments, K).
    """
    # Here, unlike in clip_head, the classifier sees this dropout.
    x = dropout(layer, "embedding.dropout", embedding, row.embedding_dropout)
    if row.head == "attention":
        x = _hidden(row, layer, x)
        settings = {"filters": num_classes, "kernel_size": 1, "dtype": "float32"}
        scores = layer(layers.Conv1D, "att_block.att", **settings)(x)  # AttBlock of the reference
        values = layer(layers.Conv1D, "att_block.cla", **settings)(x)
        segments = _probabilities(row, layer, values)
        attention = ops.clip(scores, -10.0, 10.0)
        return {"segments": segments, "embedding": embedding, "attention": attention}
    logits, segments = _classify(row, layer, x, num_classes)
    return {"segments": segments, "embedding": embedding, "logits": logits}


def _joined(row: Architecture, parts: dict) -> dict:
    """One prediction for the clip from those for its parts."""
    segments = parts["segments"]
    if row.head == "attention":
        weights = ops.softmax(parts["attention"], axis=1)  # over segments, class by class
        # Rounding can carry a weighted mean of ones past 1.
        return {"clipwise_output": ops.minimum(ops.sum(weights * segments, axis=1), 1.0)}
    if row.head == "max":
        logits = ops.max(parts["logits"], axis=1)
        return {"clipwise_output": ops.max(segments, axis=1), "logits": logits}
    return {"clipwise_output": ops.mean(segments, axis=1)}


def clip_head(row: Architecture, layer: LayerBook, x, waveform, num_classes: int) -> dict:
    """One prediction for the whole clip.

    Args:
        row: the network.
        layer: the layers.
        x: (batch, frames, mel_bins, channels) or (batch, steps, channels).
        waveform: (batch, samples), as the caller gave it.
        num_classes: K.

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1], its ``logits`` (batch, K), and ``embedding``
        (batch, embedding_size).
    """
    return _outputs(row, layer, embed(row, layer, x), num_classes)


def _outputs(row: Architecture, layer: LayerBook, x, num_classes: int) -> dict:
    """All outputs of a clip from what its classifier reads, (batch, embedding_size)."""
    # The classifier reads the values before this dropout, as in the reference.
    embedding = dropout(layer, "embedding.dropout", x, row.embedding_dropout)
    return {**decide(row, layer, x, num_classes), "embedding": embedding}


def decision_head(row: Architecture, layer: LayerBook, x, waveform, num_classes: int) -> dict:
    """One prediction for every segment of 2**n frames, joined to one for the clip.

    Arguments as for `clip_head`.

    Returns:
        ``clipwise_output`` (batch, K), ``segmentwise_output`` (batch, segments, K),
        ``framewise_output`` (batch, frames, K), each in [0, 1]: every segment repeated for each
        of its frames, the last one for what is left; ``embedding`` (batch, embedding_size), the
        mean over segments; and where the clip is the maximum of its segments its ``logits``.

    Source: ``Cnn14_DecisionLevelMax``, ``...Avg``, ``...Att`` of the reference.
    """
    parts = _scores(row, layer, embed(row, layer, x), num_classes)
    frames = layer(
        RepeatSegments,
        "frames",
        frames_per_segment=frames_per_segment(row),
        hop_size=row.frontend.hop_size,
    )
    return {
        **_joined(row, parts),
        "segmentwise_output": parts["segments"],
        "framewise_output": frames([parts["segments"], waveform]),
        "embedding": ops.mean(parts["embedding"], axis=1),
    }


def frames_per_segment(row: Architecture) -> int:
    """Returns the frames that a decision-level network joins to one segment."""
    return 2 ** (len(row.widths) - 1)


def patch_head(row: Architecture, layer: LayerBook, x, waveform, num_classes: int) -> dict:
    """One prediction for every patch, averaged over the clip.

    Args:
        row: the network.
        layer: the layers.
        x: (batch, patches, features).
        waveform: (batch, samples), as the caller gave it.
        num_classes: K.

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1] and ``embedding`` (batch, embedding_size),
        means over patches.
    """
    parts = _scores(row, layer, embed(row, layer, x), num_classes)
    return {**_joined(row, parts), "embedding": ops.mean(parts["embedding"], axis=1)}


def local_outputs(row: Architecture, layer: LayerBook, x, num_classes: int) -> dict:
    """What a head knows of each moment before it looks at the clip as a whole.

    Args:
        row, layer, x, num_classes: as for `clip_head`.

    Returns:
        For a head with one prediction for the clip ``features`` (batch, steps, channels), for
        which `clip_of_features` gives the rest. For the others ``segments`` (batch, steps, K),
        ``embedding`` (batch, steps, embedding_size) and ``attention`` where the head has it.
    """
    if row.head == "clip":
        return {"features": _without_frequency(x)}
    parts = _scores(row, layer, embed(row, layer, x), num_classes)
    parts.pop("logits", None)
    return parts


def clip_of_features(row: Architecture, layer: LayerBook, pooled, num_classes: int) -> dict:
    """Outputs of `clip_head` from the maximum plus the mean of its features over time.

    Args:
        row, layer, num_classes: as for `clip_head`.
        pooled: (batch, channels).

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1] and ``embedding`` (batch, embedding_size).
    """
    outputs = _outputs(row, layer, _embedding(row, layer, pooled), num_classes)
    outputs.pop("logits")
    return outputs
