import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training import optimizer as optimizer_module
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


SHAPES = ((3, 3, 2, 4), (5, 3), (3,), ())


def begun(steps: int = 0, **settings) -> tuple[Adam, list[keras.Variable]]:
    """An optimiser after some steps, and what it trains: kernels, a vector and a scalar."""
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
    made = Adam(**{"learning_rate": 0.01, **settings})
    made.build(variables)
    for step in range(steps):
        made.apply(gradients(step), variables)
    return made, variables


def gradients(step: int) -> list:
    rng = np.random.default_rng(100 + step)
    return [
        tf.constant(rng.normal(size=s) * 10.0 ** rng.integers(-6, 3), "float32") for s in SHAPES
    ]


def values(made: Adam, variables: list) -> list[np.ndarray]:
    return [np.array(variable) for variable in (*variables, *made.variables)]


def assert_bits(found: list, expected: list) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.fixture
def single(monkeypatch):
    """Switches TensorFlow's own operation off."""
    return lambda: monkeypatch.setattr(optimizer_module, "fused_update", lambda *of: False)


@pytest.mark.parametrize("weight_decay", [None, 0.1])
def test_the_fused_update_equals_single_operations(weight_decay, single, monkeypatch):
    taken = []
    fused = optimizer_module.fused_update
    monkeypatch.setattr(
        optimizer_module, "fused_update", lambda *of: taken.append(fused(*of)) or taken[-1]
    )
    first = values(*begun(6, weight_decay=weight_decay))
    assert taken == [True] * 6 * len(SHAPES)
    single()
    second = values(*begun(6, weight_decay=weight_decay))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_under_xla_single_operations_do_the_same():
    expected = values(*begun(3))
    made, variables = begun()
    compiled = tf.function(lambda g: made.apply(g, variables), jit_compile=True, autograph=False)
    for step in range(3):
        compiled(gradients(step))
    for a, b in zip(values(made, variables), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("steps", [0, 3])
def test_a_step_left_out_leaves_every_bit(steps, fused, single):
    if not fused:
        single()
    made, variables = begun(steps, weight_decay=0.1)
    before = values(made, variables)
    beyond = (np.nan, np.inf, 1.0, -np.inf)
    bad = [tf.fill(shape, value) for shape, value in zip(SHAPES, beyond, strict=True)]
    made.apply_if(tf.constant(0.0), bad, variables)
    assert_bits(values(made, variables), before)
    assert int(made.iterations) == steps
    # What follows is as if it had never been.
    made.apply(gradients(steps), variables)
    assert_bits(values(made, variables), values(*begun(steps + 1, weight_decay=0.1)))


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_is_taken_equals_any_other(fused, single):
    if not fused:
        single()
    made, variables = begun(2, weight_decay=0.1)
    before = values(made, variables)
    made.apply_if(tf.constant(1.0), gradients(2), variables)
    found, expected = values(made, variables), values(*begun(3, weight_decay=0.1))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    assert int(made.iterations) == 3
    assert all(not np.array_equal(a, b) for a, b in zip(found[:4], before[:4], strict=True))


def test_decays_as_adamw_and_no_vectors():
    rate, decay, beta_1, beta_2, epsilon = 0.01, 0.3, 0.9, 0.999, 1e-8
    expected = [np.array(variable, "float64") for variable in begun()[1]]
    m, v, largest = ([np.zeros(shape) for shape in SHAPES] for _ in range(3))
    for step in range(1, 6):
        for i, gradient in enumerate(gradients(step - 1)):
            gradient = np.array(gradient, "float64")
            if len(SHAPES[i]) > 1:
                expected[i] *= 1 - rate * decay
            m[i] = beta_1 * m[i] + (1 - beta_1) * gradient
            v[i] = beta_2 * v[i] + (1 - beta_2) * gradient**2
            largest[i] = np.maximum(largest[i], v[i])
            root = np.sqrt(largest[i]) / np.sqrt(1 - beta_2**step)
            expected[i] -= rate / (1 - beta_1**step) * m[i] / (root + epsilon)
    found = begun(5, weight_decay=decay)[1]
    plain = begun(5)[1]
    for i, shape in enumerate(SHAPES):
        np.testing.assert_allclose(found[i], expected[i], rtol=1e-5, atol=1e-6)
        assert np.array_equal(found[i], plain[i]) == (len(shape) < 2)


FACTORS = (1.0, 0.25, 0.0, 0.5)


def moved(steps: int, factors=None, **settings) -> tuple[list, list]:
    """How far variables go, and where they stand, under factors of the learning rate."""
    made, variables = begun(**settings)
    made.factors = factors
    starts = [np.array(variable, "float64") for variable in variables]
    for step in range(steps):
        made.apply(gradients(step), variables)
    ends = [np.array(variable) for variable in variables]
    return [end - start for end, start in zip(ends, starts, strict=True)], ends


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("weight_decay", [None, 0.3])
def test_a_step_goes_as_far_as_its_factor(weight_decay, fused, single):
    if not fused:
        single()
    settings = {"weight_decay": weight_decay}
    (plain, _), (slow, _) = moved(1, **settings), moved(1, FACTORS, **settings)
    for factor, step, whole in zip(FACTORS, slow, plain, strict=True):
        assert np.abs(whole).min() > 1e-3
        # Both are differences of numbers of about 1 in single precision.
        np.testing.assert_allclose(step, factor * whole, atol=5e-7)
    # The control: the others' factors would not do.
    assert np.abs(slow[1] - 0.5 * plain[1]).max() > 1e-3


@pytest.mark.parametrize("fused", [True, False])
def test_a_factor_of_nothing_leaves_every_bit(fused, single):
    if not fused:
        single()
    start = values(*begun())[2]
    (_, ends), (_, plain) = moved(5, FACTORS, weight_decay=0.3), moved(5, weight_decay=0.3)
    assert_bits([ends[2]], [start])
    assert_bits([ends[0]], [plain[0]])  # a factor of 1 is none
    still = moved(5, (0.0,) * 4, weight_decay=0.3)[1]
    assert_bits(still, values(*begun())[:4])


def test_without_factors_every_bit_is_as_with_ones():
    assert_bits(moved(4, (1.0,) * 4)[1], moved(4)[1])
    assert begun()[0].factors is None


def test_moments_do_not_depend_on_factors():
    made, variables = begun()
    made.factors = FACTORS
    for step in range(3):
        made.apply(gradients(step), variables)
    for a, b in zip(made.variables, begun(3)[0].variables, strict=True):
        np.testing.assert_array_equal(a, b)
