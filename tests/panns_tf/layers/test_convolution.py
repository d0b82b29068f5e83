"""The short cuts of convolutions under XLA on a CPU."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers import Conv2D, DepthwiseConv, convolution


def under_xla(layer, x, **arguments) -> np.ndarray:
    return tf.function(lambda x: layer(x, **arguments), jit_compile=True)(tf.constant(x)).numpy()


@pytest.fixture
def calls(monkeypatch):
    """Counts which short cuts were taken."""
    taken = []
    for name in ("winograd", "shifted_sum"):
        original = getattr(convolution, name)

        def count(*arguments, name=name, original=original):
            taken.append(name)
            return original(*arguments)

        monkeypatch.setattr(convolution, name, count)
    return taken


@pytest.mark.parametrize(
    "shape", [(4, 125, 8), (1, 251, 9), (3, 80, 10), (2000, 1, 1), (1, 1, 2001)]
)
def test_winograd_is_the_convolution(shape, calls):
    x = np.random.default_rng(0).normal(size=(*shape, 128)).astype("float32")
    layer = Conv2D(130, 3, padding="same", use_bias=False)
    expected = np.asarray(layer(x))
    assert calls == []
    found = under_xla(layer, x, training=False)
    assert calls == ["winograd"]
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_a_single_channel_is_a_sum_of_shifted_copies(calls):
    x = np.random.default_rng(0).normal(size=(2, 33, 17, 1)).astype("float32")
    layer = Conv2D(5, 3, padding="same", use_bias=False)
    expected = np.asarray(layer(x))
    np.testing.assert_allclose(under_xla(layer, x), expected, atol=1e-5)
    assert calls == ["shifted_sum"]


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 5},
        {"kernel_size": 3, "use_bias": True},
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
def test_depthwise_convolution_is_keras_own(shape):
    x = np.random.default_rng(0).normal(size=(*shape, 6)).astype("float32")
    layer = DepthwiseConv(3)
    expected = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)
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
