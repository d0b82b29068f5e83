"""The loop around the compiled step: logs, evaluations, checkpoints, groups of layers."""

import dataclasses
import errno
import itertools
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.run import RunError
from panns_tf.training import checkpoint
from panns_tf.training import trainer as trainer_module
from panns_tf.training.checkpoint import NotFiniteError, checkpoints
from panns_tf.training.data import RecordData, TrainingData
from panns_tf.training.distribution import Distribution, numerics
from panns_tf.training.evaluator import RecordEvaluator
from panns_tf.training.trainer import EarlyStopping, LayerGroup, Trainer
from panns_tf.weights.loading import create_model
from tfrecords import dataset

RATE = 8000


def configuration(data, run_dir, **changes) -> TrainConfig:
    base = TrainConfig(
        arch="Small",
        data=str(data / "train"),
        eval_data=str(data / "eval"),
        run_dir=str(run_dir),
        steps=6,
        batch_size=4,
        eval_steps=3,
        log_steps=2,
        eval_training_clips=0,
    )
    run_dir.mkdir(exist_ok=True, parents=True)
    return dataclasses.replace(base, **changes)


def made(config, network=None, **more) -> Trainer:
    keras.utils.set_random_seed(config.seed)
    network = network or create_model("Small", num_classes=12)
    one = Distribution(tf.distribute.get_strategy())
    data = RecordData(config, RATE, one)
    evaluate = RecordEvaluator(config, network, one, data.note_damage) if config.eval_data else None
    return Trainer(config, network, data, **{"evaluate": evaluate, **more})


def trained(config, resume=False, **more) -> Trainer:
    trainer = made(config, **more)
    if resume:
        trainer.restore()
    trainer.train()
    return trainer


def state(trainer: Trainer) -> list[np.ndarray]:
    return [np.asarray(v) for v in trainer.variables.values()]


def assert_same(ours: Trainer, theirs: Trainer) -> None:
    for a, b in zip(state(ours), state(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def messages(monkeypatch) -> list[str]:
    """What is logged."""
    found: list[str] = []
    for name in ("info", "warning"):
        monkeypatch.setattr(trainer_module.logger, name, found.append)
    return found


class Calls(keras.callbacks.Callback):
    """Notes what it is called with; changes the rate, and stops."""

    def __init__(self):
        super().__init__()
        self.epochs, self.batches = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs["step"], sorted(logs)))
        self.model.optimizer.learning_rate = 0.5
        self.model.stop_training = epoch == 2

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, sorted(logs)))


def test_a_run_leaves_its_files_and_calls_keras_callbacks(data, tmp_path):
    calls = Calls()
    trainer = made(configuration(data, tmp_path, steps=12, log_steps=3), callbacks=[calls])
    assert (trainer.train(), trainer.step) == (None, 9), "stopped by the callback"
    assert [row["step"] for row in trainer.history] == [3, 6, 9]
    assert {"loss", "mAP", "mAUC"} <= set(trainer.history[0])
    best = max(trainer.history, key=lambda row: row["mAP"])
    assert (trainer.best, trainer.best_step) == ((best["mAP"],), best["step"])
    assert [call[:2] for call in calls.epochs] == [(0, 3.0), (1, 6.0), (2, 9.0)]
    assert {"mAP", "mAUC", "d_prime"} <= set(calls.epochs[0][2])
    assert [batch for batch, _ in calls.batches] == list(range(9))
    assert {"loss", "clips_per_second", "learning_rate"} <= set(calls.batches[2][1])
    assert calls.batches[1][1] == []
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [3, 6, 9]
    assert [line["step"] for line in lines if "mAP" in line] == [3, 6, 9]
    assert [line["learning_rate"] for line in lines if "loss" in line][-1] == 0.5
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"best.keras", "final.keras", "checkpoints", "metrics.jsonl", "tensorboard"}
    assert [p.name for p in checkpoints(tmp_path / "checkpoints")] == ["step-000000009.npz"]


EVERYTHING = {
    **{"accumulate": 2, "schedule": "cosine", "warmup_steps": 3, "weight_decay": 0.01},
    **{"ema": 0.9, "label_smoothing": 0.1, "mixup_alpha": 0.5, "time_shift": 0.1, "gain": 6.0},
    **{"steps_per_call": 3, "checkpoint_steps": 5, "steps": 9},
}


