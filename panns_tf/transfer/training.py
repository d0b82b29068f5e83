"""One training on one split, by any strategy, and its test."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from panns_tf.models import Network
from panns_tf.transfer.base import new_network
from panns_tf.transfer.classifier import classify, fit_classifier
from panns_tf.transfer.clips import Collection, Split
from panns_tf.transfer.embeddings import embeddings
from panns_tf.transfer.fitting import Fitted, Material, fit, predictor_of, scores_of
from panns_tf.transfer.plan import Plan
from panns_tf.transfer.probe import fit_probe
from panns_tf.transfer.scores import mean_by_owner, windows_of
from panns_tf.transfer.store import SoundStore


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network and what it says of the tested clips.

    Attributes:
        network: the network.
        fitted: how the training went.
        score: (tested clips, classes).
    """

    network: Network
    fitted: Fitted
    score: np.ndarray


class Trainings:
    """Trains and tests networks on the clips of a data set.

    Args:
        plan: of the run.
        collection: the data set, its splits made.
        store: its sound.
        base: the pretrained network, or None.
        cache: folder of kept embeddings.
        measure: of targets and scores, for early stopping.
        quiet: whether to show no progress.
    """

    def __init__(
        self,
        plan: Plan,
        collection: Collection,
        store: SoundStore,
        base: Network | None,
        cache: Path,
        measure: Callable,
        quiet: bool = False,
    ):
        self._plan, self._collection, self._store = plan, collection, store
        self._base, self._cache = base, cache
        self._measure, self._quiet = measure, quiet
        self._target = collection.target()
        self._window = round(plan.clip_seconds * store.sample_rate)

    def train(self, split: Split, seed: int, what: str = "") -> Trained:
        """Trains on a split and tests it; arguments say which, and what to call it."""
        plan = self._plan
        config = dataclasses.replace(plan.config, seed=seed)
        keras.utils.set_random_seed(seed)
        keras.config.set_dtype_policy(config.train_config(1).policy)
        switched_off = {
            name: False for name in ("dropout", "spec_augment") if not getattr(config, name)
        }
        network = new_network(
            plan.arch,
            self._collection.classes,
            config.strategy,
            not self._collection.multi_label,
            {**plan.overrides, **switched_off},
            self._base,
        )
        if plan.frozen:
            return self._frozen(network, config, split)
        return self._whole(network, config, split, what)

    def _whole(self, network: Network, config, split: Split, what: str) -> Trained:
        validation = split.validation if config.patience else ()
        train = split.train if config.patience else (*split.train, *split.validation)
        material = Material(
            self._store, self._target, train, validation, self._window, self._measure
        )
        fitted = fit(network, config, material, self._quiet, what)
        size = self._plan.batch_size
        score = scores_of(predictor_of(network), self._store, split.test, self._window, size)
        return Trained(network, fitted, score)

    def _frozen(self, network: Network, config, split: Split) -> Trained:
        learnt = (*split.train, *split.validation)
        embedded, owner = self._embedded(network, learnt)
        target = self._target[list(learnt)][owner]  # (windows, classes)
        if config.strategy == "linear_probe":
            held_out = owner >= len(split.train)
            fitted = fit_probe(network, embedded, target, held_out)
        else:
            fitted = fit_classifier(network, config, embedded, target)
        embedded, owner = self._embedded(network, split.test)
        score = mean_by_owner(classify(network, embedded), owner, len(split.test))
        return Trained(network, fitted, score)

    def _embedded(self, network: Network, numbers) -> tuple[np.ndarray, np.ndarray]:
        """What the classifier reads of the windows of clips, and whose each window is."""
        places, owner = windows_of(self._store, numbers, self._window)
        found = embeddings(
            network,
            self._store,
            places,
            self._window,
            self._cache,
            self._plan.batch_size,
            self._quiet,
        )
        return found, owner
