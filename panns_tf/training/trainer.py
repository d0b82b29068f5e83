"""Trains a network: one compiled step, and the loop that feeds, logs, evaluates and saves."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

from panns_tf import metrics
from panns_tf.config import TrainConfig
from panns_tf.layers import MixupLambda, mix
from panns_tf.models import Network, training_model
from panns_tf.training import state
from panns_tf.training.evaluation import compiled_predictor, predict, to_float
from panns_tf.training.interrupt import Interrupt, deferred_interrupt
from panns_tf.training.losses import binary_cross_entropy
from panns_tf.training.optimizer import Adam
from panns_tf.training.records import iterate
from panns_tf.training.run_log import RunLog
from panns_tf.training.state import NotFiniteError
from tfrecords import Damage, dataset, read_black_list


class Trainer:
    """One run, from its configuration or its last checkpoint to its last step.

    Args:
        config: of the run.
        network: a new network, made under the run's precision and seed.
        say: takes lines for the person watching.

    Attributes:
        step: updates done.
        best_map: the best held-out mAP so far, None before the first evaluation.
        best_step: its step.
        summary: of the last evaluation.
    """

    def __init__(self, config: TrainConfig, network: Network, say: Callable[[str], None] = print):
        self.config = config
        self.network = network
        self.run_dir = Path(config.run_dir)
        self.step = 0
        self.best_map: float | None = None
        self.best_step: int | None = None
        self.summary: metrics.Summary | None = None
        self._say = say
        self._damaged: set[str] = set()
        self._model = training_model(network)
        optimizer = Adam(config.learning_rate)
        if config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
        self._optimizer = optimizer
        # Kept on the device, so that a step need not wait for the host to look at its loss.
        self._loss_sum = tf.Variable(0.0)
        self._first_bad = tf.Variable(0, dtype=tf.int64)
        jit = config.xla == "on" or (
            config.xla == "auto" and bool(tf.config.list_logical_devices("GPU"))
        )
        self._train_step = tf.function(self._one_step, jit_compile=jit, autograph=False)
        self._predictor = compiled_predictor(network)

    @property
    def _variables(self) -> dict[str, keras.Variable]:
        # network.variables holds the random states of dropout and SpecAugment too.
        return state.named_variables(
            network=self.network.variables, optimizer=self._optimizer.variables
        )

    @property
    def _checkpoints(self) -> Path:
        return self.run_dir / "checkpoints"

    def _one_step(self, waveform, target, mixup_lambda, step):
        """One update. Waveform int16 (clips, samples), target (clips, classes), step int64."""
        waveform = to_float(waveform)
        inputs = {"waveform": waveform}
        if mixup_lambda is not None:
            target = mix(target, mixup_lambda)
            if self.config.mixup == "waveform":
                inputs = {"waveform": mix(waveform, mixup_lambda)}
            else:
                inputs["mixup_lambda"] = mixup_lambda
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            loss = binary_cross_entropy(target, self._model.outputs_of(inputs, training=True))
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        self._optimizer.apply(gradients, variables)
        self._loss_sum.assign_add(loss)
        bad = tf.logical_and(self._first_bad == 0, tf.logical_not(tf.math.is_finite(loss)))
        self._first_bad.assign(tf.where(bad, step, self._first_bad))
        return loss

    def restore(self) -> None:
        """Continues from the newest checkpoint that can be read; without any, from the start.

        Raises:
            ValueError: if there are checkpoints and none can be read.
        """
        found = state.checkpoints(self._checkpoints)
        for path in reversed(found):
            try:
                meta = state.restore_checkpoint(path, self._variables)
            except ValueError as error:
                if path == found[0]:
                    raise ValueError(f"no checkpoint can be resumed: {error}") from error
                self._say(f"{error}; trying the one before")
                continue
            self.step, self.best_map = meta["step"], meta["best_map"]
            self.best_step = meta["best_step"]
            self._say(f"Resumed from {path} at step {self.step}.")
            return
        self._say(f"No checkpoint in {self._checkpoints}: starting from step 0.")

    def save(self) -> None:
        """Writes a checkpoint, unless the weights are beyond use."""
        self._check_finite()
        meta = {"best_map": self.best_map, "best_step": self.best_step}
        keep = self.config.keep_checkpoints
        try:
            state.save_checkpoint(self._checkpoints, self.step, self._variables, meta, keep)
        except NotFiniteError as error:
            # The loss can stay finite for a while: a rectifier may turn NaN into 0.
            raise self._stop(f"by step {self.step} {error}") from error

    def _check_finite(self) -> None:
        bad = int(self._first_bad.numpy())
        if bad:
            raise self._stop(f"the loss became NaN or infinite at step {bad}")

    def _stop(self, reason: str) -> NotFiniteError:
        good = state.checkpoints(self._checkpoints)
        kept = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
        advice = "try a lower --learning-rate or --precision float32"
        return NotFiniteError(f"{reason}; {kept}; {advice}")

    def _batches(self) -> Iterator[tuple]:
        config = self.config
        records = dataset(
            config.data,
            batch_size=config.clips_per_step,
            sampling=config.sampling,
            seed=config.seed,
            start=self.step * config.clips_per_step,
            exclude=read_black_list(config.exclude) if config.exclude else (),
            fraction=config.fraction,
            **self._reading,
        )
        weights = MixupLambda(config.seed, start=self.step * config.batch_size)
        for batch in iterate(records):
            weight = None if config.mixup == "none" else weights.draw(config.batch_size)
            yield batch["waveform"], batch["target"], weight

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

    def evaluate(self) -> dict:
        """Evaluates the network on the held-out records and keeps it if it is the best."""
        target, score = predict(
            self._predictor, self.config.eval_data, self.config.batch_size, **self._reading
        )
        self.summary = metrics.summarise(target, score)
        values = self.summary.as_dict()
        if self.best_map is None or values["mAP"] > self.best_map:
            self.best_map, self.best_step = values["mAP"], self.step
            save_keras(self.network, self.run_dir / "best.keras")
        return values

    def train(self) -> None:
        """Takes the remaining steps, then writes a last checkpoint and ``final.keras``.

        The first SIGINT or SIGTERM ends it after the step under way, with a checkpoint.

        Raises:
            NotFiniteError: at the first log, evaluation or checkpoint after a loss that is not
                finite; names its step. The last good checkpoint stays.
            KeyboardInterrupt: after the checkpoint of an interrupted run.
        """
        log = RunLog(self.run_dir, self.step)
        bar = tqdm(
            total=self.config.steps, initial=self.step, unit="step", desc="train", mininterval=0.5
        )
        try:
            with deferred_interrupt() as interrupt:
                saved_at = self._take_steps(log, bar, interrupt)
                if saved_at < self.step or not state.checkpoints(self._checkpoints):
                    self.save()
        finally:
            bar.close()
            log.close()
        if interrupt.requested:
            raise KeyboardInterrupt
        if self.config.eval_data and self.summary is None:  # resumed at its last step
            self.evaluate()
        save_keras(self.network, self.run_dir / "final.keras")

    def _take_steps(self, log: RunLog, bar: tqdm, interrupt: Interrupt) -> int:
        """Takes steps until the last or an interrupt; returns the step of the last checkpoint."""
        config = self.config
        logged = saved = self.step
        last_log = last_save = time.monotonic()
        for waveform, target, weight in self._batches() if self.step < config.steps else ():
            number = tf.constant(self.step + 1, tf.int64)
            self._train_step(waveform, target, weight, number)
            self.step += 1
            bar.update()
            last = self.step == config.steps
            if self.step % config.log_steps == 0 or last:
                self._check_finite()
                taken, seconds = self.step - logged, time.monotonic() - last_log
                self._log_training(log, bar, taken, seconds)
                logged, last_log = self.step, time.monotonic()
            if config.eval_data and (self.step % config.eval_steps == 0 or last):
                self._check_finite()
                began = time.monotonic()
                values = self.evaluate()
                log.write(self.step, "eval", values)
                bar.write(describe(self.step, values))
                last_log += time.monotonic() - began  # not training time
            minutes = (time.monotonic() - last_save) / 60
            due = config.checkpoint_minutes and minutes >= config.checkpoint_minutes
            if due or (config.checkpoint_steps and self.step % config.checkpoint_steps == 0):
                self.save()
                last_save, saved = time.monotonic(), self.step
            if last or interrupt.requested:
                break
        return saved

    def _log_training(self, log: RunLog, bar: tqdm, steps: int, seconds: float) -> None:
        """Logs the mean loss and the speed of the last ``steps`` steps."""
        values = {
            "loss": float(self._loss_sum.numpy()) / steps,
            "clips_per_second": steps * self.config.clips_per_step / seconds,
            "learning_rate": float(self._optimizer.learning_rate),
        }
        if self.config.damaged == "skip":
            values["damaged_clips"] = len(self._damaged)
        self._loss_sum.assign(0.0)
        log.write(self.step, "train", values)
        rate = f"{values['clips_per_second']:.1f}"
        bar.set_postfix({"loss": f"{values['loss']:.4f}", "clips/s": rate})


def save_keras(network: Network, path: Path) -> None:
    """Writes a ``.keras`` file, whole or not at all."""
    partial = path.with_name(f"partial-{path.name}")
    network.save(partial)
    partial.replace(path)


def describe(step: int, values: dict) -> str:
    """Returns one line of held-out metrics."""
    return (
        f"step {step}: held-out mAP {values['mAP']:.4f} (chance {values['chance_mAP']:.4f}), "
        f"mAUC {values['mAUC']:.4f}, d-prime {values['d_prime']:.3f}, {values['num_clips']} clips"
    )