@pytest.mark.full
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_resumed_with_every_option_is_bit_identical(data, tmp_path, deterministic, precision):
    with numerics(precision):
        settings = {**EVERYTHING, "precision": precision}
        whole = trained(configuration(data, tmp_path / "whole", **settings))
        parts = configuration(data, tmp_path / "parts", **settings)
        trained(parts)
        first, last = checkpoints(tmp_path / "parts" / "checkpoints")
        assert first.name == "step-000000005.npz"
        last.unlink()
        assert_same(whole, trained(parts, resume=True))
        for name in ("whole", "parts"):
            assert all(np.isfinite(v).all() for v in state(whole))
            model = keras.saving.load_model(tmp_path / name / "final.keras")
            # The averages are what is saved.
            floats = [v for v in model.variables if v.dtype.startswith("float")]
            for a, b in zip(whole.update.average.variables, floats, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(data, tmp_path):
    trainer = made(configuration(data, tmp_path, eval_data=None))
    for trainer.step in (1, 2):
        trainer.save()
    first, last = checkpoints(tmp_path / "checkpoints")
    last.write_bytes(last.read_bytes()[:1000])
    trainer.restore()
    assert trainer.step == 1
    first.write_bytes(b"xx")
    with pytest.raises(ValueError, match=r"no checkpoint can be resumed: .* is damaged"):
        trainer.restore()


def test_a_checkpoint_of_another_network_or_class_list_is_refused(data, tmp_path):
    config = configuration(data, tmp_path, eval_data=None)
    made(config).save()
    for other in (create_model("Small", num_classes=11), create_model("Tiny", 12)):
        with pytest.raises(ValueError, match="is of another network or optimiser"):
            made(config, other).restore()


@pytest.mark.full
def test_loss_falls_and_held_out_map_beats_chance(data, tmp_path):
    settings = {"steps": 150, "batch_size": 16, "eval_steps": 150, "learning_rate": 3e-3}
    config = configuration(data, tmp_path, mixup="none", **settings)
    network = create_model("Small", num_classes=12, dropout=False, spec_augment=False)
    trainer = made(config, network)
    trainer.train()
    (row,) = trainer.history
    assert row["mAP"] > 2 * row["chance_mAP"]


def test_nan_stops_with_its_step_and_keeps_the_last_good_checkpoint(data, tmp_path):
    config = configuration(data, tmp_path, checkpoint_steps=1, log_steps=1, eval_data=None)
    trainer = made(config)
    run = trainer.update.run

    def poisoned(batches, count):
        if trainer.step + 1 == 4:
            trainer.network.get_layer("fc_audioset").bias.assign(np.full(12, np.nan))
        run(batches, count)

    trainer.update.run = poisoned
    message = r"at step 4, of the clips (.*); the last checkpoint is .*0003.npz"
    with pytest.raises(NotFiniteError, match=message) as caught:
        trainer.train()
    options = {"sampling": "balanced", "seed": config.seed, "start": 3 * 8}
    ids = next(iter(dataset(config.data, batch_size=8, **options)))["clip_id"].numpy().tolist()
    assert re.search(message, str(caught.value))[1] == ", ".join(i.decode() for i in ids)
    path = checkpoints(tmp_path / "checkpoints")[-1]
    assert checkpoint.restore_checkpoint(path, trainer.variables)["step"] == 3
    assert all(np.isfinite(v).all() for v in state(trainer))


def test_a_gradient_that_a_rectifier_hides_from_the_loss_is_noticed(data, tmp_path):
    trainer = made(configuration(data, tmp_path, log_steps=1, eval_steps=1))
    kernel = trainer.network.get_layer("conv_block2.conv1").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(NotFiniteError, match="became NaN or infinite at step 1, of the clips"):
        trainer.train()
    assert not (tmp_path / "best.keras").exists()


def full_disk(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("then", ["continue", "stop"])
def test_a_full_disk_leaves_the_checkpoint_before(data, tmp_path, monkeypatch, messages, then):
    config = configuration(data, tmp_path, checkpoint_steps=1, eval_data=None, full_disk=then)
    add = checkpoint._add

    def sometimes(archive, name, array):
        if name == "meta" and json.loads(str(array))["step"] in (3, 4):
            full_disk()
        add(archive, name, array)

    monkeypatch.setattr(checkpoint, "_add", sometimes)
    if then == "stop":
        with pytest.raises(OSError, match="No space left"):
            trained(config)
        assert checkpoints(tmp_path / "checkpoints")[-1].name == "step-000000002.npz"
    else:
        trained(config)
        assert checkpoints(tmp_path / "checkpoints")[-1].name == "step-000000006.npz"
        starts = [line.split(":")[0] for line in messages]
        assert starts == [f"the checkpoint of step {step} was not written" for step in (3, 4)]
        assert "step-000000002.npz. Training goes on." in messages[0]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_network_that_cannot_be_written(data, tmp_path, monkeypatch, messages):
    trainer = made(configuration(data, tmp_path, eval_steps=6))
    with monkeypatch.context() as patch:
        patch.setattr(trainer.network, "save", full_disk)
        trainer.evaluate()
    assert trainer.best is None
    assert "best.keras of step 0 was not written" in messages[0]
    trainer.evaluate()
    assert trainer.best_step == 0
    trainer = made(configuration(data, tmp_path / "other", eval_data=None))
    monkeypatch.setattr(trainer.network, "save", full_disk)
    with pytest.raises(OSError, match=r"final.keras was not written.*step-000000006.*--resume"):
        trainer.train()


def test_a_batch_that_does_not_fit_is_one_line(data, tmp_path):
    for error, expected in (
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), RunError),
        (tf.errors.InternalError(None, None, "Out of memory while"), RunError),
        (tf.errors.InternalError(None, None, "something else"), tf.errors.InternalError),
    ):
        trainer = made(configuration(data, tmp_path, eval_data=None))

        def fails(batches, count, error=error):
            raise error

        trainer.update.run = fails
        with pytest.raises(expected) as caught:
            trainer.train()
        if expected is RunError:
            assert "lower --batch-size, or raise --accumulate" in str(caught.value)


