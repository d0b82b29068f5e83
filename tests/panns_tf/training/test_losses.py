import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training.losses import binary_cross_entropy, cross_entropy_of_probability
from tests.support import read_npz


def test_of_probabilities_equals_pytorch_at_extremes():
    units = read_npz("units")
    probability = tf.constant(units["loss/output"])
    with tf.GradientTape() as tape:
        tape.watch(probability)
        each = cross_entropy_of_probability(units["loss/target"], probability)
        mean = tf.reduce_mean(each)
    np.testing.assert_allclose(each, units["loss/elements"], rtol=1e-6)
    assert float(mean) == pytest.approx(float(units["loss/mean"]), rel=1e-6)
    gradient = tape.gradient(mean, probability)
    np.testing.assert_allclose(gradient, units["loss/gradient_of_mean"], rtol=1e-5)


def test_from_logits_is_the_same_in_the_normal_range():
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.uniform(-8, 8, (20, 10)).astype("float32"))
    target = rng.random((20, 10)).astype("float32")
    gradients = []
    losses = []
    for with_logits in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            outputs = {"clipwise_output": tf.sigmoid(logits)}
            if with_logits:
                outputs["logits"] = logits
            losses.append(binary_cross_entropy(target, outputs))
        gradients.append(tape.gradient(losses[-1], logits))
    np.testing.assert_allclose(*losses, rtol=1e-5)
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-7)


def test_from_logits_keeps_its_gradient_where_probabilities_saturate():
    logits = tf.constant([[200.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = binary_cross_entropy([[0.0]], {"logits": logits})
    assert float(loss) == 200
    assert float(tape.gradient(loss, logits)[0, 0]) == 1
