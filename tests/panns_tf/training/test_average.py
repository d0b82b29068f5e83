import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training.average import WeightAverage
from panns_tf.weights.loading import create_model


@pytest.fixture
def network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])


def values(variables) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in variables]


def test_of_a_constant_is_that_constant(network):
    average = WeightAverage(network, 0.9)
    for step in range(1, 30):
        average.update(step)
    for a, b in zip(average.variables, network.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_follows_the_formula_and_differs_from_the_last_weights(network):
    average = WeightAverage(network, 0.6)
    kernel = network.layers[0].kernel
    expected = kernel.numpy()
    rng = np.random.default_rng(0)
    for step in range(1, 21):
        kernel.assign(rng.normal(size=(3, 2)))
        average.update(tf.constant(step, tf.int64))
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * kernel.numpy()
    np.testing.assert_allclose(average.variables[0], expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - kernel.numpy()).max() > 0.1


def test_first_weights_are_soon_forgotten(network):
    kernel = network.layers[0].kernel
    kernel.assign(tf.fill((3, 2), 1000.0))
    average = WeightAverage(network, 0.9999)
    kernel.assign(tf.zeros((3, 2)))
    for step in range(1, 101):
        average.update(step)
    # 0.9999 ** 100 would leave 99 %.
    assert np.max(average.variables[0]) < 1e-3


def test_in_place_puts_the_averages_in_and_takes_them_out_again(network):
    average = WeightAverage(network, 0.9)
    first = values(network.trainable_variables)
    network.layers[0].kernel.assign_add(np.ones((3, 2)))
    last = values(network.trainable_variables)
    with average.in_place():
        np.testing.assert_array_equal(network.layers[0].kernel, first[0])
    np.testing.assert_array_equal(network.layers[0].kernel, last[0])
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    np.testing.assert_array_equal(network.layers[0].kernel, last[0])
    np.testing.assert_array_equal(average.variables[0], first[0])


def test_put_stays_and_is_no_alias(network):
    average = WeightAverage(network, 0.9)
    kernel = network.layers[0].kernel
    first = kernel.numpy()
    kernel.assign_add(np.ones((3, 2)))
    average.put()
    np.testing.assert_array_equal(kernel, first)
    kernel.assign_add(np.ones((3, 2)))
    np.testing.assert_array_equal(average.variables[0], first)


def test_running_statistics_are_averaged_and_random_states_are_not():
    network = create_model("Tiny", num_classes=3)
    average = WeightAverage(network, 0.9)
    floats = [v for v in network.variables if "seed" not in v.name]
    assert len(average.variables) == len(floats) < len(network.variables)
    statistics = [v for v in network.variables if "moving_variance" in v.path]
    statistics[0].assign(statistics[0] + 7)
    average.update(1)
    moved = [
        a
        for a, b in zip(average.variables, floats, strict=True)
        if not np.array_equal(a, np.asarray(b))
    ]
    assert len(moved) == 1, "on its way to another value"
