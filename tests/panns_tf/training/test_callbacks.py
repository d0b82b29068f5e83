import json

import keras
import numpy as np
import pytest

from panns_tf.training.callbacks import LogRun, ShowProgress, Watched, as_logged
from panns_tf.training.optimizer import Adam
from panns_tf.training.run_log import RunLog

TRAIN = {"step": 3, "loss": 0.5, "clips_per_second": 7.0, "damaged_clips": 2.0}


@pytest.fixture
def watched():
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    return Watched(network, Adam(0.5))


def listed(watched, *callbacks) -> keras.callbacks.CallbackList:
    made = keras.callbacks.CallbackList(list(callbacks), model=watched)
    made.on_train_begin()
    return made


def lines(path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_watched_is_the_network_with_an_optimiser_and_a_stop(watched, tmp_path):
    assert len(watched.trainable_variables) == 2
    assert watched.optimizer.learning_rate == 0.5
    assert watched.stop_training is False
    watched.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    for a, b in zip(loaded.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert getattr(loaded, "optimizer", None) is None
    with pytest.raises(AttributeError, match="nonsense"):
        watched.nonsense  # noqa: B018


def test_keras_own_callbacks_set_the_rate_and_stop(watched):
    halve = keras.callbacks.ReduceLROnPlateau("mAP", factor=0.5, patience=1, mode="max")
    stop = keras.callbacks.EarlyStopping("mAP", patience=2, mode="max", restore_best_weights=True)
    callbacks = listed(watched, halve, stop)
    best = watched.get_weights()
    found = []
    for epoch, value in enumerate((0.3, 0.2, 0.1)):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_epoch_end(epoch, {"step": epoch, "mAP": value})
        found.append((float(watched.optimizer.learning_rate), watched.stop_training))
        watched.set_weights([w + 1 for w in watched.get_weights()])
    callbacks.on_train_end()
    assert found == [(0.5, False), (0.25, False), (0.125, True)]
    assert best[1][0] == 0


def test_log_holds_batches_and_epochs_and_no_empty_lines(watched, tmp_path):
    callbacks = listed(watched, LogRun(RunLog(tmp_path), pytest.fail))
    callbacks.on_train_batch_end(0, {})
    callbacks.on_train_batch_end(2, TRAIN)
    callbacks.on_epoch_end(0, {"step": 3, "mAP": 0.25, "num_clips": 40})
    callbacks.on_train_end()
    assert lines(tmp_path) == [
        {"step": 3, "loss": 0.5, "clips_per_second": 7.0, "damaged_clips": 2},
        {"step": 3, "mAP": 0.25, "num_clips": 40},
    ]
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes()
    assert b"eval/mAP" in events.read_bytes()


def test_counts_are_whole_numbers_and_the_step_stands_apart():
    logged = as_logged({**TRAIN, "num_clips": 40.0})
    assert logged == {"loss": 0.5, "clips_per_second": 7.0, "damaged_clips": 2, "num_clips": 40}
    assert isinstance(logged["num_clips"], int)
    assert isinstance(logged["clips_per_second"], float)


def test_a_log_that_cannot_be_written_is_said_once(watched, tmp_path):
    said = []
    log = RunLog(tmp_path)
    (tmp_path / "metrics.jsonl").mkdir()
    callbacks = listed(watched, LogRun(log, said.append))
    callbacks.on_train_batch_end(2, TRAIN)
    callbacks.on_train_batch_end(5, {**TRAIN, "step": 6})
    (line,) = said
    assert line.startswith("the log of step 3 was not written: ")
    (tmp_path / "metrics.jsonl").rmdir()
    callbacks.on_train_batch_end(8, {**TRAIN, "step": 9})
    callbacks.on_train_end()
    assert [line["step"] for line in lines(tmp_path)] == [9], "it goes on when there is room"


def test_bar_starts_where_the_run_does_and_shows_the_last_figures(watched, capsys):
    show = ShowProgress(4, 10, lambda step, values: f"at {step}: {values['mAP']}")
    callbacks = listed(watched, show)
    callbacks.on_train_batch_end(5, {**TRAIN, "step": 6})
    assert show._bar.n == 6
    callbacks.on_train_batch_end(9, {})
    callbacks.on_epoch_end(0, {"step": 10, "mAP": 0.5})
    callbacks.on_epoch_end(1, {})
    assert show._bar.n == show._bar.total == 10
    callbacks.on_train_end()
    printed = capsys.readouterr()
    assert printed.out.strip() == "at 10: 0.5"
    assert "10/10" in printed.err
    assert "loss=0.5000" in printed.err
