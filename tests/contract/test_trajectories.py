"""Gradients, running statistics and training steps are the reference's."""

import types

import keras
import pytest

from tests.contract.trajectory import first_step, loaded, trajectory
from tests.support import read_json

TRAINED = tuple(read_json("training")["networks"])
SHORT = ("Cnn6", "LeeNet11")


def networks():
    return [pytest.param(n, marks=() if n in SHORT else pytest.mark.full) for n in TRAINED]


@pytest.mark.parametrize("network", networks())
def test_gradients_and_running_statistics(network):
    found = first_step(loaded(network))
    assert found.gradient_norms < 0.01
    assert found.running_statistics < 1e-4


@pytest.mark.full
@pytest.mark.parametrize("network", TRAINED)
def test_gentle_steps(network, tmp_path):
    found = trajectory(network, 1e-5, tmp_path)
    assert max(found.losses) < 1e-3
    assert max(found.outputs) < 2e-3


@pytest.mark.parametrize(
    "network",
    ["LeeNet11", *(pytest.param(n, marks=pytest.mark.full) for n in ("Cnn6", "DaiNet19"))],
)
def test_steps_of_the_recipe(network, tmp_path):
    losses = trajectory(network, 1e-3, tmp_path).losses
    # At this rate every weight moves by the whole rate whichever way its gradient points, so
    # trajectories part by a factor of ten a step; see docs/parity.md.
    assert max(losses[:2]) < 1e-3
    assert max(losses) < 0.03


@pytest.mark.full
def test_a_biased_running_variance_is_noticed():
    # A channel of the last block sees twelve values, so Keras' own adds 11/12 of PyTorch's.
    model = loaded("Cnn14")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.call = types.MethodType(keras.layers.BatchNormalization.call, layer)
    assert first_step(model).running_statistics > 1e-3
