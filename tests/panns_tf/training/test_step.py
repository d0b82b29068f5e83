import gc
import time
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers import BatchNorm
from panns_tf.training.distribution import Distribution
from panns_tf.training.losses import binary_cross_entropy, loss_of
from panns_tf.training.optimizer import Adam
from panns_tf.training.step import UpdateStep, compiles, share_statistics, smooth
from panns_tf.weights.loading import create_model

ONE = Distribution(tf.distribute.get_strategy())
EXACT = {"dropout": False, "spec_augment": False}


def updates(mixup="none", batch_size=8, exact=True, **settings) -> UpdateStep:
    keras.utils.set_random_seed(0)
    config = TrainConfig(arch="Tiny", mixup=mixup, batch_size=batch_size, **settings)
    return UpdateStep(config, create_model("Tiny", 3, **(EXACT if exact else {})), ONE)


def batch(clips=8, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    waveform = rng.integers(-20000, 20000, (clips, 4000)).astype("int16")
    target = (rng.uniform(size=(clips, 3)) < 0.5).astype("float32")
    return {"waveform": tf.constant(waveform), "target": tf.constant(target)}


def state_of(update: UpdateStep) -> list[np.ndarray]:
    return [v.numpy() for v in (*update._network.variables, *update.optimizer.variables)]


def test_accumulated_gradients_are_the_mean_of_the_parts():
    update, whole = updates(accumulate=2), batch()
    place = tf.zeros((2,), tf.int64)
    found, loss = update._in_parts(whole, place)
    halves = [{name: x[i : i + 4] for name, x in whole.items()} for i in (0, 4)]
    parts = [update._of_part(half, place) for half in halves]
    assert float(loss) == pytest.approx(np.mean([float(part[1]) for part in parts]), rel=1e-6)
    for gradient, *each in zip(found, *(part[0] for part in parts), strict=True):
        np.testing.assert_allclose(gradient, (each[0] + each[1]) / 2, rtol=1e-4, atol=1e-7)
    # The control: statistics of the whole batch are others.
    one, _ = updates()._of_part(whole, place)
    assert any(not np.allclose(a, b, rtol=1e-2) for a, b in zip(found, one, strict=True))


def test_several_updates_in_a_call_are_those_one_by_one():
    data = tf.data.Dataset.from_tensors(batch()).concatenate(
        tf.data.Dataset.from_tensors(batch(seed=1))
    )
    together, apart = updates(exact=False), updates(exact=False)
    together.run(iter(data.repeat()), 4)
    batches = iter(data.repeat())
    for _ in range(4):
        apart.run(batches, 1)
    for a, b in zip(state_of(together), state_of(apart), strict=True):
        np.testing.assert_array_equal(a, b)


def test_flush_returns_the_sum_of_losses_and_begins_anew():
    update = updates()
    losses = [float(update.run_once(batch(seed=seed))) for seed in (1, 2)]
    assert float(update.flush()["loss"]) == pytest.approx(sum(losses), rel=1e-6)
    assert float(update.flush()["loss"]) == 0


def test_flush_returns_the_norms_of_the_last_looked_at_update():
    update = updates(log_steps=2)
    update.run_once(batch())
    assert float(update.flush()["gradient_norm"]) == -1, "no update that is a multiple of 2"
    weights = [np.asarray(v) for v in update._network.trainable_variables]
    place = tf.zeros((2,), tf.int64)
    gradients, _ = update._of_part(batch(seed=1), place)
    update.run_once(batch(seed=1))
    found = update.flush()
    norm = np.sqrt(sum(np.square(g).sum() for g in gradients))
    assert float(found["gradient_norm"]) == pytest.approx(norm, rel=1e-5)
    moved = np.sqrt(sum(np.square(w).sum() for w in weights))
    assert float(found["weight_norm"]) == pytest.approx(moved, rel=1e-2)
    weights = [np.asarray(v) for v in update._network.trainable_variables]
    assert float(found["weight_norm"]) == pytest.approx(
        np.sqrt(sum(np.square(w).sum() for w in weights)), rel=1e-6
    )


def test_the_wait_for_slow_data_is_counted():
    def slow():
        for seed in range(3):
            time.sleep(0.2)
            yield {name: x.numpy() for name, x in batch(seed=seed).items()}

    kinds = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in batch().items()}
    update = updates()
    update.run(iter(tf.data.Dataset.from_generator(slow, output_signature=kinds)), 3)
    assert 0.3 < float(update.flush()["waited"]) < 5
    assert float(update.flush()["waited"]) == 0


