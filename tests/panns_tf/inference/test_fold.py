"""Networks with their batch normalisations folded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.inference.model import folded, folded_layer
from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.cpu import Conv2D, DepthwiseConv
from tests.panns_tf.inference.support import sound, trained


def norms(model) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, BatchNorm)]


def distance(found: dict, expected: dict) -> float:
    assert list(found) == list(expected)
    return max(float(np.abs(found[name] - expected[name]).max()) for name in expected)


@pytest.mark.full
def test_every_network_is_the_same_folded(thin_graph, plain):
    assert_same_folded(thin_graph)


@pytest.mark.parametrize("kind", ["Cnn14", "ResNet22", "MobileNetV1", "DaiNet19"])
def test_a_network_is_the_same_folded(kind, plain):
    assert_same_folded(f"Thin_{kind}")


def assert_same_folded(name):
    network = trained(name)
    model = folded(network)
    for clips, samples in ((1, 20000), (2, 45678)):
        x = sound(clips, samples)
        assert distance(model(x), network(x)) < 2e-6
    kept = [name for name in norms(network) if name == "bn0" and "log_mel" in network.arch.inputs]
    assert norms(model) == kept


def test_under_xla_too():
    network = trained("Wavegram_Tiny")
    model = folded(network)
    x = tf.constant(sound(2, 32000))
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    assert distance(compiled(x), network(x)) < 2e-6


@pytest.mark.parametrize("which", ["gamma", "beta", "moving_mean", "moving_variance"])
def test_each_statistic_counts(which, plain):
    network = trained("Tiny")
    model = folded(network)
    x = sound(1, 16000)
    last = network.get_layer("conv_block6.bn2")
    getattr(last, which).assign(getattr(last, which) * 1.5 + 0.1)
    assert distance(model(x), network(x)) > 1e-4  # the folded one keeps what it was made of
    assert distance(folded(network)(x), network(x)) < 2e-6


def test_the_network_itself_is_left_as_it_was(plain, tmp_path):
    network = trained("Tiny")
    x, before = sound(1, 16000), network.get_weights()
    expected = network(x)
    folded(network)
    for a, b in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert distance(again(x), expected) == 0


def test_precision_is_that_of_the_network(policy, plain):
    policy("mixed_bfloat16")
    network = trained("Tiny")
    model = folded(network)
    assert model.get_layer("conv_block2.conv1").compute_dtype == "bfloat16"
    x = sound(1, 16000)
    assert distance(model(x), network(x)) < 0.05


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.Conv1D(5, 3, dilation_rate=2),
        lambda: keras.layers.Conv1D(5, 3, strides=2, use_bias=False),
        lambda: Conv2D(5, 3, padding="same", use_bias=False),
        lambda: DepthwiseConv(3),
    ],
)
def test_layers_fold_exactly(make):
    rng = np.random.default_rng(0)
    convolution, norm = make(), BatchNorm()
    x = rng.normal(size=(2, 9, *((7,) * (convolution.rank - 1)), 4)).astype("float32")
    norm(convolution(x))
    norm.set_weights([rng.uniform(0.5, 2, w.shape) for w in norm.weights])
    if convolution.use_bias:
        convolution.bias.assign(rng.normal(size=5))
    layer = folded_layer(convolution, norm)
    assert layer.name == convolution.name
    np.testing.assert_allclose(layer(x), norm(convolution(x)), atol=3e-6)
