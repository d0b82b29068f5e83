import numpy as np

from panns_tf.models import find
from panns_tf.models.blocks import LayerBook
from panns_tf.models.heads import clip_head


def test_pools_max_and_mean_over_time_of_the_mean_over_frequency():
    layer = LayerBook()
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
    layer = LayerBook()
    x = np.ones((200, 1, 1, 8), "float32")
    row = find("Tiny")
    clip_head(row, layer, x, num_classes=3)
    layer(None, "embedding.dropout").rate = 0.99
    layer(None, "fc1.dropout").rate = 0.0
    outputs = clip_head(row, layer, x, num_classes=3)
    assert np.ptp(np.asarray(outputs["logits"]), axis=0).max() < 1e-5
