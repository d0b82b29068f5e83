import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers import BatchNorm, batch_norm


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


@pytest.fixture
def ways(monkeypatch):
    """Computes by TensorFlow's own operation and by single ones."""

    monkeypatch.setattr(batch_norm, "LARGE", 1)

    def both(x, **settings):
        taken = []
        whole = batch_norm.fused
        monkeypatch.setattr(batch_norm, "fused", lambda *a: taken.append(1) or whole(*a))
        first = results(x, **settings)
        assert taken, "the fused way was to be taken"
        monkeypatch.setattr(batch_norm, "plain_tensorflow", lambda: False)
        second = results(x, **settings)
        assert len(taken) == 1
        return first, second

    return both


@pytest.mark.parametrize("shape", [(6, 3), (2, 5, 3), (2, 4, 5, 3), (1, 1, 2, 8)])
def test_the_fused_way_equals_single_operations(shape, ways):
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    for a, b in zip(*ways(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 3), (1, 1, 1, 3)])
def test_one_value_per_channel_is_the_same_in_both_ways(shape, ways):
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    for a, b in zip(*ways(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2e-3), ("bfloat16", 1.6e-2)])
@pytest.mark.parametrize("shape", [(50, 3), (2, 25, 3), (2, 4, 5, 3)])
def test_both_ways_agree_in_half_precision(shape, dtype, error, ways):
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    first, second = ways(tf.cast(x, dtype).numpy(), dtype=f"mixed_{dtype}")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=error, atol=error * np.abs(b).max())
    # Statistics stay in float32 in either way.
    for place in (1, 2):
        np.testing.assert_allclose(first[place], second[place], rtol=1e-4)


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


def test_small_maps_are_left_to_single_operations(monkeypatch):
    monkeypatch.setattr(batch_norm, "fused", lambda *a: pytest.fail("not for this"))
    BatchNorm()(np.ones((2, 4, 5, 3), "float32"), training=True)
