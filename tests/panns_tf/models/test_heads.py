import dataclasses

import numpy as np
import pytest
import scipy.special

from panns_tf.models.blocks import LayerFactory
from panns_tf.models.heads import clip_head, step_head, step_outputs, step_scores
from panns_tf.models.registry import find


def test_pools_max_and_mean_over_time_of_the_mean_over_frequency():
    layer = LayerFactory()
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype("float32")
    outputs = clip_head(find("Tiny"), layer, x, num_classes=6)
    frames = x.mean(axis=2)
    pooled = frames.max(axis=1) + frames.mean(axis=1)
    fc1, classifier = layer(None, "fc1"), layer(None, "fc_audioset")
    embedding = np.maximum(pooled @ np.asarray(fc1.kernel) + np.asarray(fc1.bias), 0)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-5)
    logits = embedding @ np.asarray(classifier.kernel) + np.asarray(classifier.bias)
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(outputs["clipwise_output"], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_the_classifier_does_not_see_the_embeddings_dropout():
    layer = LayerFactory()
    x = np.ones((200, 1, 1, 8), "float32")
    arch = find("Tiny")
    clip_head(arch, layer, x, num_classes=3)
    layer(None, "embedding.dropout").rate = 0.99
    layer(None, "fc1.dropout").rate = 0.0
    outputs = clip_head(arch, layer, x, num_classes=3)
    assert np.ptp(np.asarray(outputs["logits"]), axis=0).max() < 1e-5


def decided(head: str, segments: int = 3, samples: int = 8000):
    """The outputs of a decision-level head, its layers and what its classifier should see."""
    layer = LayerFactory()
    arch = dataclasses.replace(find("Tiny"), head=head)
    x = np.random.default_rng(0).normal(size=(2, segments, 2, 4)).astype("float32")
    outputs = step_head(arch, layer, x, np.zeros((2, samples), "float32"), num_classes=6)
    frames = x.mean(axis=2)
    padded = np.pad(frames, ((0, 0), (1, 1), (0, 0)))
    low = np.pad(frames, ((0, 0), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = [slice(i, i + segments) for i in range(3)]
    # Zeros at the ends count in the average, not in the maximum.
    pooled = sum(padded[:, w] for w in windows) / 3 + np.max([low[:, w] for w in windows], axis=0)
    fc1 = layer(None, "fc1")
    embedding = np.maximum(pooled @ np.asarray(fc1.kernel) + np.asarray(fc1.bias), 0)
    return {key: np.asarray(value) for key, value in outputs.items()}, layer, embedding


@pytest.mark.parametrize("segments", [1, 2, 5])
@pytest.mark.parametrize(("head", "reduce"), [("max", np.max), ("average", np.mean)])
def test_decisions_are_joined(head, reduce, segments):
    outputs, layer, embedding = decided(head, segments)
    classifier = layer(None, "fc_audioset")
    logits = embedding @ np.asarray(classifier.kernel) + np.asarray(classifier.bias)
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(outputs["segmentwise_output"], expected, atol=1e-6)
    np.testing.assert_allclose(outputs["clipwise_output"], reduce(expected, axis=1), atol=1e-6)
    np.testing.assert_allclose(outputs["embedding"], embedding.mean(axis=1), atol=1e-5)
    assert ("logits" in outputs) == (head == "max")
    if head == "max":
        np.testing.assert_allclose(outputs["logits"], logits.max(axis=1), atol=1e-5)


def test_frames_repeat_their_segment_and_the_last_one_fills_up():
    outputs, *_ = decided("max", segments=3, samples=8000)  # 101 frames of 80 samples
    segments, frames = outputs["segmentwise_output"], outputs["framewise_output"]
    assert frames.shape == (2, 101, 6)
    for frame in (0, 31, 32, 95, 96, 100):
        np.testing.assert_array_equal(frames[:, frame], segments[:, min(frame // 32, 2)])


def test_attention_weighs_segments_by_clamped_scores():
    layer = LayerFactory()
    arch = dataclasses.replace(find("Tiny"), head="attention")
    x = 50 * np.random.default_rng(0).normal(size=(2, 4, 2, 4)).astype("float32")
    waveform = np.zeros((2, 8000), "float32")
    step_head(arch, layer, x, waveform, num_classes=6)
    att, cla, fc1 = (layer(None, key) for key in ("att_block.att", "att_block.cla", "fc1"))
    seen = []
    outputs = step_head(arch, Spy(layer, seen), x, waveform, num_classes=6)
    (embedding,) = seen
    scores = embedding @ np.asarray(att.kernel)[0]
    assert np.abs(scores).max() > 20, "the clamp must matter here"
    weights = np.exp(np.clip(scores, -10, 10))
    weights /= weights.sum(axis=1, keepdims=True)
    segments = 1 / (1 + np.exp(-(embedding @ np.asarray(cla.kernel)[0]).astype("float64")))
    np.testing.assert_allclose(outputs["segmentwise_output"], segments, atol=1e-5)
    expected = (weights * segments).sum(axis=1)
    np.testing.assert_allclose(outputs["clipwise_output"], expected, atol=1e-5)
    assert np.max(outputs["clipwise_output"]) <= 1
    assert fc1.units == arch.embedding_size


class Spy:
    """A factory that notes what the attention sees."""

    def __init__(self, factory, seen):
        self.factory, self.seen = factory, seen

    def __call__(self, kind, name, **settings):
        layer = self.factory(kind, name, **settings)
        if name != "att_block.att":
            return layer

        def note(x):
            self.seen.append(np.asarray(x))
            return layer(x)

        return note


def test_patches_are_averaged():
    layer = LayerFactory()
    arch = dataclasses.replace(find("Thin_VGGish"))
    x = np.random.default_rng(0).normal(size=(2, 3, 10)).astype("float32")
    outputs = step_head(arch, layer, x, None, num_classes=6)
    each = [step_head(arch, layer, x[:, i : i + 1], None, num_classes=6) for i in range(3)]
    for key in ("clipwise_output", "embedding"):
        expected = np.mean([np.asarray(part[key]) for part in each], axis=0)
        np.testing.assert_allclose(outputs[key], expected, atol=1e-6)


def dense(x, layer) -> np.ndarray:
    return x @ np.asarray(layer.kernel) + np.asarray(layer.bias)


def test_softmax_shares_the_certainty_among_the_classes():
    layer = LayerFactory()
    arch = find("Tiny").override(activation="softmax")
    x = 30 * np.random.default_rng(0).normal(size=(4, 5, 3, 4)).astype("float32")
    outputs = clip_head(arch, layer, x, num_classes=6)
    probabilities, logits = np.asarray(outputs["clipwise_output"]), np.asarray(outputs["logits"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(probabilities, scipy.special.softmax(logits, axis=1), atol=1e-6)
    # The control: without the override each class is by itself.
    alone = clip_head(find("Tiny"), layer, x, num_classes=6)
    np.testing.assert_allclose(alone["logits"], logits, atol=1e-6)
    np.testing.assert_allclose(alone["clipwise_output"], scipy.special.expit(logits), atol=1e-6)
    assert np.abs(np.asarray(alone["clipwise_output"]).sum(axis=1) - 1).min() > 1e-3


def test_hidden_layers_lie_between_embedding_and_classifier():
    layer = LayerFactory()
    arch = find("Tiny").override(hidden=(5, 7))
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype("float32")
    outputs = clip_head(arch, layer, x, num_classes=6)
    seen = np.asarray(outputs["embedding"])
    for key, units in (("fc_hidden1", 5), ("fc_hidden2", 7)):
        seen = np.maximum(dense(seen, layer(None, key)), 0)
        assert seen.shape == (2, units)
    assert seen.max() > 0
    np.testing.assert_allclose(
        outputs["logits"], dense(seen, layer(None, "fc_audioset")), atol=1e-5
    )


@pytest.mark.parametrize("head", ["max", "average", "attention", "patches"])
def test_hidden_layers_see_every_part_of_a_clip(head):
    layer = LayerFactory()
    arch = dataclasses.replace(find("Tiny"), head=head).override(hidden=(5,))
    shape = (2, 3, 8) if head == "patches" else (2, 3, 2, 4)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    embedding = np.asarray(step_scores(arch, layer, x, num_classes=6)["embedding"])
    assert embedding.shape == (2, 3, 8)
    parts = step_outputs(arch, layer, x, num_classes=6)
    hidden = np.maximum(dense(embedding, layer(None, "fc_hidden1")), 0)
    if head == "attention":
        att, cla = (layer(None, f"att_block.{key}") for key in ("att", "cla"))
        expected = hidden @ np.asarray(att.kernel)[0] + np.asarray(att.bias)
        np.testing.assert_allclose(parts["attention"], expected, atol=1e-5)
        logits = hidden @ np.asarray(cla.kernel)[0] + np.asarray(cla.bias)
    else:
        logits = dense(hidden, layer(None, "fc_audioset"))
    np.testing.assert_allclose(parts["segments"], scipy.special.expit(logits), atol=1e-5)


def test_hidden_layers_are_dropped_out_as_fc1_is():
    layer = LayerFactory()
    arch = find("Tiny").override(hidden=(5,))
    clip_head(arch, layer, np.ones((2, 1, 1, 8), "float32"), num_classes=3)
    assert layer(None, "fc_hidden1.dropout").rate == layer(None, "fc1.dropout").rate == 0.5
    bare = LayerFactory()
    arch = find("Tiny").override(hidden=(5,), dropout=False)
    clip_head(arch, bare, np.ones((2, 1, 1, 8), "float32"), num_classes=3)
    with pytest.raises(TypeError):  # there is none, and no kind to make one of
        bare(None, "fc_hidden1.dropout")