def test_the_first_bad_update_is_remembered():
    update, good = updates(), batch()
    update.restart_at(10)
    update.run_once(good)
    bad = {**good, "target": good["target"] * np.nan}
    update.run_once(bad)
    update.run_once(bad)
    assert int(update.first_bad()) == 12


def test_an_overflow_in_half_precision_changes_nothing_but_the_scale(policy):
    policy("mixed_float16")
    update = updates(precision="mixed_float16")
    update.run_once(batch())
    before = state_of(update)
    scale, _ = update.variables["loss_scale"]
    scale.assign(1e38)
    update.run_once(batch())
    assert float(scale) == pytest.approx(5e37)
    names = [v.path for v in (*update._network.variables, *update.optimizer.variables)]
    for name, a, b in zip(names, before, state_of(update), strict=True):
        if "moving" not in name:  # batch statistics are those of the forward pass
            np.testing.assert_array_equal(a, b, err_msg=name)
    scale.assign(2.0**10)
    update.run_once(batch())
    assert any(not np.array_equal(a, b) for a, b in zip(before, state_of(update), strict=True))


def test_label_smoothing_moves_targets_towards_each_other():
    np.testing.assert_allclose(smooth(np.array([0.0, 1.0, 0.5]), 0.2), [0.1, 0.9, 0.5])
    target = np.array([0.0, 1.0])
    assert smooth(target, 0.0) is target


def test_a_batch_that_fits():
    assert updates(mixup="features").fits(2, 4000)


def test_xla_is_for_gpus_unless_told():
    for xla, expected in (("auto", False), ("off", False), ("on", True)):
        assert compiles(TrainConfig(arch="Tiny", xla=xla), ONE) is expected


def test_what_devices_cannot_share_is_said(monkeypatch):
    monkeypatch.setattr(Distribution, "replicas", 2)
    for flag, settings in (("--xla on", {"xla": "on"}), ("--accumulate", {"accumulate": 2})):
        config = TrainConfig(arch="Tiny", sync_batchnorm=True, **settings)
        with pytest.raises(ValueError, match=f"{flag} and --sync-batchnorm do not go together"):
            compiles(config, ONE)


def test_all_batch_norms_share():
    network = create_model("Tiny", 3)
    share_statistics(network)
    assert all(x.synchronized for x in network.layers if isinstance(x, BatchNorm))


@pytest.mark.parametrize(("rest", "expected"), [(0.5, [0.1, 0.9]), (0.25, [0.05, 0.85])])
def test_label_smoothing_goes_towards_the_rest(rest, expected):
    np.testing.assert_allclose(smooth(np.array([0.0, 1.0]), 0.2, rest), expected)


def task_updates(activation="softmax", classes=4, factors=None, **settings) -> UpdateStep:
    """Updates of a tiny network that learns a task."""
    keras.utils.set_random_seed(0)
    config = TrainConfig(arch="Tiny", mixup="none", batch_size=8, **settings)
    network = create_model("Tiny", classes, activation=activation, hidden=(16,), **EXACT)
    return UpdateStep(config, network, ONE, loss=loss_of(activation), factors=factors)