class Memory(TrainingData):
    """Clips from memory, as fine-tuning gives them."""

    def __init__(self, config: TrainConfig):
        rng = np.random.default_rng(0)
        clips = config.clips_per_step
        waveform = rng.integers(-9999, 9999, (clips, 4000)).astype("int16")
        target = np.eye(3, dtype="float32")[rng.integers(3, size=clips)]
        self._batch = {"waveform": waveform, "target": target}

    def batches(self, step: int):
        return iter(tf.data.Dataset.from_tensors(self._batch).repeat())

    def clip_ids(self, step: int) -> list[str]:
        return ["a"]


def memory(scores=(), **settings) -> tuple[TrainConfig, keras.Model, Memory, dict]:
    """A training without a run directory, whose evaluations give these scores."""
    config = TrainConfig(
        arch="Small", mixup="none", batch_size=4, **{"steps": 6, "log_steps": 1, **settings}
    )
    keras.utils.set_random_seed(0)
    network = create_model("Small", 3, dropout=False, spec_augment=False)
    values = iter(scores)
    more = {"evaluate": lambda: dict(next(values)), "monitor": ("score", "tie")} if scores else {}
    return config, network, Memory(config), more


def test_without_a_run_directory_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, network, data, _ = memory()
    trainer = Trainer(config, network, data)
    trainer.train()
    assert [row["step"] for row in trainer.history] == [1, 2, 3, 4, 5, 6]
    assert trainer.history[-1]["loss"] < trainer.history[0]["loss"]
    assert list(tmp_path.iterdir()) == []
    assert network.optimizer is None
    network.get_layer("fc_audioset").bias.assign(np.full(3, np.nan))
    with pytest.raises(NotFiniteError, match=r"at step 1, of the clips a; try a lower"):
        Trainer(config, network, data).train()


def test_training_stops_early_and_takes_the_best_weights():
    scores = [(0.5, 0), (0.7, 0), (0.7, 1), (float("nan"), 9), (0.7, 1), (0.9, 0)]
    scores = [{"score": score, "tie": tie} for score, tie in scores]
    weights = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights.append(self.model.get_weights())

    for patience, min_steps, steps, best in ((2, 0, 5, 3), (2, 6, 6, 6)):
        weights.clear()
        config, network, data, more = memory(scores, eval_steps=1)
        rule = EarlyStopping(patience, min_steps)
        more |= {"early_stopping": rule, "callbacks": [Keep()]}
        trainer = Trainer(config, network, data, **more)
        trainer.train()
        assert (trainer.step, trainer.best_step) == (steps, best)
        assert [row["score"] for row in trainer.history][:3] == [0.5, 0.7, 0.7]
        for a, b in zip(weights[best - 1], network.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_layer_groups_unfreeze_with_one_optimizer_that_goes_on():
    def groups(network, *unfreeze):
        names = ("conv_block1", "conv_block2")
        return [
            LayerGroup([x for x in network.layers if x.name.startswith(name)], 0.5, step)
            for name, step in zip(names, unfreeze, strict=True)
        ]

    def kernels(network):
        layers = ("conv_block1.conv1", "conv_block2.conv1", "fc_audioset")
        return [network.get_layer(name).kernel.numpy() for name in layers]

    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(kernels(self.model))

    config, network, data, _ = memory(steps=4, schedule="cosine")
    statistics = network.get_layer("conv_block1.bn1").moving_mean.numpy()
    first = kernels(network)
    trainer = Trainer(config, network, data, groups=groups(network, None, 2), callbacks=[Watch()])
    trainer.train()
    moved = [
        [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        for before, after in itertools.pairwise([first, *seen])
    ]
    assert moved == [[False, False, True]] * 2 + [[False, True, True]] * 2
    assert np.array_equal(network.get_layer("conv_block1.bn1").moving_mean, statistics)
    assert int(trainer.update.optimizer.iterations) == 4, "one schedule for the whole training"
    assert all(layer.trainable for layer in network.layers)
    # The control: factors reach the layers, and nothing frozen is as without groups.
    steps = []
    for make in (lambda network: [], lambda network: groups(network, 0, 0)):
        config, network, data, _ = memory(steps=1, weight_decay=0.0)
        before = kernels(network)
        Trainer(config, network, data, groups=make(network)).train()
        steps.append([b - a for a, b in zip(before, kernels(network), strict=True)])
    for whole, part, factor in zip(*steps, (0.5, 0.5, 1.0), strict=True):
        np.testing.assert_allclose(part, factor * whole, atol=2e-7)
