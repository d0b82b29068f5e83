"""One training on one split, by any strategy, and its test."""

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
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
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.model import (
    embed_windows,
    layer_groups,
    new_network,
    probabilities,
    trunk_and_head,
)
from panns_tf.transfer.probe import class_weights, fit_head, fit_probe, sample_order
from panns_tf.transfer.scores import metric_of
from panns_tf.transfer.settings import FROZEN, FinetuneConfig
from panns_tf.transfer.store import AudioStore, mean_by_owner

#: Windows at a time where nothing is trained.
_BATCH = 32
#: A network, lines of its log, and what `panns_tf.transfer.scores.FoldResult` has of the training.
Trained = tuple[Network, list[dict], dict]


class Finetuner:
    """Trains and tests networks on clips of a store; embeddings are kept in a cache."""

    def __init__(
        self, experiment: Experiment, store: AudioStore, pretrained: Network | None, cache: Path
    ):
        self.experiment, self._config, self._store = experiment, experiment.config, store
        self._pretrained, self._cache = pretrained, cache
        self._target = experiment.dataset.target()
        self._size = round(experiment.clip_seconds * store.sample_rate)

    def train(self, split: Split, seed: int) -> Trained:
        """Trains on a split and tests it; the next training of a head changes the network."""
        config = dataclasses.replace(self._config, seed=seed)
        train = self._train_head if config.strategy in FROZEN else self._train_network
        with numerics(config.precision, seed):
            return train(config, split)

    def _train_network(self, config: FinetuneConfig, split: Split) -> Trained:
        network = new_network(self.experiment, self._pretrained)
        clips = split.train if config.patience else (*split.train, *split.validation)
        epoch = max(1, round(len(clips) / config.clips_per_step))
        steps = max(config.min_steps, config.epochs * epoch)
        if epoch * 4 < config.min_steps:  # with few clips an epoch is a moment
            epoch = max(1, config.min_steps // 20)
        settings = TrainConfig.from_settings(
            config, arch=network.arch.name, steps=steps, eval_steps=epoch, log_steps=epoch
        )
        weights = class_weights(self._target[list(clips)]) if config.class_weights else None
        crop = round((config.crop_seconds or 0) * self._store.sample_rate) or self._size
        count = steps * config.clips_per_step
        order = sample_order(clips, self._target, count, config.sampling, config.seed)
        order = order.reshape(steps, config.clips_per_step)
        validates = config.patience and split.validation
        groups = ()
        if config.layer_decay < 1 or config.unfreeze_epochs:
            wait = config.unfreeze_epochs * epoch
            groups = [
                LayerGroup(layers, config.layer_decay**depth, depth * wait)
                for depth, layers in enumerate(reversed(layer_groups(network)))
            ]
        trainer = Trainer(
            settings,
            network,
            RandomCrops(settings, self._store, self._target, order, crop),
            evaluate=functools.partial(self._validate, network, split) if validates else None,
            monitor=("validation", "negative_error"),
            groups=groups,
            loss=loss_for(network.arch.activation, weights),
            early_stopping=EarlyStopping(config.patience, config.min_steps) if validates else None,
        )
        began = time.monotonic()
        trainer.train()
        shown = ("step", "loss", "validation")
        history = [{name: row[name] for name in shown if name in row} for row in trainer.history]
        test = {"steps": trainer.step, "seconds": time.monotonic() - began, "notes": []}
        if validates and trainer.best_step < trainer.step:
            best = f"the weights are those of update {trainer.best_step}"
            test["notes"].append(f"stopped after {trainer.step} updates; {best}")
        return network, history, {**test, "score": self._scores(network, split.test)}

    def _scores(self, network: Network, numbers: Sequence[int]) -> np.ndarray:
        """Probabilities of clips, (clips, classes), the mean over the windows of each."""
        predict = compiled_predictor(network)
        places, owner = self._store.windows(numbers, self._size)
        return mean_by_owner(self._store.predict(predict, places, self._size, _BATCH), owner)

    def _validate(self, network: Network, split: Split) -> dict[str, float]:
        score = self._scores(network, split.validation)
        target = self._target[list(split.validation)]
        return {
            "validation": metric_of(self.experiment.metric, target, score),
            # With few clips many metrics are equal; the smaller error is the better then.
            "negative_error": -float(np.mean((target - score) ** 2)),
        }

    @functools.cached_property
    def _task_network(self) -> tuple[Network, keras.Model]:
        """A network for all trainings of new layers, and its head."""
        network = new_network(self.experiment, self._pretrained)
        return network, trunk_and_head(network)[1]

    @functools.cached_property
    def _embeddings(self) -> list[np.ndarray]:
        places, owner = self._store.windows(range(len(self._store)), self._size)
        embedded = embed_windows(self._pretrained, self._store, places, self._size, self._cache)
        return np.split(embedded, np.flatnonzero(np.diff(owner)) + 1)

    def _embedded(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the windows of clips, and the position of each window's clip."""
        parts = [self._embeddings[number] for number in numbers]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return np.concatenate(parts), owner

    def _train_head(self, config: FinetuneConfig, split: Split) -> Trained:
        network, network_head = self._task_network
        keras.utils.set_random_seed(config.seed)
        head = keras.models.clone_model(network_head)  # with new weights and random states
        clips = (*split.train, *split.validation)
        embedded, owner = self._embedded(clips)
        target = self._target[list(clips)][owner]
        began = time.monotonic()
        if config.strategy == "linear_probe":
            line = fit_probe(head, network.arch, embedded, target, owner >= len(split.train))
        else:
            line = fit_head(head, network.arch, config, embedded, target)
        network_head.set_weights(head.get_weights())
        test = {"steps": line["step"], "seconds": time.monotonic() - began, "notes": []}
        embedded, owner = self._embedded(split.test)
        score = mean_by_owner(probabilities(head, network.arch, embedded), owner)
        return network, [line], {**test, "score": score}


@dataclasses.dataclass
class RandomCrops(TrainingData):
    """Batches of random crops; short clips end in zeros."""

    config: TrainConfig
    store: AudioStore
    target: np.ndarray  # of all clips of the store
    order: np.ndarray  # (steps, clips of a batch), their numbers
    size: int  # in samples

    def clip_ids(self, step: int) -> list[str]:
        return [str(number) for number in self.order[step - 1]]

    def batches(self, step: int) -> Iterator:
        clips, classes = self.config.clips_per_step, self.target.shape[1]
        signature = {
            "waveform": tf.TensorSpec((clips, self.size), tf.int16),
            "target": tf.TensorSpec((clips, classes), tf.float32),
        }
        data = tf.data.Dataset.from_generator(
            lambda: map(self._batch, range(step, len(self.order))), output_signature=signature
        )
        return iter(add_mixup(data, self.config, step).prefetch(4))

    def _batch(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.config.seed, step))
        rows = []
        for number in self.order[step]:
            spare = int(self.store.lengths[number]) - self.size
            start = int(rng.integers(spare + 1)) if spare > 0 else 0
            rows.append(self.store.cut(number, start, self.size))
        return {"waveform": np.stack(rows), "target": self.target[self.order[step]]}
