import keras
import numpy as np
import pytest

from panns_tf.layers import BatchNorm


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
