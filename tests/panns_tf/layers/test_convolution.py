"""The short cuts of convolutions on a CPU."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers import Conv2D, DepthwiseConv, convolution
from panns_tf.layers.compiled import for_this_machine


def under_xla(layer, x, **arguments) -> np.ndarray:
    return tf.function(lambda x: layer(x, **arguments), jit_compile=True)(tf.constant(x)).numpy()


@pytest.fixture
def calls(monkeypatch):
    """Counts which short cuts were taken."""
    taken = []
    for name in ("winograd", "shifted_sum", "product_of_patches"):
        original = getattr(convolution, name)

        def count(*arguments, name=name, original=original):
            taken.append(name)
            return original(*arguments)

        monkeypatch.setattr(convolution, name, count)
    return taken


@pytest.mark.parametrize(
    "shape", [(4, 125, 8), (1, 251, 9), (3, 80, 10), (2000, 1, 1), (1, 1, 2001)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_winograd_is_the_convolution(shape, bias, calls):
    x = np.random.default_rng(0).normal(size=(*shape, 128)).astype("float32")
    layer = Conv2D(130, 3, padding="same", use_bias=bias, bias_initializer="random_normal")
    expected = np.asarray(layer(x))
    assert calls == []
    found = under_xla(layer, x, training=False)
    assert calls == ["winograd"]
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("bias", [False, True])
def test_a_single_channel_is_a_sum_of_shifted_copies(bias, calls):
    x = np.random.default_rng(0).normal(size=(2, 33, 17, 1)).astype("float32")
    layer = Conv2D(5, 3, padding="same", use_bias=bias, bias_initializer="random_normal")
    expected = np.asarray(layer(x))
    np.testing.assert_allclose(under_xla(layer, x), expected, atol=1e-5)
    assert calls == ["shifted_sum"]


@pytest.mark.parametrize("bias", [False, True])
def test_many_channels_are_a_product_at_inference_on_this_machine(bias, calls, monkeypatch):
    monkeypatch.setattr(convolution, "LARGEST_AT_INFERENCE", 4 * 6)
    x = np.random.default_rng(0).normal(size=(1, 7, 3, 4)).astype("float32")
    layer = Conv2D(6, 3, padding="same", use_bias=bias, bias_initializer="random_normal")
    expected = np.asarray(layer(x))
    assert calls == []  # a file that is traced may run elsewhere
    with for_this_machine():
        found = tf.function(lambda x: layer(x))(tf.constant(x))
        assert calls == ["product_of_patches"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        layer = Conv2D(5, 3, padding="same")
        tf.function(lambda x: layer(x))(tf.constant(x))
    assert calls == ["product_of_patches"]  # there are fewer channels


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 5},
        {"kernel_size": 3, "padding": "valid"},
        {"kernel_size": 3, "dilation_rate": 2},
        {"kernel_size": 3, "activation": "relu"},
    ],
)
def test_other_convolutions_are_keras_own(settings, calls):
    x = np.random.default_rng(0).normal(size=(1, 300, 10, 128)).astype("float32")
    layer = Conv2D(128, **{"padding": "same", "use_bias": False, **settings})
    np.testing.assert_allclose(under_xla(layer, x), layer(x), atol=1e-4)
    assert calls == []


def test_no_short_cut_in_training_for_few_places_or_without_xla(calls):
    x = np.random.default_rng(0).normal(size=(1, 300, 10, 128)).astype("float32")
    layer = Conv2D(128, 3, padding="same", use_bias=False)
    under_xla(layer, x, training=True)
    under_xla(layer, x[:, :100])
    tf.function(layer)(x)
    assert calls == []


@pytest.mark.parametrize("shape", [(2, 7, 5), (1, 1, 2), (3, 62, 4)])
@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_convolution_is_keras_own(shape, bias):
    x = np.random.default_rng(0).normal(size=(*shape, 6)).astype("float32")
    settings = {"use_bias": bias, "bias_initializer": "random_normal"}
    layer = DepthwiseConv(3, **settings)
    expected = keras.layers.DepthwiseConv2D(3, padding="same", **settings)
    expected.build(x.shape)
    layer.build(x.shape)
    expected.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x), expected(x))
    np.testing.assert_allclose(under_xla(layer, x), expected(x), atol=1e-5)


def test_depthwise_gradients_under_xla_are_the_same():
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 9, 5, 6)).astype("float32"))
    layer = DepthwiseConv(3)
    layer.build(x.shape)

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [x, layer.kernel.value])

    for a, b in zip(gradients(), tf.function(gradients, jit_compile=True)(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("size", [(3, 3), (1, 3), (5, 1)])
@pytest.mark.parametrize("shape", [(2, 7, 5), (1, 1, 1), (3, 2, 4), (1, 1, 9)])
def test_product_of_patches_is_the_convolution(shape, size):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(*shape, 6)).astype("float32"))
    kernel = tf.constant(rng.normal(size=(*size, 6, 4)).astype("float32"))
    weight = rng.normal(size=(*shape, 4)).astype("float32")

    def found(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel)
            loss = tf.reduce_sum(y * weight)
        return [y, *tape.gradient(loss, [x, kernel])]

    def keras_own(x, kernel):
        return keras.ops.conv(x, kernel, padding="same")

    for a, b in zip(found(convolution.product_of_patches), found(keras_own), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_product_of_patches_takes_lengths_unknown_when_traced():
    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(3, 3, 6, 4)).astype("float32"))
    signature = [tf.TensorSpec((None, None, 5, 6))]
    traced = tf.function(
        lambda x: convolution.product_of_patches(x, kernel), input_signature=signature
    )
    x = rng.normal(size=(2, 7, 5, 6)).astype("float32")
    np.testing.assert_allclose(traced(x), keras.ops.conv(x, kernel, padding="same"), atol=1e-4)


@pytest.fixture
def few_are_many(monkeypatch):
    monkeypatch.setattr(convolution, "LARGEST_KERNEL", 24)


@pytest.mark.parametrize("bias", [False, True])
def test_many_channels_are_a_product_in_training(bias, calls, few_are_many):
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 4)).astype("float32")
    many, fewer = (
        Conv2D(filters, 3, padding="same", use_bias=bias, bias_initializer="random_normal")
        for filters in (6, 5)
    )
    expected = np.asarray(many(x))
    fewer(x, training=True)
    many(x, training=False)
    under_xla(many, x, training=True)
    assert calls == []
    np.testing.assert_allclose(many(x, training=True), expected, atol=1e-5)
    traced = tf.function(lambda x: many(x, training=True))
    np.testing.assert_allclose(traced(x), expected, atol=1e-5)
    assert calls == ["product_of_patches"] * 2


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 2},
        {"padding": "valid"},
        {"groups": 2},
    ],
)
def test_other_convolutions_are_keras_own_in_training(settings, calls, few_are_many):
    layer = Conv2D(8, 3, **{"padding": "same", "use_bias": False, **settings})
    layer(np.ones((1, 8, 8, 8), "float32"), training=True)
    assert calls == []


def test_the_product_keeps_the_precision_of_its_layer(calls, few_are_many):
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 4)).astype("float32")
    layer = Conv2D(6, 3, padding="same", use_bias=False, dtype="mixed_bfloat16")
    y = layer(x, training=True)
    assert calls == ["product_of_patches"]
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(y, "float32"), tf.cast(layer(x), "float32"), atol=0.05)


def test_real_layers_of_many_channels_are_those_of_the_last_blocks():
    # Cnn14's 1024 to 2048 and 2048 to 2048; the paper's other kernels are smaller.
    assert 1024 * 1024 < convolution.LARGEST_KERNEL <= 1024 * 2048
