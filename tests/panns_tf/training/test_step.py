import gc
import time
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training.distribution import Distribution, numerics
from panns_tf.training.losses import binary_cross_entropy, loss_for, smooth
from panns_tf.training.step import TrainStep, compiles, share_statistics
from panns_tf.weights.loading import create_model
from tests.precision import PRECISIONS, distance, losses

ONE = Distribution(tf.distribute.get_strategy())
EXACT = {"dropout": False, "spec_augment": False}
STEP = (tf.constant(0, tf.int64), tf.constant(1, tf.int64))  # replica, number of the update


def network(classes: int = 3, **overrides) -> keras.Model:
    keras.utils.set_random_seed(0)
    return create_model("Small", classes, **{**EXACT, **overrides})


def updates(model: keras.Model, loss=None, factors=None, **settings) -> TrainStep:
    settings = {"mixup": "none", "batch_size": 8, **settings}
    config = TrainConfig(arch="Small", **settings)
    return TrainStep(config, model, ONE, loss=loss, factors=factors)


def batch(clips=8, classes=3, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    waveform = rng.integers(-20000, 20000, (clips, 4000)).astype("int16")
    target = (rng.uniform(size=(clips, classes)) < 0.5).astype("float32")
    return {"waveform": tf.constant(waveform), "target": tf.constant(target)}


def run(update: TrainStep, *batches: dict) -> None:
    for each in batches:
        update.run(iter(tf.data.Dataset.from_tensors(each)), 1)


def state(update: TrainStep, model: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in (*model.variables, *update.optimizer.variables)]


def test_accumulated_gradients_are_the_mean_of_the_parts():
    model, whole = network(), batch()
    found, loss = updates(model, accumulate=2).gradients(whole, *STEP)
    halves = [{name: x[i : i + 4] for name, x in whole.items()} for i in (0, 4)]
    plain = updates(model)
    parts = [plain.gradients(half, *STEP) for half in halves]
    assert float(loss) == pytest.approx(np.mean([float(part[1]) for part in parts]), rel=1e-6)
    for gradient, a, b in zip(found, parts[0][0], parts[1][0], strict=True):
        np.testing.assert_allclose(gradient, (a + b) / 2, rtol=1e-4, atol=1e-7)
    # The control: statistics of the whole batch are others.
    one, _ = plain.gradients(whole, *STEP)
    assert any(not np.allclose(a, b, rtol=1e-2) for a, b in zip(found, one, strict=True))


def test_several_updates_in_a_call_are_those_one_by_one():
    data = tf.data.Dataset.from_tensors(batch())
    data = data.concatenate(tf.data.Dataset.from_tensors(batch(seed=1))).repeat()
    states = []
    for counts in ((4,), (1, 1, 1, 1)):
        model = network(dropout=True, spec_augment=True)
        update, batches = updates(model), iter(data)
        for count in counts:
            update.run(batches, count)
        states.append(state(update, model))
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_flush_returns_sums_and_norms_and_begins_anew():
    model = network()
    update = updates(model, log_steps=2)
    run(update, batch())
    first = update.flush()
    assert float(first["gradient_norm"]) == -1, "no update that is a multiple of 2"
    gradients, loss = update.gradients(batch(seed=1), *STEP)
    run(update, batch(seed=1))
    second = update.flush()
    assert float(second["loss"]) == pytest.approx(float(loss), rel=1e-5)
    norm = np.sqrt(sum(np.square(g).sum() for g in gradients))
    assert float(second["gradient_norm"]) == pytest.approx(norm, rel=1e-4)
    weights = np.sqrt(sum(np.square(v).sum() for v in model.trainable_variables))
    assert float(second["weight_norm"]) == pytest.approx(weights, rel=1e-6)
    assert float(update.flush()["loss"]) == 0


def test_the_wait_for_slow_data_is_counted():
    def slow():
        for seed in range(3):
            time.sleep(0.2)
            yield {name: x.numpy() for name, x in batch(seed=seed).items()}

    signature = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in batch().items()}
    update = updates(network())
    update.run(iter(tf.data.Dataset.from_generator(slow, output_signature=signature)), 3)
    assert 0.3 < float(update.flush()["waited"]) < 5
    assert float(update.flush()["waited"]) == 0


def test_the_first_bad_update_is_remembered():
    update, good = updates(network()), batch()
    update.steps.assign(10)
    bad = {**good, "target": good["target"] * np.nan}
    run(update, good, bad, bad)
    assert int(update.first_bad) == 12


def test_an_overflow_in_half_precision_changes_nothing_but_the_scale():
    with numerics("mixed_float16"):
        model = network()
        update = updates(model, precision="mixed_float16")
        run(update, batch())
        before = state(update, model)
        scale, _ = update.variables["loss_scale"]
        scale.assign(1e38)
        run(update, batch())
        assert float(scale) == pytest.approx(5e37)
        names = [v.path for v in (*model.variables, *update.optimizer.variables)]
        for name, a, b in zip(names, before, state(update, model), strict=True):
            if "moving" not in name:  # batch statistics are those of the forward pass
                np.testing.assert_array_equal(a, b, err_msg=name)
        scale.assign(2.0**10)
        run(update, batch())
        changed = zip(before, state(update, model), strict=True)
        assert any(not np.array_equal(a, b) for a, b in changed)


