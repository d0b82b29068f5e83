"""What the devices summed up becomes logs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panns_tf.training.trainer import Trainer

#: What stands for a gradient's norm where an interval was cut short.
_NO_NORM = -1.0


class Pace:
    """Turns sums of losses into logs, one interval late where that saves a wait.

    Args:
        trainer: whose updates are logged.
        lag: whether devices work ahead of the host, as GPUs do: reading the loss of the interval
            before then stops neither.
    """

    def __init__(self, trainer: Trainer, lag: bool):
        self._trainer = trainer
        self._lag = lag
        self._step, self._since = trainer.step, time.monotonic()
        self._taken: list[tuple] = []

    def logs(self, interval_ends: bool, at_once: bool) -> list[dict]:
        """Returns the logs that are ready.

        Raises:
            NotFiniteError: if a loss was not finite.
        """
        trainer, now = self._trainer, time.monotonic()
        if interval_ends and trainer.step > self._step:
            steps, seconds = trainer.step - self._step, now - self._since
            self._taken.append((trainer.step, steps, seconds, trainer.update.flush()))
            self._step, self._since = trainer.step, now
        elif at_once:
            trainer.check_finite(int(trainer.update.first_bad()))
        keep = 1 if self._lag and not at_once else 0
        ready = self._taken[: len(self._taken) - keep]
        self._taken = self._taken[len(ready) :]
        return [self._one(*each) for each in ready]

    def _one(self, step: int, steps: int, seconds: float, found: dict) -> dict:
        trainer = self._trainer
        trainer.check_finite(int(found["bad"]))
        values = {
            "step": step,
            "loss": float(found["loss"]) / steps,
            "clips_per_second": steps * trainer.config.clips_per_step / max(seconds, 1e-9),
            "learning_rate": float(found["learning_rate"]),
            "weight_norm": float(found["weight_norm"]),
            # Of the host's time, which prepares the next update while devices compute.
            "waiting": min(1.0, float(found["waited"]) / max(seconds, 1e-9)),
        }
        if (norm := float(found["gradient_norm"])) != _NO_NORM:
            values["gradient_norm"] = norm
        if trainer.config.damaged == "skip":
            values["damaged_clips"] = trainer.damaged_clips
        return values

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For what is no training time."""
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began
