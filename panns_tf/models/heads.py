"""Heads: feature maps to probabilities and embeddings, of clips and of their segments."""

from keras import layers, ops

from panns_tf.layers.shapes import RepeatSegments
from panns_tf.models.blocks import LayerFactory, dropout
from panns_tf.models.registry import Architecture


def mean_over_frequency(x):
    """(batch, frames, bins, channels) to (batch, frames, channels); others as they are."""
    return ops.mean(x, axis=2) if len(x.shape) == 4 else x


def _embed(arch: Architecture, layer: LayerFactory, name: str, x):
    x = dropout(layer, f"{name}.dropout", x, arch.head_dropout)
    return layer(layers.Dense, name, units=arch.embedding_size, activation="relu")(x)


def _hidden(arch: Architecture, layer: LayerFactory, x):
    """Layers between embedding and classifier, of which the published networks have none."""
    for number, units in enumerate(arch.hidden, start=1):
        x = layer(layers.Dense, f"fc_hidden{number}", units=units, activation="relu")(x)
        x = dropout(layer, f"fc_hidden{number}.dropout", x, arch.head_dropout)
    return x


def _classify(layer: LayerFactory, x, num_classes: int):
    return layer(layers.Dense, "fc_audioset", units=num_classes, dtype="float32")(x)


def _probabilities(arch: Architecture, layer: LayerFactory, logits):
    kind = arch.activation
    return layer(layers.Activation, kind, activation=kind, dtype="float32")(logits)


def clip_head(arch: Architecture, layer: LayerFactory, x, num_classes: int) -> dict:
    """One prediction per clip, from (batch, frames, bins, channels) or (batch, frames, channels).

    Returns ``clipwise_output`` and its ``logits``, (batch, K), and ``embedding`` (batch, width).
    """
    x = mean_over_frequency(x)
    return clip_outputs(arch, layer, ops.max(x, axis=1) + ops.mean(x, axis=1), num_classes)


def clip_outputs(arch: Architecture, layer: LayerFactory, pooled, num_classes: int) -> dict:
    """The outputs of `clip_head` from features pooled over time, (batch, channels)."""
    x = _embed(arch, layer, "fc1", pooled)
    # The classifier has the input without this dropout, as in the reference.
    embedding = dropout(layer, "embedding.dropout", x, arch.embedding_dropout)
    logits = _classify(layer, _hidden(arch, layer, x), num_classes)
    outputs = {"clipwise_output": _probabilities(arch, layer, logits), "logits": logits}
    return {**outputs, "embedding": embedding}


def step_scores(arch: Architecture, layer: LayerFactory, x, num_classes: int) -> dict:
    """Predictions and embeddings of every step, a segment or a patch, for `step_head`.

    ``segments`` (batch, steps, K) in [0, 1]; ``embedding`` (batch, steps, embedding_size); and
    ``attention``, the steps' weights before the softmax, or the ``logits``, both (batch, steps, K).
    """
    x = mean_over_frequency(x)
    if arch.head == "patches":
        embedding = _embed(arch, layer, "fc2", _embed(arch, layer, "fc1", x))
    else:
        # The average divides by 3 at both ends, too, where the added zeros count.
        padded = layer(layers.ZeroPadding1D, "segments.pad", padding=1)(x)
        window = {"pool_size": 3, "strides": 1}
        average = layer(layers.AveragePooling1D, "segments.average", **window)(padded)
        maximum = layer(layers.MaxPooling1D, "segments.max", padding="same", **window)(x)
        embedding = _embed(arch, layer, "fc1", maximum + average)
    # Unlike in `clip_outputs`, the classifier's input has this dropout.
    x = dropout(layer, "embedding.dropout", embedding, arch.embedding_dropout)
    x = _hidden(arch, layer, x)
    if arch.head == "attention":  # AttBlock of the reference
        settings = {"filters": num_classes, "kernel_size": 1, "dtype": "float32"}
        attention = layer(layers.Conv1D, "att_block.att", **settings)(x)
        logits = layer(layers.Conv1D, "att_block.cla", **settings)(x)
        outputs = {"attention": ops.clip(attention, -10.0, 10.0)}
    else:
        logits = _classify(layer, x, num_classes)
        outputs = {"logits": logits}
    return {"segments": _probabilities(arch, layer, logits), "embedding": embedding, **outputs}


def step_head(arch: Architecture, layer: LayerFactory, x, waveform, num_classes: int) -> dict:
    """Predictions for segments of 2**n frames, or for patches, pooled to one per clip.

    Outputs are those of `clip_head`, ``logits`` only if the clip is the maximum of its segments;
    with segments ``segmentwise_output`` (batch, segments, K), ``framewise_output`` (batch, frames,
    K), too.
    Source: ``Cnn14_DecisionLevelMax``, ``...Avg``, ``...Att`` of the reference.
    """
    scores = step_scores(arch, layer, x, num_classes)
    segments = scores["segments"]
    if arch.head == "attention":
        weights = ops.softmax(scores["attention"], axis=1)  # over segments, class by class
        # Rounding can carry a weighted mean of ones past 1.
        clip = ops.minimum(ops.sum(weights * segments, axis=1), 1.0)
    else:
        clip = (ops.max if arch.head == "max" else ops.mean)(segments, axis=1)
    outputs = {"clipwise_output": clip, "embedding": ops.mean(scores["embedding"], axis=1)}
    if arch.head == "max":
        outputs["logits"] = ops.max(scores["logits"], axis=1)
    if arch.head == "patches":
        return outputs
    frames_per_segment = 2 ** (len(arch.widths) - 1)  # all blocks but the last pool by 2
    sizes = {"frames_per_segment": frames_per_segment, "hop_size": arch.frontend.hop_size}
    frames = layer(RepeatSegments, "frames", **sizes)([segments, waveform])
    return {**outputs, "segmentwise_output": segments, "framewise_output": frames}


def step_outputs(arch: Architecture, layer: LayerFactory, x, num_classes: int) -> dict:
    """Outputs of a head for each step, before it pools over the clip.

    A head with one prediction per clip has ``features`` (batch, steps, channels), whose maximum
    plus mean is for `clip_outputs`; other heads have those of `step_scores` without ``logits``.
    """
    if arch.head == "clip":
        return {"features": mean_over_frequency(x)}
    scores = step_scores(arch, layer, x, num_classes)
    scores.pop("logits", None)
    return scores
