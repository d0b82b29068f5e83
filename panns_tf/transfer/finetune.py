"""One training on one split, by any strategy, and its test."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.models.network import Network
from panns_tf.training.data import TrainingData, add_mixup
from panns_tf.training.distribution import numerics
from panns_tf.training.evaluator import compiled_predictor
from panns_tf.training.losses import loss_for
from panns_tf.training.trainer import EarlyStopping, LayerGroup, Trainer
from panns_tf.transfer.dataset import Split
from panns_tf.transfer.embeddings import embed_windows
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.model import layer_groups, new_network, probabilities, trunk_and_head
from panns_tf.transfer.probe import class_weights, fit_head, fit_probe, sample_order
from panns_tf.transfer.scores import metric_of
from panns_tf.transfer.settings import FROZEN, FinetuneConfig
from panns_tf.transfer.store import AudioStore, mean_by_owner

#: Windows at a time where nothing is trained.
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network and its test.

    Attributes:
        steps, seconds: of the training.
        best_step: whose weights were kept.
        history: lines of ``metrics.jsonl``.
        score: probabilities of the test clips, (clips, classes).
        network: makes or returns the network.
    """

    steps: int
    seconds: float
    best_step: int
    history: Sequence[Mapping]
    score: np.ndarray
    network: Callable[[], Network]

    def notes(self) -> tuple[str, ...]:
        """What a user should know of the training."""
        notes = []
        if self.best_step < self.steps:
            notes.append(
                f"stopped after {self.steps} updates; the weights are those of update "
                f"{self.best_step}"
            )
        if len(self.score) > 1 and np.ptp(self.score, axis=0).max() < 1e-6:
            notes.append(
                f"the network predicts the same for every test clip: {self.steps} updates were "
                "too few or too large; try more --epochs, or another --learning-rate"
            )
        return tuple(notes)


