"""Batch normalisation with PyTorch's running variance."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.cpu import traced_for


@pytest.mark.parametrize("shape", [(6, 3), (2, 5, 3), (2, 4, 5, 3)])
def test_running_variance_is_unbiased(shape):
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    layer = BatchNorm()
    y = layer(x, training=True)
    values = x.reshape(-1, 3)
    normalised = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
    np.testing.assert_allclose(np.reshape(y, (-1, 3)), normalised, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * values.mean(0), rtol=1e-5)
    expected = 0.9 + 0.1 * values.var(0, ddof=1)
    np.testing.assert_allclose(layer.moving_variance, expected, rtol=1e-5)


def test_keras_own_layer_keeps_another_variance():
    x = np.random.default_rng(0).normal(2, 3, (6, 3)).astype("float32")
    ours, keras_own = BatchNorm(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    ours(x, training=True), keras_own(x, training=True)
    gained = (np.asarray(ours.moving_variance) - 0.9) / (
        np.asarray(keras_own.moving_variance) - 0.9
    )
    np.testing.assert_allclose(gained, 6 / 5, rtol=1e-4)


def test_one_value_per_channel_is_no_nan():
    layer = BatchNorm()
    assert np.isfinite(layer(np.ones((1, 3), "float32"), training=True)).all()
    assert np.isfinite(layer.moving_variance).all()


def test_inference_uses_the_running_statistics():
    layer = BatchNorm()
    x = np.random.default_rng(0).normal(2, 3, (6, 3)).astype("float32")
    layer(x, training=True)
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    np.testing.assert_allclose(layer(x), (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-4)


def test_frozen_layer_keeps_its_statistics():
    layer = BatchNorm(trainable=False)
    x = np.random.default_rng(0).normal(2, 3, (6, 3)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), x, rtol=1e-4)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))


def test_half_precision_does_not_overflow():
    layer = BatchNorm(dtype="mixed_float16")
    y = layer(np.full((4, 1000, 2), 300, "float16"), training=True)
    assert y.dtype == "float16"
    assert np.isfinite(y).all()


def results(x, **settings) -> list[np.ndarray]:
    """Outputs, running statistics and gradients of a training batch, in float32."""
    layer = BatchNorm(**settings)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    for variable in (layer.gamma, layer.beta):
        variable.assign(rng.normal(1, 0.3, variable.shape))
    x = tf.constant(x)
    weight = tf.constant(rng.normal(size=x.shape).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weight)
    assert y.dtype == layer.compute_dtype
    gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
    found = [y, layer.moving_mean, layer.moving_variance, *gradients]
    return [tf.cast(value, tf.float32).numpy() for value in found]


def both_ways(*shape: int, **settings) -> tuple[list, list]:
    """Results of TensorFlow's fused operation, used for large maps, and of single operations."""
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    fused = results(x, **settings)
    with traced_for("xla"):
        return fused, results(x, **settings)


@pytest.mark.parametrize("shape", [(2**18, 4), (2, 2**17, 4), (2, 2**10, 2**8, 2), (1, 1, 2**20)])
def test_the_fused_way_equals_single_operations(shape):
    for a, b in zip(*both_ways(*shape), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2e-3), ("bfloat16", 1.6e-2)])
def test_both_ways_agree_in_half_precision(dtype, error):
    first, second = both_ways(2, 2**17, 4, dtype=f"mixed_{dtype}")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=error, atol=error * np.abs(b).max())
    for statistic in (1, 2):  # the mean and the variance are float32 in both
        np.testing.assert_allclose(first[statistic], second[statistic], rtol=1e-4)


def test_the_fused_way_under_xla_keeps_the_unbiased_variance():
    """In a user's function with ``jit_compile=True``, without `traced_for`."""
    x = np.random.default_rng(0).normal(2, 3, (6, 2**18)).astype("float32")
    layers = [BatchNorm(momentum=0.0) for _ in range(2)]
    for layer in layers:
        layer.build(x.shape)
    tf.function(lambda x: layers[0](x, training=True), jit_compile=True)(x)
    layers[1](x, training=True)
    for layer in layers:
        np.testing.assert_allclose(layer.moving_variance, x.var(0, ddof=1), rtol=1e-3, atol=1e-3)


def test_lengths_may_be_unknown_when_traced():
    x = np.random.default_rng(0).normal(2, 3, (2, 7, 3)).astype("float32")
    layer = BatchNorm()
    layer.build((None, None, 3))
    traced = tf.function(
        lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, None, 3))]
    )
    y = traced(x)
    assert traced.get_concrete_function().output_shapes == tf.TensorShape((None, None, 3))
    np.testing.assert_allclose(y, BatchNorm()(x, training=True), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{"scale": False}, {"center": False}, {"axis": 1}])
def test_other_settings_of_keras_layer_train_too(settings):
    x = np.random.default_rng(0).normal(2, 3, (4, 5, 3)).astype("float32")
    axis = settings.get("axis", -1)
    rest = tuple(i for i in range(3) if i != axis % 3)
    mean, variance = x.mean(rest, keepdims=True), x.var(rest, keepdims=True)
    layer = BatchNorm(**settings)
    expected = (x - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean.ravel(), rtol=1e-4)
    values = x.size / mean.size
    unbiased = variance.ravel() * values / (values - 1)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * unbiased, rtol=1e-4)
