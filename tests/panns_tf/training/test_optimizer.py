import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training import optimizer as optimizer_module
from panns_tf.training.optimizer import Adam, LossScale, WarmupCosine, WeightAverage, learning_rate
from panns_tf.weights.loading import create_model
from tests.support import read_npz

SHAPES = ((3, 3, 2, 4), (5, 3), (3,), ())


@pytest.fixture(params=["plain", "compiled"])
def each_way(request, monkeypatch):
    """Runs a test with the update of small networks and with that of large ones."""
    if request.param == "compiled":
        monkeypatch.setattr(optimizer_module, "COMPILED_FROM", 0)


def path(optimizer) -> np.ndarray:
    units = read_npz("units")
    variable = keras.Variable(units["adam/parameter"][0])
    optimizer.build([variable])
    values = []
    for gradient in units["adam/gradient"]:
        optimizer.apply([gradient])
        values.append(variable.numpy())
    return np.array(values)


def test_adam_equals_pytorch_and_keras_own_does_not(each_way):
    expected = read_npz("units")["adam/parameter"][1:]
    np.testing.assert_allclose(path(Adam(1e-3)), expected, atol=3e-6)
    theirs = path(keras.optimizers.Adam(1e-3, amsgrad=True, epsilon=1e-8))
    assert np.abs(theirs - expected).max() > 1e-2


def begun(steps: int = 0, factors=None, **settings) -> tuple[Adam, list[keras.Variable]]:
    """An optimizer after some steps, and what it trains: kernels, a vector and a scalar."""
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
    made = Adam(**{"learning_rate": 0.01, **settings})
    made.build(variables)
    made.factors = factors
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
    assert [np.array(a).tobytes() for a in found] == [np.array(b).tobytes() for b in expected]


