import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from panns_tf.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_of_probability,
    loss_for,
    smooth,
)
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


def test_from_logits_is_the_same_in_the_normal_range_and_keeps_its_gradient_beyond():
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.uniform(-8, 8, (20, 10)).astype("float32"))
    target = rng.random((20, 10)).astype("float32")
    losses, gradients = [], []
    for more in ({"logits": logits}, {}):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses.append(
                binary_cross_entropy(target, {"clipwise_output": tf.sigmoid(logits), **more})
            )
        gradients.append(tape.gradient(losses[-1], logits))
    np.testing.assert_allclose(*losses, rtol=1e-5)
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-7)
    saturated = tf.constant([[200.0]])
    with tf.GradientTape() as tape:
        tape.watch(saturated)
        loss = binary_cross_entropy([[0.0]], {"logits": saturated})
    assert float(loss) == 200
    assert float(tape.gradient(loss, saturated)[0, 0]) == 1


WEIGHTS = np.float32([0.5, 2.0, 0.25, 3.0, 1.0])


def logits_and_target(single: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits of all sizes, and targets: one class of each clip, or any number."""
    rng = np.random.default_rng(1)
    scale = 10.0 ** rng.uniform(-2, 2, (12, 1))
    logits = (scale * rng.normal(size=(12, 5))).astype("float32")
    if single:
        return logits, np.eye(5, dtype="float32")[rng.integers(5, size=12)]
    return logits, (rng.uniform(size=(12, 5)) < 0.4).astype("float32")


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropies_equal_their_formulas(weights):
    ones = np.ones(5) if weights is None else weights
    logits, target = logits_and_target(single=True)
    for t in (target, 0.3 * target + 0.7 * np.roll(target, 1, axis=0), smooth(target, 0.1, 0.2)):
        found = loss_for("softmax", weights)(t, {"logits": tf.constant(logits)})
        log_p = scipy.special.log_softmax(logits.astype("float64"), axis=1)
        expected = -np.sum(t * ones * log_p, axis=1).mean()
        assert found.dtype == tf.float32
        assert float(found) == pytest.approx(expected, rel=1e-5)
        # The control: by the probabilities of the classes one by one it is another number.
        apart = binary_cross_entropy(t, {"logits": tf.constant(logits)}, weights)
        assert float(apart) != pytest.approx(expected, rel=1e-2)
    logits, target = logits_and_target(single=False)
    logits = np.clip(logits, -8, 8)
    x = logits.astype("float64")
    each = -target * scipy.special.log_expit(x) - (1 - target) * scipy.special.log_expit(-x)
    expected = np.mean((target * ones + (1 - target)) * each)
    for outputs in (
        {"logits": tf.constant(logits)},
        {"clipwise_output": tf.sigmoid(logits)},
    ):
        found = loss_for("sigmoid", weights)(target, outputs)
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_smoothing_equals_keras():
    logits, target = logits_and_target(single=True)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    expected = float(theirs(target, logits))
    outputs = {"logits": tf.constant(logits)}
    assert float(cross_entropy(smooth(target, 0.2, 1 / 5), outputs)) == pytest.approx(expected)
    # The control: halves are not uniform over five classes.
    assert float(cross_entropy(smooth(target, 0.2), outputs)) != pytest.approx(expected, rel=1e-2)
    logits, target = logits_and_target(single=False)
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)
    found = binary_cross_entropy(smooth(target, 0.2), {"logits": tf.constant(logits)})
    assert float(found) == pytest.approx(float(theirs(target, logits)), rel=1e-5)
    assert smooth(target, 0.0) is target


def test_gradients_stay_finite_and_are_exact_at_extremes():
    logits = tf.constant([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4]])
    target, counts = np.float32([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), np.float64([0.5, 2.0, 0.0])
    for activation in ("softmax", "sigmoid"):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = loss_for(activation, counts)(target, {"logits": logits})
        x = logits.numpy().astype("float64")
        if activation == "softmax":
            error = scipy.special.softmax(x, axis=1) - target
            expected = error * (target @ counts)[:, None] / 3
        else:
            expected = (scipy.special.expit(x) - target) * (1 + target * (counts - 1)) / 9
        assert np.isfinite(loss)
        np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-6)


def test_half_precision_is_summed_in_single():
    logits, target = logits_and_target(single=True)
    half = tf.cast(np.clip(logits, -8, 8), tf.float16)
    found = cross_entropy(target, {"logits": half})
    assert found.dtype == tf.float32
    assert float(found) == float(cross_entropy(target, {"logits": tf.cast(half, tf.float32)}))
