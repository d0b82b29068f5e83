"""Trains a whole network, or its last stages, on the clips of a store."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from panns_tf.models import Network
from panns_tf.training.checkpoint import NotFiniteError
from panns_tf.training.distribution import Distribution
from panns_tf.training.evaluator import compiled_predictor
from panns_tf.training.losses import loss_for
from panns_tf.training.step import TrainStep
from panns_tf.transfer.feed import draws, training_batches
from panns_tf.transfer.scores import mean_by_owner, of_windows, windows_of
from panns_tf.transfer.settings import TransferConfig
from panns_tf.transfer.stages import freeze_all_but, rate_factors, stages_of
from panns_tf.transfer.store import SoundStore


@dataclasses.dataclass(frozen=True)
class Fitted:
    """How a training went.

    Attributes:
        steps: updates taken.
        seconds: that they took, evaluations included.
        best_step: whose weights were kept.
        history: a row for each epoch: ``step``, ``loss`` and, with held-out clips, ``validation``.
    """

    steps: int
    seconds: float
    best_step: int
    history: tuple[dict, ...]

    def notes(self, says_the_same: bool) -> tuple[str, ...]:
        """What a user should know of the training, given whether all clips are scored alike."""
        found = []
        if self.best_step < self.steps:
            found.append(
                f"stopped after {self.steps} updates; the weights are those of update "
                f"{self.best_step}"
            )
        if says_the_same:
            found.append(
                f"the network says the same of every tested clip: {self.steps} updates were too "
                "few or too large; try more --epochs, or another --learning-rate"
            )
        return tuple(found)


@dataclasses.dataclass(frozen=True)
class Material:
    """What a training learns from.

    Attributes:
        store: the sound of the whole data set.
        target: (clips of the data set, classes) float32.
        train: numbers of the training clips.
        validation: numbers of the clips that decide when to stop; perhaps none.
        window: samples that the network hears at once where it is tested.
        measure: of targets and scores, the higher the better.
    """

    store: SoundStore
    target: np.ndarray
    train: Sequence[int]
    validation: Sequence[int]
    window: int
    measure: Callable[[np.ndarray, np.ndarray], float]


def class_weights(target: np.ndarray) -> np.ndarray:
    """Returns what a clip of each class counts: the inverse of its share, 1 in the mean of clips.

    Args:
        target: of the training clips, (clips, classes). A class without any counts 0.
    """
    counts = target.sum(axis=0)
    present = np.maximum(counts, 1)
    weights = np.where(counts > 0, counts.sum() / (present * np.count_nonzero(counts)), 0)
    return weights.astype(np.float32)


def predictor_of(network: Network) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a compiled function from int16 waveforms to clipwise probabilities."""
    predict = compiled_predictor(network)
    return lambda waveforms: predict(tf.constant(waveforms)).numpy()


def scores_of(
    hear: Callable, store: SoundStore, numbers: Sequence[int], window: int, batch_size: int
) -> np.ndarray:
    """Returns the probabilities of clips, (clips, classes), the mean over the windows of each."""
    places, owner = windows_of(store, numbers, window)
    return mean_by_owner(of_windows(hear, store, places, window, batch_size), owner, len(numbers))


def fit(
    network: Network,
    config: TransferConfig,
    material: Material,
    quiet: bool = False,
    what: str = "",
) -> Fitted:
    """Trains a network in place.

    Args:
        network: made under the precision of the configuration.
        config: of the training.
        material: what it learns from.
        quiet: whether to show no progress.
        what: the training is called on the bar.

    Raises:
        NotFiniteError: if the loss becomes NaN or infinite.
    """
    return _Fit(network, config, material, quiet, what).run()


