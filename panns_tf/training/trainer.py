"""Trains a network: the loop that feeds the compiled updates, logs, evaluates and saves."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from panns_tf import metrics
from panns_tf.config import TrainConfig
from panns_tf.models import Network
from panns_tf.training import feed, state
from panns_tf.training.callbacks import LogRun, ShowProgress, Watched
from panns_tf.training.distill import Teacher
from panns_tf.training.distribution import Distribution, WorkerLostError
from panns_tf.training.evaluation import compiled_predictor, predict
from panns_tf.training.interrupt import Interrupt, deferred_interrupt
from panns_tf.training.memory import is_out_of_memory, too_large
from panns_tf.training.pace import Pace
from panns_tf.training.records import readable_errors
from panns_tf.training.run_log import RunLog
from panns_tf.training.state import NotFiniteError
from panns_tf.training.step import UpdateStep, share_statistics
from tfrecords import Damage, load_index

#: The part of the work that passes over held-out clips may take where their cadence is left to us;
#: with the metrics, which the host computes meanwhile, evaluations stay below 3 %.
EVALUATION_SHARE = 0.018
#: An update is a pass forward and about two backward.
PASSES = 3
FEWEST_EVAL_STEPS = 2000  # the reference's cadence
#: What TensorFlow raises when another process of a job has gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.InternalError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class Trainer:
    """One run, from its configuration or its last checkpoint to its last update.

    Args:
        config: of the run.
        network: a new network, made under the run's precision and seed, and under the
            distribution's strategy.
        distribution: the devices; one by default.
        callbacks: ordinary Keras callbacks. A "batch" is a call of the host, numbered by its last
            update from 0; an "epoch" is what lies between two evaluations, and its logs are the
            held-out metrics. ``logs`` of a batch hold ``step``, ``loss``, ``learning_rate`` and
            ``clips_per_second`` every ``log_steps`` updates, and are empty otherwise.
        teacher: whose word becomes part of the targets, or None.
        say: takes lines for the person watching.

    Attributes:
        step: updates done.
        best_map: the best held-out mAP so far, None before the first evaluation.
        best_step: its step.
        summary: of the last evaluation.
        update: the compiled updates.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        distribution: Distribution | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        teacher: Teacher | None = None,
        say: Callable[[str], None] = print,
    ):
        self.config = config
        self.network = network
        self.run_dir = Path(config.run_dir)
        self.step = 0
        self.best_map: float | None = None
        self.best_step: int | None = None
        self.summary: metrics.Summary | None = None
        self._say = say
        self._callbacks = tuple(callbacks)
        self._damaged: set[str] = set()
        self._distribution = distribution or Distribution(tf.distribute.get_strategy())
        if config.sync_batchnorm:
            share_statistics(network)
        self.update = UpdateStep(config, network, self._distribution, teacher)
        self._watched = Watched(network, self.update.optimizer)
        self._predictor = compiled_predictor(network, self._distribution)
        self._eval_steps = config.eval_steps
        if config.eval_data and not config.eval_steps:
            held_out = load_index(config.eval_data).num_clips
            self._eval_steps = default_eval_steps(held_out, config.batch_size)

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """All that a checkpoint holds, by name; the random states of layers among it."""
        return state.named_variables(network=self.network.variables, **self.update.variables)

    @property
    def _checkpoints(self) -> Path:
        return self.run_dir / "checkpoints"

    @property
    def _reading(self) -> dict:
        """How records are read, for training and for evaluation."""
        config = self.config
        return {
            "sample_rate": self.network.row.frontend.sample_rate,
            "decimation": config.decimation,
            "damaged": config.damaged,
            "on_damage": self._note_damage,
            "cache": config.cache,
        }

    def _note_damage(self, damage: Damage) -> None:
        if damage.clip_id not in self._damaged:
            self._damaged.add(damage.clip_id)
            self._say(f"skipped: {damage}")

    def restore(self) -> None:
        """Continues from the newest checkpoint that can be read; without any, from the start.

        Raises:
            ValueError: if there are checkpoints and none can be read, or workers see others.
        """
        found = state.checkpoints(self._checkpoints)
        for path in reversed(found):
            try:
                meta = state.restore_checkpoint(path, self.variables)
            except ValueError as error:
                if path == found[0]:
                    raise ValueError(f"no checkpoint can be resumed: {error}") from error
                self._say(f"{error}; trying the one before")
                continue
            self.step, self.best_map = meta["step"], meta["best_map"]
            self.best_step = meta["best_step"]
            self.update.restart_at(self.step)
            self._say(f"Resumed from {path} at step {self.step}.")
            break
        else:
            self._say(f"No checkpoint in {self._checkpoints}: starting from step 0.")
        try:
            self._distribution.check_same({"step": self.step})
        except ValueError as error:
            raise ValueError(f"{error}; --run-dir must be on a disk that all see") from error

    def save(self) -> None:
        """Writes a checkpoint, unless the weights are beyond use.

        Raises:
            NotFiniteError: if they are.
            OSError: if the disk is full or fails; the checkpoints before remain.
        """
        if not self._distribution.is_chief:
            return
        meta = {"best_map": self.best_map, "best_step": self.best_step}
        keep = self.config.keep_checkpoints
        try:
            state.save_checkpoint(self._checkpoints, self.step, self.variables, meta, keep)
        except NotFiniteError as error:
            # The loss can stay finite for a while: a rectifier may turn NaN into 0.
            raise self._stop(f"by step {self.step} {error}") from error

    def _try_to_save(self) -> bool:
        """Saves; says so if the disk is full, where the run is to go on."""
        try:
            self.save()
        except OSError as error:
            if self.config.full_disk == "stop":
                raise
            left = state.checkpoints(self._checkpoints)
            last = f"the last is {left[-1].name}" if left else "there is none yet"
            self._say(f"No checkpoint at step {self.step}: {error}; {last}. Training goes on.")
            return False
        return True

    def _stop(self, reason: str) -> NotFiniteError:
        good = state.checkpoints(self._checkpoints)
        kept = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
        advice = "try a lower --learning-rate, a smaller --gain or --precision float32"
        return NotFiniteError(f"{reason}; {kept}; {advice}")

    def evaluate(self) -> dict:
        """Evaluates the network on the held-out records and keeps it if it is the best."""
        config = self.config
        with self.update.average.in_place() if self.update.average else contextlib.nullcontext():
            found = predict(
                self._predictor,
                config.eval_data,
                max(1, config.batch_size // self._distribution.replicas),
                distribution=self._distribution,
                quiet=not self._distribution.is_chief,
                **self._reading,
            )
            self.summary = metrics.summarise(found.target, found.score)
            values = self.summary.as_dict()
            better = self.best_map is None or values["mAP"] > self.best_map
            if better and self._distribution.is_chief and self._try_to_keep_best():
                self.best_map, self.best_step = values["mAP"], self.step
        return values

    def _try_to_keep_best(self) -> bool:
        try:
            save_keras(self.network, self.run_dir / "best.keras")
        except OSError as error:
            if self.config.full_disk == "stop":
                raise
            self._say(f"best.keras of step {self.step} was not written: {error}")
            return False
        return True

    def train(self) -> int | None:
        """Takes the remaining updates, then writes a last checkpoint and ``final.keras``.

        SIGTERM ends it after the updates under way, with a checkpoint; so does SIGINT.

        Returns:
            None at the end, or ``signal.SIGTERM`` when that ended it.

        Raises:
            NotFiniteError: at the first log, evaluation or checkpoint after a loss that is not
                finite; names its step and clips. The last good checkpoint stays.
            BatchTooLargeError: the batch does not fit into the device's memory.
            WorkerLostError: another worker of the job is gone.
            KeyboardInterrupt: after the checkpoint of a run that SIGINT ended.
        """
        epochs = -(-self.config.steps // self._eval_steps) if self.config.eval_data else 1
        callbacks = keras.callbacks.CallbackList(
            self._all_callbacks(),
            model=self._watched,
            epochs=epochs,
            steps=-(-self.config.steps // epochs),
            verbose=0,
        )
        callbacks.on_train_begin()
        try:
            with deferred_interrupt() as interrupt, self._readable_failures():
                saved_at = self._take_steps(callbacks, interrupt)
            if saved_at < self.step or not state.checkpoints(self._checkpoints):
                with self._hint("the last checkpoint"):
                    self.save()
        finally:
            callbacks.on_train_end()
        if interrupt.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if interrupt.signal:
            return interrupt.signal
        if self.config.eval_data and self.summary is None:  # resumed at its last step
            self.evaluate()
        if self.update.average:
            self.update.average.put()
        if self._distribution.is_chief:
            with self._hint("final.keras"):
                save_keras(self.network, self.run_dir / "final.keras")
        return None

    @contextlib.contextmanager
    def _hint(self, what: str) -> Iterator[None]:
        """Says what could not be written, and how to go on."""
        try:
            yield
        except OSError as error:
            good = state.checkpoints(self._checkpoints)
            raise OSError(
                f"{what} could not be written to {self.run_dir}: {error}; make room, then go on "
                f"with --resume from {good[-1].name if good else 'the start'}"
            ) from error

    def _all_callbacks(self) -> list[keras.callbacks.Callback]:
        if not self._distribution.is_chief:
            return list(self._callbacks)
        bar = ShowProgress(self.step, self.config.steps, describe)
        return [LogRun(RunLog(self.run_dir, self.step), self._say), bar, *self._callbacks]

    @contextlib.contextmanager
    def _readable_failures(self) -> Iterator[None]:
        """Says in a line what TensorFlow says in a page."""
        try:
            with readable_errors():
                yield
        except tf.errors.OpError as error:
            if is_out_of_memory(error):
                clips = load_index(self.config.data).info
                rate = self.network.row.frontend.sample_rate
                samples = clips.clip_samples * rate // clips.sample_rate
                raise too_large(self.update, samples) from error
            if self._distribution.workers > 1 and isinstance(error, _LOST):
                good = state.checkpoints(self._checkpoints)
                last = good[-1] if good else "none yet"
                raise WorkerLostError(
                    f"another worker is gone ({type(error).__name__}); start all of "
                    f"them again with --resume; the last checkpoint is {last}"
                ) from error
            raise

    def _take_steps(self, callbacks: keras.callbacks.CallbackList, interrupt: Interrupt) -> int:
        """Takes updates until the last or an interrupt; returns the step of the last checkpoint."""
        config = self.config
        saved, epoch, ended = self.step, 0, self.step == config.steps
        pace = Pace(self, lag=bool(tf.config.list_logical_devices("GPU")))
        last_save = time.monotonic()
        batches = (
            None if ended else feed.batches(config, self.step, self._distribution, **self._reading)
        )
        callbacks.on_epoch_begin(epoch)
        while not ended:
            count = self._until_next_look()
            callbacks.on_train_batch_begin(self.step)
            self.update.run(batches, count)
            self.step += count
            at_log = self.step % config.log_steps == 0
            ended = self.step == config.steps or self._asked_to_end(interrupt, at_log)
            look = bool(config.eval_data) and (
                self.step % self._eval_steps == 0 or self.step == config.steps
            )
            due = self._checkpoint_due(last_save, at_log)
            logs = pace.logs(at_log or ended, at_once=ended or look or due)
            for values in logs[:-1]:
                callbacks.on_train_batch_end(values["step"] - 1, values)
            callbacks.on_train_batch_end(self.step - 1, logs[-1] if logs else {})
            if look:
                with pace.paused():
                    callbacks.on_test_begin()
                    values = self.evaluate()
                    callbacks.on_test_end(values)
                    callbacks.on_epoch_end(epoch, {"step": self.step, **values})
                    epoch += 1
                    if self._distribution.workers == 1:
                        ended = ended or self._watched.stop_training
                    callbacks.on_epoch_begin(epoch)
            if due:
                with pace.paused():
                    saved = self.step if self._try_to_save() else saved
                    last_save = time.monotonic()
        return saved

    def _until_next_look(self) -> int:
        """Returns how many updates the devices may take by themselves."""
        config = self.config
        most = config.steps_per_call or (10 if tf.config.list_logical_devices("GPU") else 1)
        ends = [config.log_steps, config.checkpoint_steps]
        ends += [self._eval_steps] if config.eval_data else []
        left = [end - self.step % end for end in ends if end]
        return min(most, config.steps - self.step, *left)

    def _asked_to_end(self, interrupt: Interrupt, at_log: bool) -> bool:
        asked = interrupt.signal is not None or self._watched.stop_training
        if self._distribution.workers == 1:
            return asked
        # All workers must end at the same step, so they ask each other now and then.
        if not at_log:
            return False
        signals = self._distribution.sum_of_workers(int(interrupt.signal is not None))
        if signals:
            interrupt.signal = interrupt.signal or signal.SIGTERM
        return bool(signals or self._distribution.sum_of_workers(int(asked)))

    def _checkpoint_due(self, last_save: float, at_log: bool) -> bool:
        config = self.config
        if config.checkpoint_steps and self.step % config.checkpoint_steps == 0:
            return True
        minutes = (time.monotonic() - last_save) / 60
        return at_log and bool(config.checkpoint_minutes) and minutes >= config.checkpoint_minutes

    def check_finite(self, bad: int) -> None:
        """Raises NotFiniteError if ``bad``, the number of an update, is not 0."""
        if not bad:
            return
        reading = {**self._reading, "on_damage": None}
        ids = feed.clip_ids(self.config, bad, self._distribution.workers, **reading)
        named = ", ".join(ids[:64]) + (f" and {len(ids) - 64} more" if len(ids) > 64 else "")
        raise self._stop(
            f"the loss or its gradient became NaN or infinite at step {bad}, of the clips {named}"
        )

    @property
    def damaged_clips(self) -> int:
        """How many clips were skipped."""
        return len(self._damaged)


def default_eval_steps(held_out: int, batch_size: int) -> int:
    """Returns the updates between two evaluations that keep these below 3 % of the work.

    Args:
        held_out: clips to evaluate, each one pass forward.
        batch_size: clips per update.
    """
    fewest = held_out / (PASSES * batch_size * EVALUATION_SHARE)
    return max(FEWEST_EVAL_STEPS, -(-int(fewest) // 1000) * 1000)


def save_keras(network: Network, path: Path) -> None:
    """Writes a ``.keras`` file, whole or not at all."""
    partial = path.with_name(f"partial-{path.name}")
    try:
        network.save(partial)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def describe(step: int, values: dict) -> str:
    """Returns one line of held-out metrics."""
    return (
        f"step {step}: held-out mAP {values['mAP']:.4f} (chance {values['chance_mAP']:.4f}), "
        f"mAUC {values['mAUC']:.4f}, d-prime {values['d_prime']:.3f}, {values['num_clips']} clips"
    )
