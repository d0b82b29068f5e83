import keras
import numpy as np

from panns_tf.training.optimizer import Adam
from tests.support import read_npz


def path(optimizer) -> np.ndarray:
    units = read_npz("units")
    variable = keras.Variable(units["adam/parameter"][0])
    optimizer.build([variable])
    values = []
    for gradient in units["adam/gradient"]:
        optimizer.apply([gradient])
        values.append(variable.numpy())
    return np.array(values)


def test_equals_pytorch_for_awkward_gradients():
    expected = read_npz("units")["adam/parameter"][1:]
    np.testing.assert_allclose(path(Adam(1e-3)), expected, atol=3e-6)


def test_keras_own_adam_does_not():
    expected = read_npz("units")["adam/parameter"][1:]
    ours = path(keras.optimizers.Adam(1e-3, amsgrad=True, epsilon=1e-8))
    assert np.abs(ours - expected).max() > 1e-2


def test_survives_serialisation():
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(Adam(2e-3, epsilon=1e-7)))
    assert isinstance(copy, Adam)
    assert copy.amsgrad
    assert copy.epsilon == 1e-7
