"""Fast convolutions on a CPU, compared with those of Keras, and the switch between targets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers import cpu
from panns_tf.layers.cpu import Conv2D, DepthwiseConv, traced_for


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def traced(layer, x, target: str, **arguments) -> tuple[np.ndarray, bool]:
    """What a layer gives under a target, and whether it was TensorFlow's convolution."""
    run, x = traced_for(target)(lambda x: layer(x, **arguments)), tf.constant(x)
    call = tf.function(run, jit_compile=target == "xla", autograph=False)
    graph = call.get_concrete_function(x).graph
    operations = {operation.type for operation in graph.get_operations()}
    native = bool(operations & {"Conv2D", "DepthwiseConv2dNative"})
    return call(x).numpy(), native


def convolution(filters: int, **settings) -> Conv2D:
    settings = {"padding": "same", "bias_initializer": "random_normal", **settings}
    return Conv2D(filters, 3, **settings)


@pytest.mark.parametrize("bias", [False, True])
def test_many_channels_under_xla(bias):
    for shape in ((4, 125, 8), (1, 251, 9), (2000, 1, 1), (1, 1, 2001)):
        x, layer = numbers(*shape, 128), convolution(130, use_bias=bias)
        expected = np.asarray(layer(x))
        found, native = traced(layer, x, "xla")
        assert not native
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_a_single_channel_under_xla():
    x, layer = numbers(2, 33, 17, 1), convolution(5)
    found, native = traced(layer, x, "xla")
    assert not native
    np.testing.assert_allclose(found, layer(x), atol=1e-5)


def test_large_kernels_are_a_product_on_this_machine_and_in_training():
    x = numbers(1, 7, 3, 1024)
    layer, smaller = convolution(2048), convolution(8)
    expected = np.asarray(layer(x))
    for target, training, native in (
        ("layers", False, True),
        ("portable", False, True),  # a file may run elsewhere
        ("this_machine", False, False),
        ("layers", True, False),
    ):
        found, is_native = traced(layer, x, target, training=training)
        assert is_native == native, (target, training)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
        assert traced(smaller, x, target, training=training)[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": "valid"},
        {"dilation_rate": 2},
        {"activation": "relu"},
        {"strides": 2},
    ],
)
def test_other_convolutions_are_keras_own(settings):
    x = numbers(1, 300, 10, 128)
    assert traced(convolution(128, **settings), x, "xla")[1]
    assert traced(convolution(128, **settings), x, "this_machine", training=True)[1]


def test_few_places_and_training_under_xla_are_keras_own():
    layer = convolution(128)
    assert traced(layer, numbers(1, 100, 10, 128), "xla")[1]
    assert traced(layer, numbers(1, 300, 10, 128), "xla", training=True)[1]


@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_convolution(bias):
    settings = {"use_bias": bias, "bias_initializer": "random_normal"}
    for shape in ((2, 7, 5, 6), (1, 1, 2, 6), (3, 62, 4, 6)):
        x, layer = numbers(*shape), DepthwiseConv(3, **settings)
        expected = keras.layers.DepthwiseConv2D(3, padding="same", **settings)
        layer.build(shape), expected.build(shape)
        expected.set_weights(layer.get_weights())
        np.testing.assert_array_equal(layer(x), expected(x))
        found, native = traced(layer, x, "xla")
        assert not native
        np.testing.assert_allclose(found, expected(x), atol=1e-5)


@pytest.mark.parametrize("size", [(3, 3), (1, 3), (5, 1)])
def test_gradients_of_the_product_of_patches(size):
    x, kernel = tf.constant(numbers(2, 7, 5, 6)), tf.constant(numbers(*size, 6, 4))

    def all_of(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel)
            loss = tf.reduce_sum(y * numbers(2, 7, 5, 4))
        return [y, *tape.gradient(loss, [x, kernel])]

    expected = all_of(lambda x, kernel: keras.ops.conv(x, kernel, padding="same"))
    for a, b in zip(all_of(cpu.product_of_patches), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_lengths_may_be_unknown_and_precision_is_the_layers():
    layer = Conv2D(2048, 3, padding="same", dtype="mixed_bfloat16")
    signature = [tf.TensorSpec((None, None, 5, 1024))]
    call = tf.function(lambda x: layer(x, training=True), input_signature=signature)
    x = numbers(1, 4, 5, 1024)
    assert call(x).dtype == tf.bfloat16
    expected = tf.cast(layer(x), "float32").numpy()
    np.testing.assert_allclose(tf.cast(call(x), "float32"), expected, atol=0.02 * np.ptp(expected))


def test_what_compiles_itself_obeys_the_switch():
    shapes = []

    def double(x):
        shapes.append(x.shape.as_list())
        return 2 * x

    function = cpu.compiled(double)
    for size in (2, 2, 4):
        assert function(tf.ones(size)).shape == (size,)
    assert shapes == [[1], [2]], "once for each shape, by halves of a batch"
    with traced_for("portable"):
        function(tf.ones(4))
        function(tf.ones(4))
    assert len(shapes) == 4, "the plain function runs"
    with pytest.raises(ValueError, match="target must be one of"), traced_for("gpu"):
        pass


def test_a_users_own_function_that_xla_compiles_is_noticed():
    seen = []

    def note(x):
        seen.append(cpu.current_target())
        return x

    inner = tf.function(note, jit_compile=True)
    outer = tf.function(lambda x: note(inner(note(x))))
    outer(tf.ones(2))
    with cpu.traced_for("portable"):
        tf.function(note, jit_compile=True)(tf.ones(2))
    note(tf.ones(2))
    assert seen == ["layers", "xla", "layers", "portable", "layers"]
