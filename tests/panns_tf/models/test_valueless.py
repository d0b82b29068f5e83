import keras
import pytest

from panns_tf.complexity import complexity
from panns_tf.models import blueprint
from panns_tf.models.valueless import without_values


class Inferred(keras.layers.Layer):
    """A layer whose output Keras has to try out, which fills variables that wait for values."""

    def call(self, x):
        return x


class Drawn(keras.initializers.Initializer):
    """Counts the variables that get a value."""

    def __init__(self):
        self.count = 0

    def __call__(self, shape, dtype=None):
        self.count += 1
        return keras.ops.zeros(shape, dtype)


def dense(drawn: Drawn) -> keras.layers.Dense:
    layer = keras.layers.Dense(2, kernel_initializer=drawn)
    layer.build((None, 3))
    return layer


def test_variables_never_get_values():
    drawn = Drawn()
    with without_values():
        layer = dense(drawn)
    Inferred()(keras.Input((3,)))
    assert drawn.count == 0
    assert layer.kernel.shape == (3, 2)


def test_keras_own_scope_fills_them_later():
    drawn = Drawn()
    with keras.StatelessScope(initialize_variables=False):
        layer = dense(drawn)
    assert drawn.count == 0
    Inferred()(keras.Input((3,)))
    assert (drawn.count, layer.kernel.shape) == (1, (3, 2))


def test_those_of_others_still_get_theirs():
    drawn = Drawn()
    with keras.StatelessScope(initialize_variables=False):
        layer = dense(drawn)
        with without_values():
            dense(Drawn())
    Inferred()(keras.Input((3,)))
    assert (drawn.count, layer.kernel.shape) == (1, (3, 2))


def test_after_an_error_too():
    drawn = Drawn()

    def fail():
        with without_values():
            dense(drawn)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    Inferred()(keras.Input((3,)))
    assert drawn.count == 0
    assert dense(drawn).kernel.numpy().shape == (3, 2)


@pytest.mark.parametrize("make", [blueprint, complexity])
def test_counting_a_network_leaves_nothing_to_fill(make, monkeypatch):
    drawn = Drawn()
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", drawn.__call__)
    kept = make("Tiny")
    Inferred()(keras.Input((3,)))
    assert drawn.count == 0
    assert kept is not None