def test_a_step_left_out_leaves_every_bit(each_way):
    made, variables = begun(3, weight_decay=0.1)
    before = values(made, variables)
    beyond = (np.nan, np.inf, 1.0, -np.inf)
    bad = [tf.fill(shape, value) for shape, value in zip(SHAPES, beyond, strict=True)]
    made.apply(bad, variables, finite=tf.constant(0.0))
    assert_bits(values(made, variables), before)
    made.apply(gradients(3), variables, finite=tf.constant(1.0))
    assert int(made.iterations) == 4
    for a, b in zip(values(made, variables), values(*begun(4, weight_decay=0.1)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_decays_as_adamw_and_no_vectors(each_way):
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
    found, plain = begun(5, weight_decay=decay)[1], begun(5)[1]
    for i, shape in enumerate(SHAPES):
        np.testing.assert_allclose(found[i], expected[i], rtol=1e-5, atol=1e-6)
        assert np.allclose(found[i], plain[i], rtol=1e-6, atol=0) == (len(shape) < 2)


def test_a_step_goes_as_far_as_its_factor(each_way):
    factors = (1.0, 0.25, 0.0, 0.5)
    start, plain = begun()[1], begun(1)[1]
    made, slow = begun(1, factors)
    for factor, first, whole, part in zip(factors, start, plain, slow, strict=True):
        whole, part = np.array(whole - first), np.array(part - first)
        assert np.abs(whole).min() > 1e-3
        # Both are differences of numbers of about 1 in single precision.
        np.testing.assert_allclose(part, factor * whole, atol=5e-7)
    assert_bits([begun(5, factors)[1][2]], [start[2]])
    # Moments do not depend on factors.
    assert_bits([v.numpy() for v in made.variables], [v.numpy() for v in begun(1)[0].variables])


def test_variables_may_be_left_out_and_come_back_with_their_moments(each_way):
    """As layers that are frozen for a while."""
    made, variables = begun(2)
    before = values(made, variables)
    some, names = variables[1:3], [v.path for v in variables]
    made.apply(gradients(2)[1:3], some)
    for name, a, b in zip(names, before, variables, strict=False):
        assert np.array_equal(a, b) == (name not in [v.path for v in some])
    assert int(made.iterations) == 3
    made.apply(gradients(3), variables)
    whole = values(*begun(4))
    np.testing.assert_allclose(variables[1], whole[1], rtol=1e-5, atol=1e-7)
    assert not np.allclose(variables[0], whole[0], rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="was not built for stranger"):
        made.apply([np.float32(1)], [keras.Variable(1.0, name="stranger")])


def test_checkpoints_of_0_1_0_fit():
    names = [v.name.rsplit("_", 1)[-1] for v in begun()[0].variables]
    assert names == ["iteration", "rate", *["momentum", "velocity"] * 4, *["hat"] * 4]


def test_survives_serialisation_with_its_schedule():
    first = Adam(WarmupCosine(0.3, 50, 5, cosine=False), epsilon=1e-7, weight_decay=0.5)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    assert (type(copy), copy.epsilon, copy.weight_decay) == (Adam, 1e-7, 0.5)
    assert float(copy.learning_rate) == pytest.approx(0.06)


def test_the_schedule():
    def rates(schedule, *steps):
        return [float(schedule(step)) for step in steps]

    rise = WarmupCosine(0.4, steps=100, warmup_steps=4, cosine=False)
    assert rates(rise, 0, 1, 2, 3, 4, 99) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    expected = [1 + math.cos(math.pi * step / 100) for step in (0, 25, 50, 75, 100)]
    fall = WarmupCosine(2.0, steps=100)
    assert rates(fall, 0, 25, 50, 75, 100) == pytest.approx(expected, abs=1e-6)
    assert rates(fall, 150) == pytest.approx([0], abs=1e-6), "and does not rise again"
    both = WarmupCosine(1.0, steps=110, warmup_steps=10)
    assert rates(both, 4, 9, 10, 60, 110) == pytest.approx([0.5, 1, 1, 0.5, 0], abs=1e-6)
    # A rise longer than the run is no mistake.
    assert rates(WarmupCosine(1.0, 5, 10), 0, 4) == pytest.approx([0.1, 0.5])
    assert learning_rate(TrainConfig(learning_rate=0.5), 80) == 0.5
    made = learning_rate(TrainConfig(schedule="cosine", warmup_steps=7), 80)
    assert tuple(made.get_config().values()) == (1e-3, 80, 7, True)


def test_the_optimizer_counts_the_schedules_steps():
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


def test_the_average_follows_its_formula_and_forgets_the_first_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    average, kernel = WeightAverage(model, 0.6), model.layers[0].kernel
    expected, rng = kernel.numpy(), np.random.default_rng(0)
    for step in range(1, 21):
        kernel.assign(rng.normal(size=(3, 2)))
        average.update(tf.constant(step, tf.int64))
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * kernel.numpy()
    np.testing.assert_allclose(average.variables[0], expected, rtol=1e-5, atol=1e-6)
    last = kernel.numpy()
    assert np.abs(expected - last).max() > 0.1
    with pytest.raises(KeyError), average.in_place():
        np.testing.assert_array_equal(kernel, average.variables[0])
        raise KeyError
    np.testing.assert_array_equal(kernel, last)
    average.put()
    kernel.assign_add(np.ones((3, 2)))  # the averages are no alias
    np.testing.assert_allclose(average.variables[0], expected, rtol=1e-5, atol=1e-6)
    kernel.assign(tf.fill((3, 2), 1000.0))
    average = WeightAverage(model, 0.9999)
    kernel.assign(tf.zeros((3, 2)))
    for step in range(1, 101):
        average.update(step)
    assert np.max(average.variables[0]) < 1e-3  # 0.9999 ** 100 would leave 99 %


def test_running_statistics_are_averaged_and_random_states_are_not():
    network = create_model("Tiny", num_classes=3)
    average = WeightAverage(network, 0.9)
    floats = [v for v in network.variables if "seed" not in v.name]
    assert len(average.variables) == len(floats) < len(network.variables)
    assert any("moving_variance" in v.path for v in floats)


def test_the_loss_scale(monkeypatch):
    monkeypatch.setattr(LossScale, "PATIENCE", 3)

    def scales(scaling: LossScale, *finite: int) -> list[float]:
        found = []
        for each in finite:
            scaling.update(tf.constant(each, tf.float32))
            found.append(float(scaling.value) / LossScale.LARGEST_FIRST)
        return found

    assert scales(LossScale(2**20), 1, 1, 1, 1, 0, 1, 1, 1) == [1, 1, 2, 2, 1, 1, 1, 2]
    assert scales(LossScale(2**20), 1, 1, 0, 1, 1, 0) == [1, 1, 0.5, 0.5, 0.5, 0.25]
    assert float(LossScale(40).value) == 64, "where the gradient of an output is about one"
    low = LossScale(2**20)
    assert min(scales(low, *[0] * 40)) * LossScale.LARGEST_FIRST == 1
    first, second = LossScale(2**20), LossScale(2**20)
    scales(first, 0, 1, 1)
    for a, b in zip(second.variables, first.variables, strict=True):
        a.assign(b)
    assert scales(second, 1) == scales(first, 1) == [1], "variables hold all of the state"
