"""Logs of a run: intervals become numbers, which go to metrics.jsonl, TensorBoard and the bar."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from panns_tf.run import LOG
from tfrecords.files import to_json, write_atomic
from tfrecords.progress import Progress, logger

#: Logs that are whole numbers; Keras makes fractions of all.
_COUNTS = ("step", "num_clips", "num_classes", "classes_left_out", "damaged_clips")
#: What stands for a gradient's norm where an interval was cut short.
_NO_NORM = -1.0


class StepLogger:
    """Turns sums that `TrainStep.flush` returns into logs; with ``lag`` one interval late, so that
    reading stops neither the host nor devices that work ahead of it, as GPUs do.
    """

    def __init__(self, flush: Callable[[], dict], clips_per_step: int, step: int, lag: bool):
        self._flush, self._clips_per_step, self._lag = flush, clips_per_step, lag
        self._step, self._since = step, time.monotonic()
        self._flushed: list[tuple] = []

    def logs(self, step: int, interval_ends: bool, at_once: bool) -> list[dict]:
        """The logs that are ready after update ``step``, with the entry ``bad`` of `flush`."""
        now = time.monotonic()
        if interval_ends and step > self._step:
            self._flushed.append((step, step - self._step, now - self._since, self._flush()))
            self._step, self._since = step, now
        ready = len(self._flushed) - (1 if self._lag and not at_once else 0)
        return [self._log(*self._flushed.pop(0)) for _ in range(ready)]

    def _log(self, step: int, steps: int, seconds: float, sums: dict) -> dict:
        seconds = max(seconds, 1e-9)
        values = {"step": step, **{name: float(value) for name, value in sums.items()}}
        values["loss"] /= steps
        values["clips_per_second"] = steps * self._clips_per_step / seconds
        # Of the host's time, which prepares the next update while devices compute.
        values["waiting"] = min(1.0, values.pop("waited") / seconds)
        if values["gradient_norm"] == _NO_NORM:
            del values["gradient_norm"]
        return values

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes what is no training out of the time of the interval."""
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began


class MetricsLogger(keras.callbacks.Callback):
    """Appends logs to ``metrics.jsonl``, whose lines after ``step`` it removes (a killed run takes
    these steps again), and to TensorBoard; what cannot be written is reported once.
    """

    def __init__(self, run_dir: Path, step: int = 0):
        super().__init__()
        self._path = run_dir / LOG
        if self._path.exists():
            lines = self._path.read_bytes().splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            write_atomic(self._path, b"".join(line + b"\n" for line in kept))
        self._summaries = tf.summary.create_file_writer(str(run_dir / "tensorboard"))
        self._failed = False

    def on_train_batch_end(self, batch, logs=None):
        self._write("train", logs)

    def on_epoch_end(self, epoch, logs=None):
        self._write("eval", logs)

    def on_train_end(self, logs=None):
        self._summaries.close()

    def _write(self, group: str, logs: dict | None) -> None:
        if not logs:
            return
        values = {name: int(x) if name in _COUNTS else x for name, x in logs.items()}
        try:
            with self._path.open("ab+") as file:
                file.seek(-min(1, file.tell()), 2)
                if file.read(1) not in (b"", b"\n"):  # a full disk cut off the last line
                    file.write(b"\n")
                file.write(to_json(values).encode() + b"\n")
            with self._summaries.as_default(step=values.pop("step")):
                for name, value in values.items():
                    tf.summary.scalar(f"{group}/{name}", value)
        except (OSError, tf.errors.OpError) as error:
            if not self._failed:
                reason = error
                if isinstance(error, tf.errors.OpError):
                    reason = "TensorBoard's file: perhaps the disk is full"
                logger.warning(f"the log of step {int(logs['step'])} was not written: {reason}")
            self._failed = True


def _step_of(line: bytes) -> float:
    """The step of a line; infinity where a kill cut it off."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")


class ProgressBar(keras.callbacks.Callback):
    """Shows steps, loss and speed, and a line for each evaluation."""

    def __init__(self, step: int, steps: int):
        super().__init__()
        self._shown = Progress(steps, "step", "train", initial=step)

    def on_train_batch_end(self, batch, logs=None):
        if logs:
            speed = f"{logs['clips_per_second']:.1f} clips/s"
            self._shown.note(f"loss {logs['loss']:.4f}, {speed}")
        self._shown.update(batch + 1 - self._shown.done)

    def on_epoch_end(self, epoch, logs=None):
        if logs and "mAP" in logs:
            logger.info(describe(logs["step"], logs))

    def on_train_end(self, logs=None):
        self._shown.__exit__()


def describe(step: float, values: dict) -> str:
    return (
        f"step {step:.0f}: held-out mAP {values['mAP']:.4f} (chance {values['chance_mAP']:.4f}), "
        f"mAUC {values['mAUC']:.4f}, d-prime {values['d_prime']:.3f}, "
        f"{values['num_clips']:.0f} clips"
    )
