"""Trains a network: the loop around the compiled step, with evaluations, checkpoints and logs."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.models.network import Network
from panns_tf.run import BEST, CHECKPOINTS, FINAL, RunError
from panns_tf.training import checkpoint
from panns_tf.training.callbacks import MetricsLogger, ProgressBar, StepLogger
from panns_tf.training.checkpoint import NotFiniteError, deferred_signals, save_keras
from panns_tf.training.data import TrainingData, readable_errors
from panns_tf.training.distribution import Distribution
from panns_tf.training.losses import Teacher
from panns_tf.training.step import TrainStep, share_statistics
from tfrecords.progress import logger
from tfrecords.text import some

#: What TensorFlow raises when another process of a job has gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.InternalError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


@dataclasses.dataclass(frozen=True)
class LayerGroup:
    """Layers whose learning rate is a multiple of the run's, frozen, batch statistics too, before
    update ``unfreeze_step``; for good if it is None.
    """

    layers: Sequence[keras.layers.Layer]
    learning_rate_factor: float = 1.0
    unfreeze_step: int | None = 0


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Ends a training after ``patience`` evaluations without a better score, with the best weights;
    not before ``min_steps`` updates: until running statistics settle, scores mean little.
    """

    patience: int
    min_steps: int = 0


class Trainer:
    """One training, from its start or its last checkpoint to its last update.

    Args:
        config: of the training. Without a ``run_dir`` nothing is written.
        network: a new one, made under the run's precision, seed and strategy.
        evaluate: returns metrics by name; called by each worker every ``eval_steps`` updates and
            after the last one.
        monitor: metrics, the highest of which is best; among equals the next one decides.
        loss: of targets and a head's outputs; None for that of the network's activation.
        early_stopping: None trains for all steps and takes the last weights.
        distribution: the devices; one by default.
        teacher: whose predictions become part of the targets.
        callbacks: of Keras; ``self.model`` is the network, with an ``optimizer``. A "batch" is a
            call of the compiled step, numbered by its last update from 0, with ``logs`` every
            ``log_steps`` updates; an "epoch" ends with an evaluation, whose metrics are its logs.

    ``step`` counts the updates done. ``history`` holds step, loss and metrics of each evaluation,
    without such step and loss of each log; ``best`` the monitored metrics of the evaluation at
    ``best_step``. ``stops`` are steps at which the devices must halt, for callbacks.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        data: TrainingData,
        *,
        evaluate: Callable[[], dict[str, float]] | None = None,
        monitor: Sequence[str] = ("mAP",),
        groups: Sequence[LayerGroup] = (),
        loss: Callable | None = None,
        early_stopping: EarlyStopping | None = None,
        distribution: Distribution | None = None,
        teacher: Teacher | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        if evaluate and not config.eval_steps:
            raise ValueError("evaluations need eval_steps, the updates between two of them")
        self.config, self.network = config, network
        self.run_dir = Path(config.run_dir) if config.run_dir else None
        self.step, self.best_step = 0, None
        self.best: tuple[float, ...] | None = None
        self.callbacks = list(callbacks)
        self.stops = {group.unfreeze_step for group in groups if group.unfreeze_step}
        self._data, self._evaluate, self._monitor = data, evaluate, tuple(monitor)
        self._groups, self._early_stopping = tuple(groups), early_stopping
        self._distribution = distribution or Distribution(tf.distribute.get_strategy())
        self._best_weights = None
        self._loss = None  # of the last log
        self._waited = 0  # evaluations since the best one
        self.history: list[dict] = []
        if config.sync_batchnorm:
            share_statistics(network)
        factor_of = {
            id(variable): group.learning_rate_factor
            for group in groups
            for layer in group.layers
            for variable in layer.trainable_variables
        }
        factors = [factor_of.get(id(v), 1.0) for v in network.trainable_variables]
        self.update = TrainStep(config, network, self._distribution, teacher, loss, factors)

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """All that a checkpoint holds, the random states of layers among it."""
        return checkpoint.named_variables(network=self.network.variables, **self.update.variables)

    @property
    def _checkpoints(self) -> list[Path]:
        return checkpoint.checkpoints(self.run_dir / CHECKPOINTS) if self.run_dir else []

    @property
    def _last_checkpoint(self) -> str:
        paths = self._checkpoints
        return f"the last checkpoint is {paths[-1]}" if paths else "there is no checkpoint yet"

    def train(self) -> int | None:
        """Takes the remaining updates, then writes a last checkpoint and ``final.keras``.

        SIGTERM and SIGINT end it after the updates under way, with a checkpoint; SIGTERM is
        returned, SIGINT a KeyboardInterrupt. A `RunError` says why training cannot go on.
        """
        config, network = self.config, self.network
        every = list(self.callbacks)
        if self._distribution.is_chief:
            every.insert(0, ProgressBar(self.step, config.steps))
            if self.run_dir:
                every.insert(0, MetricsLogger(self.run_dir, self.step))
        epochs = -(-config.steps // config.eval_steps) if self._evaluate else 1
        of_epoch = {"epochs": epochs, "steps": -(-config.steps // epochs), "verbose": 0}
        callbacks = keras.callbacks.CallbackList(every, model=network, **of_epoch)
        network.optimizer, network.stop_training = self.update.optimizer, False
        trainable = [(layer, layer.trainable) for g in self._groups for layer in g.layers]
        callbacks.on_train_begin()
        try:
            with deferred_signals() as received, self._readable_failures():
                saved_at = self._take_steps(callbacks, received)
            if self.run_dir and (saved_at < self.step or not self._checkpoints):
                with self._writing("the last checkpoint", go_on=False):
                    self.save()
        finally:
            callbacks.on_train_end()
            network.optimizer = None
            for layer, flag in trainable:
                layer.trainable = flag
        if signal.SIGINT in received:
            raise KeyboardInterrupt
        if received:
            return received[0]
        self._finish()
        return None

    def _take_steps(self, callbacks: keras.callbacks.CallbackList, received: list[int]) -> int:
        """Takes updates until the last or a signal; returns the step of the last checkpoint."""
        config = self.config
        saved, epoch, ended = self.step, 0, self.step == config.steps
        on_gpu = bool(tf.config.list_logical_devices("GPU"))
        steps = StepLogger(self.update.flush, config.clips_per_step, self.step, lag=on_gpu)
        last_save = time.monotonic()
        batches = None if ended else self._data.batches(self.step)
        callbacks.on_epoch_begin(epoch)
        while not ended:
            self._freeze()
            count = self._steps_to_next_stop(10 if on_gpu else 1)
            callbacks.on_train_batch_begin(self.step)
            self.update.run(batches, count)
            self.step += count
            at_log, at_end = self.step % config.log_steps == 0, self.step == config.steps
            ended = at_end or self._asked_to_end(received, at_log)
            evaluate = bool(self._evaluate) and (at_end or self.step % config.eval_steps == 0)
            save = self._checkpoint_due(last_save, at_log)
            logs = self._logs(steps, at_log or ended, at_once=ended or evaluate or save)
            for values in logs[:-1]:
                callbacks.on_train_batch_end(values["step"] - 1, values)
            callbacks.on_train_batch_end(self.step - 1, logs[-1] if logs else {})
            if evaluate:
                with steps.paused():
                    callbacks.on_test_begin()
                    values = self.evaluate()
                    callbacks.on_test_end(values)
                    callbacks.on_epoch_end(epoch, {"step": self.step, **values})
                    epoch += 1
                    rule = self._early_stopping
                    is_stale = (
                        rule and rule.patience <= self._waited and rule.min_steps <= self.step
                    )
                    ended = ended or is_stale or self._asked_to_end(received, False)
                    callbacks.on_epoch_begin(epoch)
            if save:
                with steps.paused(), self._writing(f"the checkpoint of step {self.step}"):
                    last_save = time.monotonic()
                    self.save()
                    saved = self.step
        return saved

    def _freeze(self) -> None:
        """Freezes and unfreezes layer groups for the next update."""
        changed = False
        for group in self._groups:
            learns = group.unfreeze_step is not None and self.step >= group.unfreeze_step
            for layer in group.layers:
                changed |= layer.trainable != learns
                layer.trainable = learns
        if changed:
            self.update.trace()

    def _steps_to_next_stop(self, most: int) -> int:
        """Updates that the devices may take without the host."""
        config = self.config
        ends = (config.log_steps, config.checkpoint_steps, self._evaluate and config.eval_steps)
        remaining = [end - self.step % end for end in ends if end]
        remaining += [step - self.step for step in self.stops if step > self.step]
        return min(config.steps_per_call or most, config.steps - self.step, *remaining)

    def _asked_to_end(self, received: list[int], at_log: bool) -> bool:
        asked = bool(received) or self.network.stop_training
        if self._distribution.workers == 1 or not at_log:
            # All workers must end at the same step, so they ask each other now and then.
            return asked and self._distribution.workers == 1
        all_asked = self._distribution.gather(np.array([[len(received), asked]], np.int32))
        if all_asked[:, 0].any() and not received:
            received.append(signal.SIGTERM)
        return bool(all_asked.any())

    def _checkpoint_due(self, last_save: float, at_log: bool) -> bool:
        steps, minutes = self.config.checkpoint_steps, self.config.checkpoint_minutes
        by_steps = steps and self.step % steps == 0
        by_time = minutes and at_log and time.monotonic() - last_save >= 60 * minutes
        return bool(self.run_dir and (by_steps or by_time))

    def _logs(self, steps: StepLogger, interval_ends: bool, at_once: bool) -> list[dict]:
        """The logs that are ready; a NotFiniteError if a loss was not finite."""
        logs = steps.logs(self.step, interval_ends, at_once)
        bad = [int(values.pop("bad")) for values in logs]
        if at_once:
            bad.append(int(self.update.first_bad.numpy()))
        if step := max(bad, default=0):  # they are 0 or the same
            raise self._not_finite(
                f"the loss or its gradient became NaN or infinite at step {step}, of the clips "
                f"{some(self._data.clip_ids(step), 64)}"
            )
        for values in logs:
            if self._data.damaged_clips is not None:
                values["damaged_clips"] = self._data.damaged_clips
            if not self._evaluate:
                self.history.append({"step": values["step"], "loss": values["loss"]})
            self._loss = values["loss"]
        return logs

    def evaluate(self) -> dict[str, float]:
        """Evaluates the network, its averaged weights if there are such, and keeps the best."""
        average = self.update.average
        with average.in_place() if average else contextlib.nullcontext():
            values = self._evaluate()
            score = tuple(
                -math.inf if math.isnan(values[name]) else values[name] for name in self._monitor
            )
            self._waited += 1
            if self.best is None or score > self.best:
                with self._writing(f"{BEST} of step {self.step}"):
                    if self.run_dir and self._distribution.is_chief:
                        save_keras(self.network, self.run_dir / BEST)
                    if self._early_stopping:
                        self._best_weights = self.network.get_weights()
                    self.best, self.best_step, self._waited = score, self.step, 0
        self.history.append({"step": self.step, "loss": self._loss, **values})
        return values

    def _finish(self) -> None:
        if self._evaluate and not self.history:  # resumed at its last step
            self.evaluate()
        if self.update.average:
            self.update.average.put()
        if self._best_weights is not None:
            self.network.set_weights(self._best_weights)
        if self.run_dir and self._distribution.is_chief:
            with self._writing(FINAL, go_on=False):
                save_keras(self.network, self.run_dir / FINAL)

    def restore(self) -> None:
        """Continues from the newest checkpoint that can be read; without any, from the start."""
        paths = self._checkpoints
        for path in reversed(paths):
            try:
                meta = checkpoint.restore_checkpoint(path, self.variables)
            except ValueError as error:
                if path == paths[0]:
                    raise ValueError(f"no checkpoint can be resumed: {error}") from error
                logger.warning(f"{error}; trying the one before")
                continue
            self.step, self.best_step = meta["step"], meta["best_step"]
            self.best = None if meta["best_map"] is None else (meta["best_map"],)
            self._waited = meta.get("waited", 0)
            self.update.steps.assign(self.step)
            logger.info(f"Resumed from {path} at step {self.step}.")
            break
        else:
            logger.info(f"No checkpoint in {self.run_dir / CHECKPOINTS}: starting from step 0.")
        try:
            self._distribution.check_same({"step": self.step})
        except ValueError as error:
            raise ValueError(f"{error}; --run-dir must be on a disk that all see") from error

    def save(self) -> None:
        """Writes a checkpoint; a NotFiniteError if the weights are beyond use."""
        if not self._distribution.is_chief:
            return
        meta = {"best_map": self.best and self.best[0], "best_step": self.best_step}
        meta["waited"] = self._waited
        folder, keep = self.run_dir / CHECKPOINTS, self.config.keep_checkpoints
        try:
            checkpoint.save_checkpoint(folder, self.step, self.variables, meta, keep)
        except NotFiniteError as error:
            # The loss can stay finite for a while: a rectifier may turn NaN into 0.
            raise self._not_finite(f"by step {self.step} {error}") from error

    @contextlib.contextmanager
    def _writing(self, what: str, go_on: bool = True) -> Iterator[None]:
        """Reports what a full disk left unwritten; ends the run unless it can go on."""
        try:
            yield
        except OSError as error:
            message = f"{what} was not written: {error}; {self._last_checkpoint}"
            if not go_on or self.config.full_disk == "stop":
                raise OSError(f"{message}; make room, then continue with --resume") from error
            logger.warning(f"{message}. Training goes on.")

    def _not_finite(self, reason: str) -> NotFiniteError:
        last = f"; {self._last_checkpoint}" if self.run_dir else ""
        advice = "try a lower --learning-rate, a smaller --gain or --precision float32"
        return NotFiniteError(f"{reason}{last}; {advice}")

    @contextlib.contextmanager
    def _readable_failures(self) -> Iterator[None]:
        """Shortens TensorFlow's errors to a line that says what to do."""
        try:
            with readable_errors():
                yield
        except tf.errors.OpError as error:
            # XLA calls a lack of memory an internal error.
            is_internal = "out of memory" in error.message.lower()
            if isinstance(error, tf.errors.ResourceExhaustedError) or is_internal:
                raise RunError(
                    f"a batch of {self.config.batch_size} clips does not fit into the device's "
                    "memory: lower --batch-size, or raise --accumulate, which cuts it into parts"
                ) from error
            if self._distribution.workers > 1 and isinstance(error, _LOST):
                raise RunError(
                    f"another worker is gone ({type(error).__name__}); start all of them again "
                    f"with --resume; {self._last_checkpoint}"
                ) from error
            raise
