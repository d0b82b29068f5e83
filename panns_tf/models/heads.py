"""From feature maps to probabilities."""

from keras import layers, ops

from panns_tf.layers.shapes import RepeatSegments
from panns_tf.models.blocks import LayerFactory, dropout
from panns_tf.models.registry import Architecture


def embed(arch: Architecture, layer: LayerFactory, x):
    """Pools feature maps and embeds them.

    Args:
        arch: the network.
        layer: the layers.
        x: (batch, frames, bins, channels) or (batch, steps, channels).

    Returns:
        What the classifier reads: (batch, embedding_size); of heads that classify segments or
        patches of a clip (batch, segments, embedding_size).
    """
    x = mean_over_frequency(x)
    if arch.head == "clip":
        return _dense(arch, layer, "fc1", ops.max(x, axis=1) + ops.mean(x, axis=1))
    if arch.head == "patches":
        return _dense(arch, layer, "fc2", _dense(arch, layer, "fc1", x))
    # The average divides by 3 at both ends too: zeros count.
    padded = layer(layers.ZeroPadding1D, "segments.pad", padding=1)(x)
    average = layer(layers.AveragePooling1D, "segments.average", pool_size=3, strides=1)(padded)
    settings = {"pool_size": 3, "strides": 1, "padding": "same"}
    return _dense(
        arch, layer, "fc1", layer(layers.MaxPooling1D, "segments.max", **settings)(x) + average
    )


def mean_over_frequency(x):
    """(batch, frames, bins, channels) to (batch, frames, channels); others as they are."""
    return ops.mean(x, axis=2) if len(x.shape) == 4 else x


def _dense(arch: Architecture, layer: LayerFactory, name: str, x):
    x = dropout(layer, f"{name}.dropout", x, arch.head_dropout)
    return layer(layers.Dense, name, units=arch.embedding_size, activation="relu")(x)


def _hidden(arch: Architecture, layer: LayerFactory, x):
    """What lies between embedding and classifier; nothing in the published networks."""
    for number, units in enumerate(arch.hidden, start=1):
        x = layer(layers.Dense, f"fc_hidden{number}", units=units, activation="relu")(x)
        x = dropout(layer, f"fc_hidden{number}.dropout", x, arch.head_dropout)
    return x


def _probabilities(arch: Architecture, layer: LayerFactory, logits):
    kind = arch.activation
    return layer(layers.Activation, kind, activation=kind, dtype="float32")(logits)


def classify(arch: Architecture, layer: LayerFactory, embedding, num_classes: int) -> dict:
    """Classifies a clip by what `embed` gives.

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1], and where the head has such its ``logits``
        (batch, K).
    """
    if arch.head != "clip":
        return _pool_scores(arch, segment_scores(arch, layer, embedding, num_classes))
    x = _hidden(arch, layer, embedding)
    logits = layer(layers.Dense, "fc_audioset", units=num_classes, dtype="float32")(x)
    return {"clipwise_output": _probabilities(arch, layer, logits), "logits": logits}


def segment_scores(arch: Architecture, layer: LayerFactory, embedding, num_classes: int) -> dict:
    """Classifies every segment or patch of a clip.

    Returns:
        ``segments`` (batch, segments, K) in [0, 1]; ``embedding`` as given; and ``attention``,
        the segments' weights before the softmax, or the ``logits``, both (batch, segments, K).
    """
    # Here, unlike in `clip_head`, the classifier sees this dropout.
    x = dropout(layer, "embedding.dropout", embedding, arch.embedding_dropout)
    x = _hidden(arch, layer, x)
    if arch.head == "attention":  # AttBlock of the reference
        settings = {"filters": num_classes, "kernel_size": 1, "dtype": "float32"}
        attention = layer(layers.Conv1D, "att_block.att", **settings)(x)
        logits = layer(layers.Conv1D, "att_block.cla", **settings)(x)
        more = {"attention": ops.clip(attention, -10.0, 10.0)}
    else:
        logits = layer(layers.Dense, "fc_audioset", units=num_classes, dtype="float32")(x)
        more = {"logits": logits}
    return {"segments": _probabilities(arch, layer, logits), "embedding": embedding, **more}