def test_xla_is_for_gpus_unless_set_and_not_for_shared_statistics(monkeypatch):
    for xla, expected in (("auto", False), ("off", False), ("on", True)):
        assert compiles(TrainConfig(arch="Small", xla=xla), ONE) is expected
    monkeypatch.setattr(Distribution, "replicas", 2)
    for settings in ({"xla": "on"}, {"accumulate": 2}):
        config = TrainConfig(arch="Small", sync_batchnorm=True, **settings)
        with pytest.raises(ValueError, match="neither --xla on nor --accumulate; leave one out"):
            compiles(config, ONE)
    model = network()
    share_statistics(model)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 5
    assert all(norm.synchronized for norm in norms)


@pytest.mark.full
def test_compiled_by_xla_it_is_the_same_step():
    found = []
    for xla in ("off", "on"):
        model = network()
        update = updates(model, xla=xla, learning_rate=1e-5)
        run(update, batch(), batch(seed=1))
        found.append((float(update.flush()["loss"]), state(update, model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4)


def tones(clips=8, classes=4) -> dict:
    """Tones whose height is their class."""
    number = np.arange(clips) % classes
    wave = np.sin(np.arange(4000) * 0.15 * (1 + number[:, None]))
    target = np.eye(classes, dtype="float32")[number]
    return {"waveform": tf.constant((9000 * wave).astype("int16")), "target": tf.constant(target)}


def test_a_network_with_softmax_learns_and_factors_reach_the_weights():
    model = network(4, activation="softmax", hidden=(16,))
    update = updates(model, learning_rate=3e-3)
    batches = iter(tf.data.Dataset.from_tensors(tones()).repeat())
    update.run(batches, 1)
    first = float(update.flush()["loss"])
    update.run(batches, 150)
    update.flush()
    update.run(batches, 1)
    assert float(update.flush()["loss"]) < 0.2 * first
    factors = [float(v.path.startswith("fc_")) for v in model.trainable_variables]
    slow = updates(model, factors=factors)
    before = [v.numpy() for v in model.trainable_variables]
    run(slow, tones())
    for factor, a, b in zip(factors, before, model.trainable_variables, strict=True):
        assert np.array_equal(a, b) == (not factor)
    assert 0 < sum(factors) < len(factors)


@pytest.mark.parametrize(("activation", "uniform"), [("softmax", 1 / 4), ("sigmoid", 1 / 2)])
def test_targets_are_smoothed_and_then_mixed(activation, uniform):
    targets = []

    def loss(target, outputs):
        targets.append(target)
        return loss_for(activation)(target, outputs)

    model = network(4, activation=activation)
    settings = {"mixup": "features", "batch_size": 4, "label_smoothing": 0.2}
    weight = np.float32([0.3, 0.7, 1, 0, 0.5, 0.5, 0.9, 0.1])
    mixed = {**tones(), "mixup_lambda": tf.constant(weight)}
    _, found = updates(model, loss, **settings).gradients(mixed, *STEP)
    smoothed = smooth(mixed["target"].numpy(), 0.2, uniform)
    expected = (weight[:, None] * smoothed).reshape(4, 2, 4).sum(axis=1)
    np.testing.assert_allclose(targets[0], expected, atol=1e-6)
    assert np.isfinite(float(found))


@pytest.mark.parametrize("network_name", ["Small", "Thin_Cnn14_DecisionLevelAtt"])
def test_a_training_leaves_no_graph_behind(network_name):
    # Networks with logits and without. Else many trainings in a process, folds or few-shot
    # curves, take more memory with each.
    graphs = []

    def loss(target, outputs):
        graphs.append(weakref.ref(tf.constant(0.0).graph))
        return binary_cross_entropy(target, outputs)

    run(updates(create_model(network_name, 3), loss), batch())
    assert graphs
    gc.collect()
    assert all(graph() is None for graph in graphs)


#: What the documentation states. Depthwise networks have few products in a sum.
LIMITS = {"mixed_bfloat16": 0.06, "mixed_float16": 0.03}
OF_MOBILENETS = 0.3


@pytest.mark.full
@pytest.mark.parametrize("precision", PRECISIONS)
def test_ten_steps_stay_near_float32_on_loud_and_silent_clips(thin_graph, precision):
    assert np.isfinite(losses(thin_graph, precision)).all()
    limit = OF_MOBILENETS if "MobileNet" in thin_graph else LIMITS[precision]
    assert distance(thin_graph, precision) < limit


@pytest.mark.full
def test_half_precision_is_not_float32():
    assert 0 < distance("Small", "mixed_bfloat16") < LIMITS["mixed_bfloat16"]
