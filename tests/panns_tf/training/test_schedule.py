import math

import keras
import pytest

from panns_tf.config import TrainConfig
from panns_tf.training.optimizer import Adam
from panns_tf.training.schedule import WarmupCosine, learning_rate


def rates(schedule, *steps: int) -> list[float]:
    return [float(schedule(step)) for step in steps]


def test_rises_in_a_line_and_stays():
    schedule = WarmupCosine(0.4, steps=100, warmup_steps=4, cosine=False)
    assert rates(schedule, 0, 1, 2, 3, 4, 99) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_falls_along_half_a_cosine_to_zero():
    schedule = WarmupCosine(2.0, steps=100)
    expected = [1 + math.cos(math.pi * step / 100) for step in (0, 25, 50, 75, 100)]
    assert rates(schedule, 0, 25, 50, 75, 100) == pytest.approx(expected, abs=1e-6)
    assert rates(schedule, 150) == pytest.approx([0], abs=1e-6), "and does not rise again"


def test_falls_over_what_the_rise_leaves():
    schedule = WarmupCosine(1.0, steps=110, warmup_steps=10)
    assert rates(schedule, 4, 9, 10, 60, 110) == pytest.approx([0.5, 1, 1, 0.5, 0], abs=1e-6)
    shorter = WarmupCosine(1.0, steps=60, warmup_steps=10)
    assert rates(shorter, 60) == pytest.approx([0], abs=1e-6)


def test_a_rise_longer_than_the_run_is_no_mistake():
    assert rates(WarmupCosine(1.0, steps=5, warmup_steps=10), 0, 4) == pytest.approx([0.1, 0.5])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 1e-3),
        ({"learning_rate": 0.5}, 0.5),
        ({"schedule": "cosine"}, (1e-3, 80, 0, True)),
        ({"warmup_steps": 7}, (1e-3, 80, 7, False)),
        ({"schedule": "cosine", "warmup_steps": 7}, (1e-3, 80, 7, True)),
    ],
)
def test_is_a_plain_number_if_it_is_constant(settings, expected):
    found = learning_rate(TrainConfig(steps=80, **settings))
    if isinstance(found, WarmupCosine):
        found = tuple(found.get_config().values())
    assert found == expected


def test_survives_serialisation_with_its_optimiser():
    first = Adam(WarmupCosine(0.3, 50, 5, cosine=False))
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    again = WarmupCosine.from_config(WarmupCosine(0.3, 50, 5, cosine=False).get_config())
    assert rates(again, 2) == pytest.approx([0.18])
    assert float(copy.learning_rate) == pytest.approx(0.06)


def test_the_optimiser_counts_its_steps():
    variable = keras.Variable([1.0])
    optimizer = Adam(WarmupCosine(0.1, 10, 4))
    optimizer.build([variable])
    moved = []
    for _ in range(3):
        before = variable.numpy()
        optimizer.apply([[1.0]])
        moved += list(before - variable.numpy())
    # Adam's steps of a constant gradient are as long as the rate.
    assert moved == pytest.approx([0.025, 0.05, 0.075], rel=1e-3)