class Finetuner:
    """Trains and tests networks on the clips of a data set.

    Args:
        experiment: its data set with splits; the seed is that of `train`.
        store: its audio.
        pretrained: a network, or None.
        cache: folder of kept embeddings.
    """

    def __init__(
        self, experiment: Experiment, store: AudioStore, pretrained: Network | None, cache: Path
    ):
        self._experiment, self._config, self._store = experiment, experiment.config, store
        self._pretrained, self._cache = pretrained, cache
        self._target = experiment.dataset.target()
        self._size = round(experiment.clip_seconds * store.sample_rate)

    def train(self, split: Split, seed: int) -> Trained:
        """Trains on a split and tests it."""
        config = dataclasses.replace(self._config, seed=seed)
        with numerics(config.precision, seed):
            if config.strategy in FROZEN:
                return self._train_head(config, split)
            return self._train_network(config, split)

    def _new_network(self) -> Network:
        config, overrides = self._config, self._experiment.overrides
        off = {name: False for name in ("dropout", "spec_augment") if not getattr(config, name)}
        return new_network(
            self._experiment.arch,
            self._experiment.dataset.classes,
            {**overrides, **off},
            strategy=config.strategy,
            single_label=not self._experiment.dataset.multi_label,
            pretrained=self._pretrained,
        )

    # ---- all layers

    def _train_network(self, config: FinetuneConfig, split: Split) -> Trained:
        network = self._new_network()
        clips = split.train if config.patience else (*split.train, *split.validation)
        steps, epoch = config.steps(len(clips)), config.steps_per_epoch(len(clips))
        if epoch * 4 < config.min_steps:  # with few clips an epoch is a moment
            epoch = max(1, config.min_steps // 20)
        settings = TrainConfig.from_settings(
            config, arch=network.arch.name, steps=steps, eval_steps=epoch, log_steps=epoch
        )
        weights = class_weights(self._target[list(clips)]) if config.class_weights else None
        evaluate = None
        if config.patience and split.validation:
            evaluate = functools.partial(self._validate, network, list(split.validation))
        trainer = Trainer(
            settings,
            network,
            RandomCrops(
                settings, self._store, self._target, clips, self._crop(config), config.sampling
            ),
            evaluate=evaluate,
            monitor=("validation", "negative_error"),
            groups=_groups(network, config, epoch),
            loss=loss_for(network.arch.activation, weights),
            early_stopping=EarlyStopping(config.patience, config.min_steps) if evaluate else None,
        )
        result = trainer.train()
        history = [
            {name: row[name] for name in ("step", "loss", "validation") if name in row}
            for row in result.history
        ]
        score = self._scores(network, split.test)
        return Trained(
            result.steps,
            result.seconds,
            result.best_step or result.steps,
            history,
            score,
            lambda: network,
        )

    def _crop(self, config: FinetuneConfig) -> int:
        if config.crop_seconds is None:
            return self._size
        return round(config.crop_seconds * self._store.sample_rate)

    def _scores(self, network: Network, numbers: Sequence[int]) -> np.ndarray:
        """Probabilities of clips, (clips, classes), the mean over the windows of each."""
        predict = compiled_predictor(network)
        places, owner = self._store.windows(numbers, self._size)
        scores = self._store.predict(
            lambda batch: predict(tf.constant(batch)).numpy(), places, self._size, _BATCH
        )
        return mean_by_owner(scores, owner, len(numbers))

    def _validate(self, network: Network, numbers: list[int]) -> dict[str, float]:
        score, target = self._scores(network, numbers), self._target[numbers]
        # With few clips many metrics are equal; the smaller error is the better then.
        error = float(np.mean((target - score) ** 2))
        return {
            "validation": metric_of(self._experiment.metric, target, score),
            "negative_error": -error,
        }

    # ---- the new layers on a frozen network

    @functools.cached_property
    def _task_network(self) -> tuple[Network, keras.Model]:
        """A network for all trainings of new layers, and its head."""
        network = self._new_network()
        return network, trunk_and_head(network)[1]

    def _train_head(self, config: FinetuneConfig, split: Split) -> Trained:
        network, head = self._task_network
        keras.utils.set_random_seed(config.seed)
        head = keras.models.clone_model(head)  # with new weights
        clips = (*split.train, *split.validation)
        embedded, owner = self._embedded(clips)
        target = self._target[list(clips)][owner]
        began = time.monotonic()
        if config.strategy == "linear_probe":
            line = fit_probe(head, network.arch, embedded, target, owner >= len(split.train))
        else:
            line = fit_head(head, network.arch, config, embedded, target)
        seconds = time.monotonic() - began
        embedded, owner = self._embedded(split.test)
        score = mean_by_owner(probabilities(head, network.arch, embedded), owner, len(split.test))

        def trained() -> Network:
            for layer in head.layers:
                if layer.weights:
                    network.get_layer(layer.name).set_weights(layer.get_weights())
            return network

        return Trained(line["step"], seconds, line["step"], [line], score, trained)

    def _embedded(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the windows of clips, and the position of each window's clip."""
        embedded, first = self._all_embedded
        rows = [np.arange(first[number], first[number + 1]) for number in numbers]
        owner = np.repeat(np.arange(len(numbers)), [len(part) for part in rows])
        return embedded[np.concatenate(rows)], owner

    @functools.cached_property
    def _all_embedded(self) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of all clips of the splits, and the first window of each clip."""
        parts = (
            part
            for s in self._experiment.dataset.splits
            for part in (s.train, s.validation, s.test)
        )
        used = sorted({number for part in parts for number in part})
        places, owner = self._store.windows(used, self._size)
        counts = np.zeros(len(self._store), np.int64)
        counts[used] = np.bincount(owner, minlength=len(used))
        embedded = embed_windows(self._pretrained, self._store, places, self._size, self._cache)
        return embedded, np.concatenate([[0], np.cumsum(counts)])


def _groups(network: Network, config: FinetuneConfig, epoch: int) -> tuple[LayerGroup, ...]:
    """Layer groups with their learning rates and the updates at which they are unfrozen."""
    if config.layer_decay == 1 and not config.unfreeze_epochs:
        return ()
    return tuple(
        LayerGroup(layers, config.layer_decay**depth, depth * config.unfreeze_epochs * epoch)
        for depth, layers in enumerate(reversed(layer_groups(network)))
    )


class RandomCrops(TrainingData):
    """Batches of random crops of training clips.

    Args:
        config: of the training.
        store: the audio.
        target: (clips of the data set, classes).
        clips: numbers of the training clips.
        size: samples of a crop; shorter clips end in zeros.
        sampling: ``"shuffled"`` or ``"balanced"``.
    """

    def __init__(
        self,
        config: TrainConfig,
        store: AudioStore,
        target: np.ndarray,
        clips: Sequence[int],
        size: int,
        sampling: str,
    ):
        self._config, self._store, self._target, self._size = config, store, target, size
        count = config.steps * config.clips_per_step
        order = sample_order(clips, target, count, sampling, config.seed)
        self._order = order.reshape(config.steps, config.clips_per_step)

    def clip_ids(self, step: int) -> list[str]:
        """See `TrainingData`."""
        return [str(number) for number in self._order[step - 1]]

    def batches(self, step: int) -> Iterator:
        """See `TrainingData`."""
        clips, classes = self._config.clips_per_step, self._target.shape[1]

        def shaped(number) -> dict:
            kinds = (tf.int16, tf.float32)
            waveform, target = tf.numpy_function(self._batch, [number], kinds)
            return {
                "waveform": tf.ensure_shape(waveform, (clips, self._size)),
                "target": tf.ensure_shape(target, (clips, classes)),
            }

        steps = tf.data.Dataset.range(step, len(self._order))
        data = steps.map(shaped, num_parallel_calls=2, deterministic=True)
        return iter(add_mixup(data, self._config, step).prefetch(4))

    def _batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self._config.seed, int(step)))
        rows = []
        for number in self._order[step]:
            spare = int(self._store.lengths[number]) - self._size
            start = int(rng.integers(spare + 1)) if spare > 0 else 0
            rows.append(self._store.cut(number, start, self._size))
        return np.stack(rows), self._target[self._order[step]]
