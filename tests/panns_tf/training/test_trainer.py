"""The training step against the reference's own first steps, and the loop around it."""

import dataclasses
import errno
import json
import re

import keras
import numpy as np
import pytest

from panns_tf.config import TrainConfig
from panns_tf.training import state
from panns_tf.training.state import NotFiniteError
from panns_tf.training.trainer import Trainer
from panns_tf.weights.loading import create_model
from tfrecords import dataset


def configuration(data, run_dir, **changes) -> TrainConfig:
    base = TrainConfig(
        arch="Tiny",
        data=str(data / "train"),
        eval_data=str(data / "eval"),
        run_dir=str(run_dir),
        steps=6,
        batch_size=4,
        eval_steps=3,
        log_steps=2,
    )
    run_dir.mkdir(exist_ok=True, parents=True)
    return dataclasses.replace(base, **changes)


def weights_after(config, steps=None, resume=False) -> list[np.ndarray]:
    keras.utils.set_random_seed(config.seed)
    network = create_model("Tiny", num_classes=12)
    trainer = Trainer(config, network, say=lambda line: None)
    if resume:
        trainer.restore()
    trainer.train()
    return [np.asarray(v) for v in trainer.variables.values()]


def test_writes_what_the_readme_says(data, tmp_path):
    weights_after(configuration(data, tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6]
    assert [line["step"] for line in lines if "mAP" in line] == [3, 6]
    assert {"best.keras", "final.keras", "checkpoints", "tensorboard"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert [path.name for path in state.checkpoints(tmp_path / "checkpoints")] == [
        "step-000000006.npz"
    ]


@pytest.mark.parametrize(
    ("mixup", "sampling"),
    [("features", "balanced"), ("waveform", "alternate"), ("none", "shuffled")],
)
def test_resumed_run_is_bit_identical(data, tmp_path, deterministic, mixup, sampling):
    settings = {"mixup": mixup, "sampling": sampling, "eval_data": None}
    whole = weights_after(configuration(data, tmp_path / "whole", **settings))
    first = configuration(data, tmp_path / "parts", **settings, steps=2)
    weights_after(first)
    parts = weights_after(dataclasses.replace(first, steps=6), resume=True)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    # The control: the random states of dropout and SpecAugment matter.
    other = weights_after(configuration(data, tmp_path / "other", **settings, seed=1))
    assert any(not np.array_equal(a, b) for a, b in zip(whole, other, strict=True))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(data, tmp_path):
    config = configuration(data, tmp_path, checkpoint_steps=2, eval_data=None)
    whole = weights_after(config)
    newest = state.checkpoints(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    again = weights_after(config, resume=True)
    for a, b in zip(whole, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nan_stops_with_its_step_and_keeps_the_last_good_checkpoint(data, tmp_path):
    config = configuration(data, tmp_path, checkpoint_steps=1, log_steps=1, eval_data=None)
    network = create_model("Tiny", num_classes=12)
    trainer = Trainer(config, network)
    run = trainer.update.run

    def poisoned(batches, count):
        if trainer.step + 1 == 4:
            network.get_layer("fc_audioset").bias.assign(np.full(12, np.nan))
        run(batches, count)

    trainer.update.run = poisoned
    message = r"at step 4, of the clips (.*); the last good checkpoint is .*0003.npz"
    with pytest.raises(NotFiniteError, match=message) as caught:
        trainer.train()
    drawn = dataset(config.data, batch_size=8, sampling="balanced", seed=config.seed, start=3 * 8)
    ids = next(iter(drawn))["clip_id"].numpy().tolist()
    assert re.search(message, str(caught.value))[1] == ", ".join(i.decode() for i in ids)
    variables = trainer.variables
    path = state.checkpoints(tmp_path / "checkpoints")[-1]
    assert state.restore_checkpoint(path, variables)["step"] == 3
    assert all(np.isfinite(v).all() for v in variables.values())


def test_without_any_readable_checkpoint_nothing_is_overwritten(data, tmp_path):
    config = configuration(data, tmp_path, eval_data=None)
    weights_after(config)
    for path in state.checkpoints(tmp_path / "checkpoints"):
        path.write_bytes(b"xx")
    with pytest.raises(ValueError, match=r"no checkpoint can be resumed: .* is damaged"):
        weights_after(config, resume=True)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(data, tmp_path, precision, policy):
    policy(precision)
    config = configuration(data, tmp_path, precision=precision)
    assert all(np.isfinite(v).all() for v in weights_after(config))


def test_the_whole_step_compiles_with_xla(data, tmp_path):
    plain = weights_after(configuration(data, tmp_path / "plain", steps=2, mixup="none"))
    xla = weights_after(configuration(data, tmp_path / "xla", steps=2, mixup="none", xla="on"))
    assert len(plain) == len(xla)
    assert all(np.isfinite(v).all() for v in xla)


def test_loss_falls_and_held_out_map_beats_chance(data, tmp_path):
    config = configuration(
        data, tmp_path, steps=150, batch_size=16, eval_steps=150, learning_rate=3e-3, mixup="none"
    )
    trainer = Trainer(
        config, create_model("Tiny", num_classes=12, dropout=False, spec_augment=False)
    )
    trainer.train()
    figures = trainer.summary.as_dict()
    assert figures["mAP"] > 2 * figures["chance_mAP"]


EVERYTHING = {
    "accumulate": 2,
    "schedule": "cosine",
    "warmup_steps": 3,
    "weight_decay": 0.01,
    "ema": 0.9,
    "label_smoothing": 0.1,
    "mixup_alpha": 0.5,
    "time_shift": 0.1,
    "gain": 6.0,
    "steps_per_call": 3,
    "checkpoint_steps": 5,
}


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_resumed_with_every_option_is_bit_identical(
    data, tmp_path, policy, deterministic, precision
):
    policy(precision)
    settings = {**EVERYTHING, "precision": precision, "steps": 9}
    whole = weights_after(configuration(data, tmp_path / "whole", **settings))
    parts = configuration(data, tmp_path / "parts", **settings)
    weights_after(parts)
    for path in state.checkpoints(parts_dir := tmp_path / "parts" / "checkpoints")[1:]:
        path.unlink()
    assert [path.name for path in state.checkpoints(parts_dir)] == ["step-000000005.npz"]
    resumed = weights_after(parts, resume=True)
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)
    averaged, plain = (
        keras.saving.load_model(tmp_path / name / "final.keras").get_weights()
        for name in ("whole", "parts")
    )
    for a, b in zip(averaged, plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_average_is_what_is_evaluated_and_saved(data, tmp_path):
    config = configuration(data, tmp_path, ema=0.9, checkpoint_steps=6)
    network = create_model("Tiny", num_classes=12)
    trainer = Trainer(config, network, say=lambda line: None)
    trainer.train()
    with np.load(state.checkpoints(tmp_path / "checkpoints")[-1]) as file:
        saved = {name: file[name] for name in file.files}
    last = [saved[name] for name in saved if name.startswith("network/") and "kernel" in name]
    final = [v.numpy() for v in network.variables if "kernel" in v.path]
    assert any(not np.array_equal(a, b) for a, b in zip(last, final, strict=True))
    averages = [v.numpy() for v in trainer.update.average.variables]
    floats = [v.numpy() for v in network.variables if v.dtype.startswith("float")]
    for a, b in zip(averages, floats, strict=True):
        np.testing.assert_array_equal(a, b)


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("then", ["continue", "stop"])
def test_a_full_disk_leaves_the_checkpoint_before(data, tmp_path, monkeypatch, then):
    config = configuration(data, tmp_path, checkpoint_steps=1, eval_data=None, full_disk=then)
    said, write = [], state._write

    def sometimes(path, variables, meta):
        if meta["step"] in (3, 4):
            path.write_bytes(b"half")
            full_disk()
        write(path, variables, meta)

    monkeypatch.setattr(state, "_write", sometimes)
    trainer = Trainer(config, create_model("Tiny", num_classes=12), say=said.append)
    if then == "stop":
        with pytest.raises(OSError, match="No space left"):
            trainer.train()
        assert state.checkpoints(tmp_path / "checkpoints")[-1].name == "step-000000002.npz"
    else:
        trainer.train()
        assert state.checkpoints(tmp_path / "checkpoints")[-1].name == "step-000000006.npz"
        assert [line.split(":")[0] for line in said] == [
            "No checkpoint at step 3",
            "No checkpoint at step 4",
        ]
        assert "the last is step-000000002.npz. Training goes on." in said[0]
    assert not list((tmp_path / "checkpoints").glob("*.partial"))


def test_a_checkpoint_of_another_network_or_class_list_is_refused(data, tmp_path):
    config = configuration(data, tmp_path, eval_data=None)
    weights_after(config)
    for other in (create_model("Tiny", num_classes=11), create_model("Wavegram_Tiny", 12)):
        with pytest.raises(ValueError, match="is of another network or optimiser"):
            Trainer(config, other, say=lambda line: None).restore()


def test_keras_callbacks_are_called_as_they_are_used_to(data, tmp_path):
    config = configuration(data, tmp_path, steps=12, eval_steps=3, log_steps=3)
    calls = []

    class Watcher(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            calls.append((epoch, logs["step"], sorted(logs)))
            if epoch == 1:
                self.model.optimizer.learning_rate = 0.5
            if epoch == 2:
                self.model.stop_training = True

        def on_train_batch_end(self, batch, logs=None):
            calls.append((batch, sorted(logs)))

    network = create_model("Tiny", num_classes=12)
    trainer = Trainer(config, network, callbacks=[Watcher()], say=lambda line: None)
    assert trainer.train() is None
    assert trainer.step == 9
    epochs = [call for call in calls if len(call) == 3]
    assert [call[:2] for call in epochs] == [(0, 3.0), (1, 6.0), (2, 9.0)]
    assert {"mAP", "mAUC", "d_prime"} <= set(epochs[0][2])
    batches = [call for call in calls if len(call) == 2]
    assert [batch for batch, _ in batches] == list(range(9))
    assert {"loss", "clips_per_second", "learning_rate"} <= set(batches[2][1])
    assert batches[1][1] == []
    rates = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in rates if "loss" in line][-1] == 0.5
    assert (tmp_path / "final.keras").exists()


def test_a_gradient_that_a_rectifier_hides_from_the_loss_is_noticed(data, tmp_path):
    config = configuration(data, tmp_path, log_steps=1, eval_steps=1, dropout=False)
    network = create_model("Tiny", num_classes=12, dropout=False)
    trainer = Trainer(config, network, say=lambda line: None)
    kernel = network.get_layer("conv_block2.conv1").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(NotFiniteError, match="became NaN or infinite at step 1, of the clips"):
        trainer.train()
    assert not (tmp_path / "best.keras").exists()


def test_a_best_network_that_was_not_written_is_not_the_best(data, tmp_path, monkeypatch):
    config = configuration(data, tmp_path, eval_steps=6)
    said = []
    trainer = Trainer(config, create_model("Tiny", num_classes=12), say=said.append)
    with monkeypatch.context() as patch:
        patch.setattr(trainer.network, "save", full_disk)
        trainer.evaluate()
    assert trainer.best_map is None
    assert "best.keras of step 0 was not written" in said[0]
    trainer.evaluate()
    assert trainer.best_step == 0


def test_a_network_that_cannot_be_written_says_how_to_go_on(data, tmp_path, monkeypatch):
    config = configuration(data, tmp_path, eval_data=None)
    trainer = Trainer(config, create_model("Tiny", num_classes=12), say=lambda line: None)
    monkeypatch.setattr(trainer.network, "save", full_disk)
    with pytest.raises(OSError, match=r"final.keras could not be .*--resume from step-000000006"):
        trainer.train()
