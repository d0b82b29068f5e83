import json
import types

import keras
import numpy as np
import pytest

from panns_tf.training import callbacks
from panns_tf.training.callbacks import MetricsLogger, ProgressBar, StepLogger
from tfrecords.files import to_json

TRAIN = {"step": 3, "loss": 0.5, "clips_per_second": 7.0, "damaged_clips": 2.0}


class Updates:
    """Updates whose losses are their numbers, by a clock that stands still until it is moved."""

    def __init__(self, monkeypatch, lag: bool):
        self.seconds, self.step, self.total, self.flushes, self.norm = 100.0, 0, 0.0, 0, 7.0
        fake = types.SimpleNamespace(monotonic=lambda: self.seconds)
        monkeypatch.setattr(callbacks, "time", fake)
        self.logger = StepLogger(self.flush, clips_per_step=4, step=0, lag=lag)

    def take(self, count: int, seconds: float = 0.0) -> None:
        self.total += sum(range(self.step + 1, self.step + count + 1))
        self.step += count
        self.seconds += seconds

    def flush(self) -> dict:
        self.flushes += 1
        sums = {"loss": np.float32(self.total), "bad": 0, "learning_rate": 0.5, "weight_norm": 3.0}
        self.total = 0.0
        return {**sums, "gradient_norm": self.norm, "waited": np.float64(2.0)}

    def logs(self, interval_ends: bool, at_once: bool) -> list[dict]:
        return self.logger.logs(self.step, interval_ends, at_once)


def test_logs_are_means_over_their_interval(monkeypatch):
    updates = Updates(monkeypatch, lag=False)
    updates.take(4, seconds=8)
    first = {"bad": 0, "step": 4, "loss": 2.5, "clips_per_second": 2.0, "learning_rate": 0.5}
    first |= {"gradient_norm": 7.0, "weight_norm": 3.0, "waiting": 0.25}
    assert updates.logs(True, False) == [first]
    updates.take(1)
    assert updates.logs(False, False) == []
    assert updates.flushes == 1, "between logs nothing is read"
    updates.norm = -1.0
    with updates.logger.paused():
        updates.seconds += 1000
    updates.take(1, seconds=1)
    (second,) = updates.logs(True, True)
    assert (second["step"], second["loss"], second["clips_per_second"]) == (6, 5.5, 8.0)
    assert "gradient_norm" not in second, "an interval that was cut short has none"
    assert second["waiting"] == 1
    assert updates.logs(True, True) == [], "an interval may end twice at one step"


def test_with_lag_each_log_comes_an_interval_late_and_the_last_at_once(monkeypatch):
    updates = Updates(monkeypatch, lag=True)
    found = []
    for last in (False, False, True):
        updates.take(2, seconds=4)
        found.append([(log["step"], log["loss"]) for log in updates.logs(True, last)])
    assert found == [[], [(2, 1.5)], [(4, 3.5), (6, 5.5)]]
    assert updates.logs(False, True) == [], "each comes once"


def lines(path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_the_log_holds_batches_and_epochs_and_no_empty_lines(tmp_path):
    log = MetricsLogger(tmp_path)
    log.on_train_batch_end(0, {})
    log.on_train_batch_end(2, TRAIN)
    log.on_epoch_end(0, {"step": 3, "mAP": np.float32(0.25), "d_prime": np.inf, "num_clips": 40.0})
    log.on_train_end()
    assert lines(tmp_path) == [
        {"step": 3, "loss": 0.5, "clips_per_second": 7.0, "damaged_clips": 2},
        {"step": 3, "mAP": 0.25, "d_prime": None, "num_clips": 40},
    ]
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes()
    assert b"eval/mAP" in events.read_bytes()
    assert '"num_clips": 40}' in (tmp_path / "metrics.jsonl").read_text(), "no fraction"
    assert (
        to_json({"a": [np.nan, np.int64(3)], "b": np.float32(0.5)}) == '{"a": [null, 3], "b": 0.5}'
    )


def test_steps_that_are_taken_again_leave_the_log(tmp_path):
    log = MetricsLogger(tmp_path)
    for step in (1, 2, 3):
        log.on_train_batch_end(0, {"step": step})
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": 2, "lo')  # cut off by a kill
    again = MetricsLogger(tmp_path, step=2)
    again.on_train_batch_end(0, {"step": 3, "loss": 1.0})
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.0}]
    path.write_bytes(path.read_bytes() + b'{"step": 4, "lo')  # cut off by a full disk
    again.on_train_batch_end(0, {"step": 5})
    assert path.read_text().splitlines()[-1] == '{"step": 5}'


def test_a_log_that_cannot_be_written_is_reported_once(tmp_path, messages):
    log = MetricsLogger(tmp_path)
    (tmp_path / "metrics.jsonl").mkdir()
    log.on_train_batch_end(2, TRAIN)
    log.on_train_batch_end(5, {**TRAIN, "step": 6})
    (line,) = messages
    assert line.startswith("the log of step 3 was not written: ")
    (tmp_path / "metrics.jsonl").rmdir()
    log.on_train_batch_end(8, {**TRAIN, "step": 9})
    assert [line["step"] for line in lines(tmp_path)] == [9], "it goes on when there is room"


def test_the_bar_reports_evaluations(messages):
    bar = ProgressBar(4, 10)
    bar.on_train_batch_end(5, TRAIN)
    metrics = {"mAP": 0.5, "chance_mAP": 0.1, "mAUC": 0.9, "d_prime": 2.0, "num_clips": 40.0}
    bar.on_epoch_end(0, {"step": 10, **metrics})
    bar.on_epoch_end(1, {"step": 10, "validation": 0.5})
    bar.on_train_end()
    (line,) = messages
    assert line.startswith("step 10: held-out mAP 0.5000 (chance 0.1000), mAUC 0.9000")
    assert line.endswith("40 clips")


def test_keras_own_callbacks_set_the_rate_and_stop():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.optimizer, model.stop_training = keras.optimizers.Adam(0.5), False
    halve = keras.callbacks.ReduceLROnPlateau("mAP", factor=0.5, patience=1, mode="max")
    stop = keras.callbacks.EarlyStopping("mAP", patience=2, mode="max")
    made = keras.callbacks.CallbackList([halve, stop], model=model)
    made.on_train_begin()
    found = []
    for epoch, value in enumerate((0.3, 0.2, 0.1)):
        made.on_epoch_end(epoch, {"step": epoch, "mAP": value})
        found.append((float(model.optimizer.learning_rate), model.stop_training))
    assert found == [(0.5, False), (0.25, False), (0.125, True)]


@pytest.fixture
def messages(monkeypatch) -> list[str]:
    """What is logged."""
    found: list[str] = []
    for name in ("info", "warning"):
        monkeypatch.setattr(callbacks.logger, name, found.append)
    return found