def task_batch(clips=8, classes=4) -> dict:
    """Tones whose height is their class."""
    number = np.arange(clips) % classes
    wave = np.sin(np.arange(4000) * 0.15 * (1 + number[:, None]))
    target = np.eye(classes, dtype="float32")[number]
    return {"waveform": tf.constant((9000 * wave).astype("int16")), "target": tf.constant(target)}


def test_a_network_with_softmax_learns_a_task():
    update, batch = task_updates(learning_rate=3e-3), task_batch()
    losses = [float(update.run_once(batch)) for _ in range(40)]
    assert losses[-1] < 0.2 * losses[0]
    assert int(update.first_bad()) == 0


@pytest.mark.parametrize(("activation", "rest"), [("softmax", 1 / 4), ("sigmoid", 1 / 2)])
def test_label_smoothing_knows_what_is_said_at_random(activation, rest):
    update, batch = task_updates(activation, label_smoothing=0.2), task_batch()
    _, target = update._inputs(batch, tf.zeros((2,), tf.int64))
    np.testing.assert_allclose(target, 0.8 * batch["target"] + 0.2 * rest, atol=1e-6)
    if activation == "softmax":
        np.testing.assert_allclose(np.sum(target, axis=1), 1, atol=1e-6)
    # The loss is of these targets.
    inputs = {"waveform": tf.cast(batch["waveform"], tf.float32) / 32767}
    outputs = update._model.outputs_of(inputs, training=True)
    expected = float(loss_of(activation)(target, outputs))
    assert float(update._of_part(batch, tf.zeros((2,), tf.int64))[1]) == pytest.approx(expected)


def test_mixup_mixes_the_smoothed_targets():
    config = TrainConfig(arch="Tiny", mixup="features", batch_size=4, label_smoothing=0.2)
    network = create_model("Tiny", 4, activation="softmax", **EXACT)
    update = UpdateStep(config, network, ONE, loss=loss_of("softmax"))
    weight = np.float32([0.3, 0.7, 1, 0, 0.5, 0.5, 0.9, 0.1])
    batch = {**task_batch(), "mixup_lambda": tf.constant(weight)}
    _, target = update._inputs(batch, tf.zeros((2,), tf.int64))
    true = 0.8 * np.asarray(batch["target"]) + 0.05
    expected = (weight[:, None] * true).reshape(4, 2, 4).sum(axis=1)
    np.testing.assert_allclose(target, expected, atol=1e-6)
    assert np.isfinite(float(update.run_once(batch)))


def test_factors_reach_the_weights():
    names = [v.path for v in task_updates()._network.trainable_variables]
    factors = [1.0 if name.startswith("fc_") else 0.0 for name in names]
    update = task_updates(factors=factors)
    before = [v.numpy() for v in update._network.trainable_variables]
    update.run_once(task_batch())
    after = [v.numpy() for v in update._network.trainable_variables]
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [not factor for factor in factors]
    assert 0 < sum(factors) < len(factors)


def graph_is_forgotten(name: str) -> bool:
    """Says whether what an update of a network was compiled to is gone after it."""
    graphs = []

    def loss(target, outputs):
        graphs.append(weakref.ref(tf.compat.v1.get_default_graph()))
        return binary_cross_entropy(target, outputs)

    config = TrainConfig(arch=name, mixup="none", batch_size=8)
    UpdateStep(config, create_model(name, 3), ONE, loss=loss).run_once(batch())
    assert graphs
    gc.collect()
    return all(graph() is None for graph in graphs)


@pytest.mark.parametrize("network", ["Tiny", "Thin_Cnn14_DecisionLevelAtt"])  # without logits, too
def test_a_training_leaves_no_graph_behind(network):
    # Else many trainings in a process, folds or few-shot curves, take more memory with each.
    assert graph_is_forgotten(network)


def test_keras_own_sum_over_one_device_keeps_the_graph(monkeypatch):
    monkeypatch.setattr(
        Adam, "_all_reduce_sum_gradients", keras.optimizers.Adam._all_reduce_sum_gradients
    )
    assert not graph_is_forgotten("Tiny")
