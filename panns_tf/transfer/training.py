"""One training on one split, by any strategy, and its test."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from panns_tf.models import Network, find
from panns_tf.transfer.base import new_network, task_overrides
from panns_tf.transfer.classifier import classify, fit_classifier, new_classifier
from panns_tf.transfer.clips import Collection, Split
from panns_tf.transfer.embeddings import embeddings
from panns_tf.transfer.fitting import Fitted, Material, fit, predictor_of, scores_of
from panns_tf.transfer.plan import Plan
from panns_tf.transfer.probe import fit_probe
from panns_tf.transfer.scores import mean_by_owner, windows_of
from panns_tf.transfer.store import SoundStore


@dataclasses.dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        fitted: how it went.
        score: what the network says of the tested clips, (clips, classes).
        network: makes or returns the trained network.
    """

    fitted: Fitted
    score: np.ndarray
    network: Callable[[], Network]


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
        config = plan.config
        off = {name: False for name in ("dropout", "spec_augment") if not getattr(config, name)}
        self._overrides = task_overrides(
            plan.arch,
            config.strategy,
            not collection.multi_label,
            {**plan.overrides, **off},
        )

    def train(self, split: Split, seed: int, what: str = "") -> Trained:
        """Trains on a split and tests it; arguments say which, and what to call it."""
        config = dataclasses.replace(self._plan.config, seed=seed)
        keras.utils.set_random_seed(seed)
        if self._plan.frozen:
            return self._frozen(config, split)
        keras.config.set_dtype_policy(config.train_config(1).policy)
        try:
            return self._whole(config, split, what)
        finally:
            keras.config.set_dtype_policy("float32")

    def _new_network(self, head: keras.Model | None = None) -> Network:
        names = (self._plan.arch, self._collection.classes, self._overrides)
        return new_network(*names, self._base, head)

    def _whole(self, config, split: Split, what: str) -> Trained:
        network = self._new_network()
        validation = split.validation if config.patience else ()
        train = split.train if config.patience else (*split.train, *split.validation)
        material = Material(
            self._store, self._target, train, validation, self._window, self._measure
        )
        fitted = fit(network, config, material, self._quiet, what)
        size = self._plan.batch_size
        score = scores_of(predictor_of(network), self._store, split.test, self._window, size)
        return Trained(fitted, score, lambda: network)

    def _frozen(self, config, split: Split) -> Trained:
        learnt = (*split.train, *split.validation)
        embedded, owner = self._windows(learnt)
        target = self._target[list(learnt)][owner]  # (windows, classes)
        row = find(self._plan.arch).override(**self._overrides)
        model = new_classifier(row, embedded.shape[1:], target.shape[1])
        if config.strategy == "linear_probe":
            fitted = fit_probe(model, row, embedded, target, owner >= len(split.train))
        else:
            fitted = fit_classifier(model, row, config, embedded, target)
        embedded, owner = self._windows(split.test)
        score = mean_by_owner(classify(model, embedded), owner, len(split.test))
        return Trained(fitted, score, lambda: self._new_network(model))

    def _windows(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """What the classifier reads of the windows of clips, and whose each window is."""
        embedded, first = self._embedded
        rows = [np.arange(first[number], first[number + 1]) for number in numbers]
        owner = np.repeat(np.arange(len(numbers)), [len(part) for part in rows])
        return embedded[np.concatenate(rows)], owner

    @functools.cached_property
    def _embedded(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of all clips, and the first window of each."""
        parts = (part for s in self._collection.splits for part in (s.train, s.validation, s.test))
        used = sorted({number for part in parts for number in part})
        places, owner = windows_of(self._store, used, self._window)
        counts = np.zeros(len(self._store), np.int64)
        counts[used] = np.bincount(owner, minlength=len(used))
        found = embeddings(
            self._base,
            self._store,
            places,
            self._window,
            self._cache,
            quiet=self._quiet,
        )
        return found, np.concatenate([[0], np.cumsum(counts)])