class _Fit:
    """The state of one training."""

    def __init__(self, network, config: TransferConfig, material: Material, quiet: bool, what: str):
        self._network, self._config, self._material = network, config, material
        clips = len(material.train)
        self._epoch = config.steps_per_epoch(clips)
        self._steps = config.steps(clips)
        if self._epoch * 4 < config.min_steps:  # of few clips an epoch is a moment
            self._epoch = max(1, config.min_steps // 20)
        weights = class_weights(material.target[list(material.train)])
        weights = weights if config.class_weights else None
        self._loss = loss_for(network.row.activation, weights)
        self._hear = predictor_of(network) if len(material.validation) else None
        self._best: tuple[float, float] | None = None
        self._best_step, self._best_weights = 0, None
        self._history: list[dict] = []
        self._bar = tqdm(
            total=self._steps, unit="step", desc=what or "train", leave=False, disable=quiet
        )

    def run(self) -> Fitted:
        began, step = time.monotonic(), 0
        for last, until in self._phases():
            if step < until and not self._is_stale(step):
                step = self._phase(step, until, last)
        freeze_all_but(self._network, len(stages_of(self._network)))
        self._bar.close()
        if self._best_weights is not None:
            self._network.set_weights(self._best_weights)
        best = self._best_step if self._best_weights is not None else step
        return Fitted(step, time.monotonic() - began, best, tuple(self._history))

    def _phases(self) -> list[tuple[int, int]]:
        """How many stages learn, and until which update."""
        stages = len(stages_of(self._network))
        span = self._config.unfreeze_epochs * self._epoch
        if not span:
            return [(stages, self._steps)]
        phases = [(n, min(n * span, self._steps)) for n in range(1, stages)]
        return [*phases, (stages, self._steps)]

    def _phase(self, step: int, until: int, last: int) -> int:
        """Takes updates in which the ``last`` stages learn; returns the last update's number."""
        freeze_all_but(self._network, last)
        config, material = self._config, self._material
        # The rate falls in the last phase, which is the longest.
        schedule = None if until == self._steps else "constant"
        steps = until - step
        updates = config.train_config(steps, schedule)
        distribution = Distribution(tf.distribute.get_strategy())
        factors = rate_factors(self._network, config.layer_decay)
        update = TrainStep(updates, self._network, distribution, None, self._loss, factors)
        drawn = draws(
            material.train,
            material.target,
            steps * updates.clips_per_step,
            config.sampling,
            config.seed + step,
        )
        rate = material.store.sample_rate
        crop = round(config.crop_seconds * rate) if config.crop_seconds else material.window
        batches = training_batches(updates, material.store, drawn, material.target, crop)
        while step < until and not self._is_stale(step):
            count = min(self._epoch - step % self._epoch, until - step)
            for _ in range(count):
                update.run(batches, 1)
                self._bar.update()
            step += count
            self._look(update, step, count)
        if update.average:
            update.average.put()
        return step

    def _look(self, update: TrainStep, step: int, count: int) -> None:
        found = {name: float(value) for name, value in update.flush().items()}
        if found["bad"] or not np.isfinite(found["loss"]):
            raise NotFiniteError(
                f"the loss became NaN or infinite by step {step}; try a lower --learning-rate or "
                "--precision float32"
            )
        row = {"step": step, "loss": found["loss"] / count}
        if self._hear is not None:
            if update.average:
                with update.average.in_place():
                    row["validation"] = self._validate(step)
            else:
                row["validation"] = self._validate(step)
        self._history.append(row)
        shown = {name: f"{value:.3f}" for name, value in row.items() if name != "step"}
        self._bar.set_postfix(shown)

    def _validate(self, step: int) -> float:
        """Measures the validation clips; keeps the weights if they are the best so far."""
        material, numbers = self._material, list(self._material.validation)
        score = scores_of(
            self._hear, material.store, numbers, material.window, self._config.batch_size
        )
        target = material.target[numbers]
        figure = material.measure(target, score)
        # Of few clips many figures are equal; the surer word is the better.
        error = float(np.mean((target - score) ** 2))
        rank = (figure if np.isfinite(figure) else -np.inf, -error)
        if self._config.patience and (self._best is None or rank > self._best):
            self._best, self._best_step = rank, step
            self._best_weights = self._network.get_weights()
        return figure

    def _is_stale(self, step: int) -> bool:
        """Whether nothing has become better for the epochs that one waits."""
        patience = self._config.patience
        if step < self._config.min_steps:
            return False  # running statistics have not settled, so figures say little
        waited = step - self._best_step
        return bool(patience and self._best_weights is not None) and (
            waited >= patience * self._epoch
        )
