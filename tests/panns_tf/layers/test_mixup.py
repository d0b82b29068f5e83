import keras
import numpy as np
import pytest

from panns_tf.layers.mixup import Mixup, MixupLambda, mix
from tests.support import read_npz


def test_lambdas_are_the_references():
    expected = read_npz("samplers")["mixup_lambda"]
    np.testing.assert_allclose(MixupLambda(1234).draw(32), expected, rtol=1e-6)


def test_lambdas_of_another_seed_differ():
    assert not np.allclose(MixupLambda(1).draw(4), MixupLambda(1234).draw(4))


@pytest.mark.parametrize("start", [1, 7, 32])
def test_lambdas_continue_anywhere(start):
    whole = MixupLambda(3).draw(50)
    np.testing.assert_array_equal(MixupLambda(3, start=start).draw(50 - start), whole[2 * start :])


def test_lambdas_come_in_pairs_that_sum_to_one():
    pairs = MixupLambda(0, alpha=0.4).draw(1000).reshape(-1, 2)
    np.testing.assert_allclose(pairs.sum(axis=1), 1, rtol=1e-6)


def test_alpha_must_be_positive():
    with pytest.raises(ValueError, match="alpha must be above 0"):
        MixupLambda(alpha=0)


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 3), (6, 2, 3, 4)])
def test_neighbours_are_paired(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    weight = np.array([0.7, 0.3, 0.2, 0.8, 1, 0], "float32")
    expected = [weight[2 * i] * x[2 * i] + weight[2 * i + 1] * x[2 * i + 1] for i in range(3)]
    np.testing.assert_allclose(mix(x, weight), expected, rtol=1e-6)
    np.testing.assert_allclose(Mixup()([x, weight]), expected, rtol=1e-6)


def test_layer_halves_a_symbolic_batch():
    x, weight = keras.Input((5, 2), batch_size=8), keras.Input((), batch_size=8)
    assert Mixup()([x, weight]).shape == (4, 5, 2)


@pytest.mark.parametrize(
    ("items", "weights", "dtype", "message"),
    [
        (3, 3, "float32", "3 items and 3 weights"),
        (4, 1, "float32", "4 items and 1 weights"),
        (4, 4, "int16", "received int16"),
    ],
)
def test_what_has_no_pairs_is_refused(items, weights, dtype, message):
    with pytest.raises(ValueError, match=message):
        mix(np.ones((items, 2), dtype), np.full(weights, 0.5, "float32"))