def _pool_scores(arch: Architecture, scores: dict) -> dict:
    """Pools the scores of segments to those of the clip."""
    segments = scores["segments"]
    if arch.head == "attention":
        weights = ops.softmax(scores["attention"], axis=1)  # over segments, class by class
        # Rounding can carry a weighted mean of ones past 1.
        return {"clipwise_output": ops.minimum(ops.sum(weights * segments, axis=1), 1.0)}
    if arch.head == "max":
        logits = ops.max(scores["logits"], axis=1)
        return {"clipwise_output": ops.max(segments, axis=1), "logits": logits}
    return {"clipwise_output": ops.mean(segments, axis=1)}


def clip_head(arch: Architecture, layer: LayerFactory, x, waveform, num_classes: int) -> dict:
    """One prediction for the whole clip.

    Args:
        arch: the network.
        layer: the layers.
        x: (batch, frames, bins, channels) or (batch, steps, channels).
        waveform: (batch, samples), as the caller gave it.
        num_classes: K.

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1], its ``logits`` (batch, K), and ``embedding``
        (batch, embedding_size).
    """
    return _clip_outputs(arch, layer, embed(arch, layer, x), num_classes)


def _clip_outputs(arch: Architecture, layer: LayerFactory, x, num_classes: int) -> dict:
    # The classifier reads the values before this dropout, as in the reference.
    embedding = dropout(layer, "embedding.dropout", x, arch.embedding_dropout)
    return {**classify(arch, layer, x, num_classes), "embedding": embedding}


def segment_head(arch: Architecture, layer: LayerFactory, x, waveform, num_classes: int) -> dict:
    """One prediction for every segment of 2**n frames, pooled to one for the clip.

    Arguments as for `clip_head`.

    Returns:
        ``clipwise_output`` (batch, K), ``segmentwise_output`` (batch, segments, K),
        ``framewise_output`` (batch, frames, K), each in [0, 1]: every segment repeated for each
        of its frames, the last one for the remainder; ``embedding`` (batch, embedding_size), the
        mean over segments; and where the clip is the maximum of its segments its ``logits``.

    Source: ``Cnn14_DecisionLevelMax``, ``...Avg``, ``...Att`` of the reference.
    """
    scores = segment_scores(arch, layer, embed(arch, layer, x), num_classes)
    size, hop = frames_per_segment(arch), arch.frontend.hop_size
    frames = layer(RepeatSegments, "frames", frames_per_segment=size, hop_size=hop)
    return {
        **_pool_scores(arch, scores),
        "segmentwise_output": scores["segments"],
        "framewise_output": frames([scores["segments"], waveform]),
        "embedding": ops.mean(scores["embedding"], axis=1),
    }


def frames_per_segment(arch: Architecture) -> int:
    """Returns the frames that a decision-level network joins to one segment."""
    return 2 ** (len(arch.widths) - 1)


def patch_head(arch: Architecture, layer: LayerFactory, x, waveform, num_classes: int) -> dict:
    """One prediction for every patch, averaged over the clip.

    Arguments as for `clip_head`, but ``x`` is (batch, patches, features).

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1] and ``embedding`` (batch, embedding_size),
        means over patches.
    """
    scores = segment_scores(arch, layer, embed(arch, layer, x), num_classes)
    return {**_pool_scores(arch, scores), "embedding": ops.mean(scores["embedding"], axis=1)}


#: By the names that architectures use.
HEADS = {
    "clip": clip_head,
    "max": segment_head,
    "average": segment_head,
    "attention": segment_head,
    "patches": patch_head,
}


def step_outputs(arch: Architecture, layer: LayerFactory, x, num_classes: int) -> dict:
    """What a head computes of each step before it pools over the clip.

    Arguments as for `clip_head`.

    Returns:
        For a head with one prediction for the clip ``features`` (batch, steps, channels), for
        which `pooled_outputs` gives the rest. For the others ``segments`` (batch, steps, K),
        ``embedding`` (batch, steps, embedding_size) and ``attention`` where the head has it.
    """
    if arch.head == "clip":
        return {"features": mean_over_frequency(x)}
    scores = segment_scores(arch, layer, embed(arch, layer, x), num_classes)
    scores.pop("logits", None)
    return scores


def pooled_outputs(arch: Architecture, layer: LayerFactory, pooled, num_classes: int) -> dict:
    """Outputs of `clip_head` from the maximum plus the mean of its features over time.

    Args:
        arch, layer, num_classes: as for `clip_head`.
        pooled: (batch, channels).

    Returns:
        ``clipwise_output`` (batch, K) in [0, 1] and ``embedding`` (batch, embedding_size).
    """
    outputs = _clip_outputs(arch, layer, _dense(arch, layer, "fc1", pooled), num_classes)
    outputs.pop("logits")
    return outputs
