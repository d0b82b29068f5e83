import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training import loss_scale
from panns_tf.training.loss_scale import LARGEST_FIRST_SCALE as FIRST_SCALE
from panns_tf.training.loss_scale import LossScale


@pytest.fixture
def patience(monkeypatch):
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)


def scales(scaling: LossScale, *finite: int) -> list[float]:
    found = []
    for each in finite:
        scaling.update(tf.constant(each, tf.float32))
        found.append(float(scaling.scale(1.0)) / FIRST_SCALE)
    return found


def test_an_overflow_halves_and_a_long_quiet_doubles(patience):
    assert scales(LossScale(2**20), 1, 1, 1, 1, 0, 1, 1, 1) == [1, 1, 2, 2, 1, 1, 1, 2]


def test_an_overflow_starts_the_wait_again(patience):
    assert scales(LossScale(2**20), 1, 1, 0, 1, 1, 0) == [1, 1, 0.5, 0.5, 0.5, 0.25]


def test_is_never_below_one():
    scaling = LossScale(2**20)
    assert min(scales(scaling, *[0] * 40)) == 1 / FIRST_SCALE
    assert scales(scaling, 1) == [1 / FIRST_SCALE]


def test_small_gradients_survive_float16_only_when_scaled():
    x = tf.constant(1.0, tf.float16)
    scaling = LossScale(2**20)

    def gradient(scale):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.cast(x, tf.float32) * 1e-9
            scaled = scale(loss)
        return tape.gradient(scaled, x)

    assert gradient(lambda loss: loss) == 0
    (found,) = scaling.unscale([tf.cast(gradient(scaling.scale), tf.float32)])
    assert float(found) == pytest.approx(1e-9, rel=1e-2)


def test_unscaling_keeps_overflows():
    found = LossScale(2**20).unscale([tf.constant([np.inf, FIRST_SCALE, np.nan])])
    np.testing.assert_array_equal(found, [[np.inf, 1, np.nan]])


def test_variables_hold_all_that_it_knows(patience):
    first, second = LossScale(2**20), LossScale(2**20)
    scales(first, 0, 1, 1)
    for a, b in zip(second.variables, first.variables, strict=True):
        a.assign(b)
    assert scales(second, 1) == scales(first, 1) == [1]


def test_starts_where_the_gradient_of_an_output_is_about_one():
    assert float(LossScale(40).scale(1.0)) == 64
    assert float(LossScale(32 * 527).scale(1.0)) == 2**15
