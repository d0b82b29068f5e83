import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from panns_tf.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_of_probability,
    loss_of,
)
from panns_tf.training.step import smooth
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


def weights_of(classes: int) -> np.ndarray:
    return np.random.default_rng(2).uniform(0.2, 3, classes).astype("float32")


def outputs_and_target(single: bool, clips=12, classes=5) -> tuple[np.ndarray, np.ndarray]:
    """Logits of all sizes, and what is true: one class of each clip, or any number."""
    rng = np.random.default_rng(1)
    logits = (10.0 ** rng.uniform(-2, 2, (clips, 1)) * rng.normal(size=(clips, classes))).astype(
        "f"
    )
    if single:
        return logits, np.eye(classes, dtype="float32")[rng.integers(classes, size=clips)]
    return logits, (rng.uniform(size=(clips, classes)) < 0.4).astype("float32")


def mixed(target: np.ndarray, fractions=(0.3, 0.9)) -> np.ndarray:
    """What is true of clips that are each mixed with the next."""
    weight = np.resize(fractions, len(target)).astype("float32")[:, None]
    return weight * target + (1 - weight) * np.roll(target, 1, axis=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("change", [lambda t: t, mixed, lambda t: smooth(t, 0.1, 1 / 5)])
def test_cross_entropy_equals_its_formula(change, weighted):
    logits, target = outputs_and_target(single=True)
    target, weights = change(target), weights_of(5) if weighted else None
    found = loss_of("softmax", weights)(target, {"logits": tf.constant(logits)})
    log_p = scipy.special.log_softmax(logits.astype("float64"), axis=1)
    each = -np.sum(target * (1 if weights is None else weights) * log_p, axis=1)
    assert found.dtype == tf.float32
    assert float(found) == pytest.approx(each.mean(), rel=1e-5)
    # The control: by the probabilities of the classes one by one it is another number.
    apart = binary_cross_entropy(target, {"logits": tf.constant(logits)}, weights)
    assert float(apart) != pytest.approx(each.mean(), rel=1e-2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("amount", [0.0, 0.2])
def test_cross_entropy_equals_keras(amount, weighted):
    logits, target = outputs_and_target(single=True)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=amount)
    weights = weights_of(5) if weighted and not amount else None
    counts = None if weights is None else target @ weights  # a clip's is that of its class
    expected = float(theirs(target, logits, sample_weight=counts))
    smoothed = smooth(target, amount, 1 / 5)
    found = cross_entropy(smoothed, {"logits": tf.constant(logits)}, weights)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    if amount:  # the control: halves are not what is said of one of five at random
        wrong = cross_entropy(smooth(target, amount), {"logits": tf.constant(logits)})
        assert float(wrong) != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("with_logits", [True, False])
@pytest.mark.parametrize("change", [lambda t: t, mixed])
def test_class_weights_count_the_clips_that_have_the_class(change, with_logits):
    logits, target = outputs_and_target(single=False)
    logits, target, weights = np.clip(logits, -8, 8), change(target), weights_of(5)
    outputs = {"clipwise_output": tf.sigmoid(logits)}
    outputs |= {"logits": tf.constant(logits)} if with_logits else {}
    x = logits.astype("float64")
    each = -target * scipy.special.log_expit(x) - (1 - target) * scipy.special.log_expit(-x)
    counts = target * weights + (1 - target)
    found = loss_of("sigmoid", weights)(target, outputs)
    assert float(found) == pytest.approx(np.mean(counts * each), rel=1e-4)
    assert float(loss_of("sigmoid")(target, outputs)) == pytest.approx(each.mean(), rel=1e-4)
    ones = loss_of("sigmoid", np.ones(5))(target, outputs)
    assert float(ones) == pytest.approx(each.mean(), rel=1e-4)


def test_binary_smoothing_equals_keras():
    logits, target = outputs_and_target(single=False)
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)
    found = binary_cross_entropy(smooth(target, 0.2), {"logits": tf.constant(logits)})
    assert float(found) == pytest.approx(float(theirs(target, logits)), rel=1e-5)


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 0.0)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_gradients_stay_finite_and_point_the_right_way(activation, weights):
    logits = tf.constant([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4]])
    target = np.float32([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = loss_of(activation, weights)(target, {"logits": logits})
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    counts = np.ones(3) if weights is None else np.float64(weights)
    if activation == "softmax":
        p = scipy.special.softmax(logits.numpy().astype("float64"), axis=1)
        expected = (p - target) * (target @ counts)[:, None] / 3
    else:
        p = scipy.special.expit(logits.numpy().astype("float64"))
        expected = (p - target) * (1 + target * (counts - 1)) / 9
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_halves_of_single_precision_are_summed_in_it():
    logits, target = outputs_and_target(single=True)
    half = tf.cast(np.clip(logits, -8, 8), tf.float16)
    found = cross_entropy(target, {"logits": half})
    exact = cross_entropy(target, {"logits": tf.cast(half, tf.float32)})
    assert found.dtype == tf.float32
    assert float(found) == float(exact)
