import types

import numpy as np
import pytest

from panns_tf.config import TrainConfig
from panns_tf.training import pace as pace_module
from panns_tf.training.pace import Pace
from panns_tf.training.state import NotFiniteError


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = types.SimpleNamespace(seconds=100.0)
    fake = types.SimpleNamespace(monotonic=lambda: now.seconds)
    monkeypatch.setattr(pace_module, "time", fake)
    return now


class Trainer:
    """Takes steps whose losses are their numbers."""

    def __init__(self, **settings):
        self.config = TrainConfig(batch_size=4, mixup="none", **settings)
        self.step, self.damaged_clips = 0, 3
        self.update = self
        self.total, self.bad, self.flushes, self.norm = 0.0, 0, 0, 7.0

    def take(self, count: int) -> None:
        for _ in range(count):
            self.step += 1
            self.total += self.step

    def flush(self) -> dict:
        self.flushes += 1
        found = {
            "loss": np.float32(self.total),
            "bad": self.bad,
            "learning_rate": 0.5,
            "gradient_norm": self.norm,
            "weight_norm": 3.0,
            "waited": np.float64(2.0),
        }
        self.total = 0.0
        return found

    def first_bad(self) -> int:
        return self.bad

    def check_finite(self, bad: int) -> None:
        if bad:
            raise NotFiniteError(f"at {bad}")


def test_logs_are_means_over_their_interval(clock):
    trainer = Trainer()
    pace = Pace(trainer, lag=False)
    trainer.take(4)
    clock.seconds += 8
    first = {"step": 4, "loss": 2.5, "clips_per_second": 2.0, "learning_rate": 0.5}
    first |= {"gradient_norm": 7.0, "weight_norm": 3.0, "waiting": 0.25}
    assert pace.logs(True, False) == [first]
    trainer.take(2)
    trainer.norm = -1.0
    clock.seconds += 1
    (second,) = pace.logs(True, False)
    assert (second["step"], second["loss"], second["clips_per_second"]) == (6, 5.5, 8.0)
    assert "gradient_norm" not in second, "an interval that was cut short has none"
    assert second["waiting"] == 1


def test_between_logs_nothing_is_read(clock):
    trainer = Trainer()
    pace = Pace(trainer, lag=False)
    trainer.take(2)
    assert pace.logs(False, False) == []
    assert trainer.flushes == 0


def test_with_lag_each_log_comes_an_interval_late_and_the_last_at_once(clock):
    trainer = Trainer()
    pace = Pace(trainer, lag=True)
    found = []
    for last in (False, False, True):
        trainer.take(2)
        clock.seconds += 4
        found.append([(log["step"], log["loss"]) for log in pace.logs(True, last)])
        clock.seconds += 0
    assert found == [[], [(2, 1.5)], [(4, 3.5), (6, 5.5)]]
    assert pace.logs(False, True) == [], "each comes once"


def test_an_interval_may_end_twice_at_one_step(clock):
    trainer = Trainer()
    pace = Pace(trainer, lag=False)
    trainer.take(1)
    assert len(pace.logs(True, True)) == 1
    assert pace.logs(True, True) == []
    assert trainer.flushes == 1


@pytest.mark.parametrize("lag", [False, True])
def test_a_loss_that_is_not_finite_is_noticed_before_anything_is_kept(clock, lag):
    trainer = Trainer()
    pace = Pace(trainer, lag)
    trainer.take(1)
    trainer.bad = 1
    assert pace.logs(False, False) == [], "no wait for the devices"
    with pytest.raises(NotFiniteError, match="at 1"):
        pace.logs(False, True)
    trainer.take(1)
    with pytest.raises(NotFiniteError, match="at 1"):
        pace.logs(True, True)


def test_pauses_are_no_training_time(clock):
    trainer = Trainer()
    pace = Pace(trainer, lag=False)
    trainer.take(1)
    clock.seconds += 1
    with pace.paused():
        clock.seconds += 1000
    trainer.take(1)
    clock.seconds += 1
    (log,) = pace.logs(True, False)
    assert log["clips_per_second"] == 4


def test_damaged_clips_are_counted_where_they_are_skipped(clock):
    trainer = Trainer(damaged="skip")
    pace = Pace(trainer, lag=False)
    trainer.take(1)
    (log,) = pace.logs(True, False)
    assert log["damaged_clips"] == 3
