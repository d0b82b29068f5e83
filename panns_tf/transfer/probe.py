"""Classifiers of embeddings: a linear one that is solved for, small ones that are trained."""

import warnings
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy import special
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from panns_tf.models.registry import Architecture
from panns_tf.training.losses import loss_for, smooth
from panns_tf.training.optimizer import learning_rate
from panns_tf.transfer.settings import FinetuneConfig

#: L2 penalties of the mean loss among which held-out clips choose, for embeddings of unit scale.
PENALTIES = tuple(10.0**exponent for exponent in range(1, -6, -1))
#: Iterations of the solver where only the choice of a penalty hangs on it.
_ROUGH_ITERATIONS = 60


class LinearSolver:
    """Logistic regression of targets on embeddings, which are scaled to unit deviation.

    Args:
        embedded: (clips, width).
        target: (clips, classes) of 0 and 1.
        softmax: whether a clip has one class; else each class is solved by itself.
    """

    def __init__(self, embedded: np.ndarray, target: np.ndarray, softmax: bool):
        self._scaler = StandardScaler().fit(embedded)
        self._x = self._scaler.transform(embedded).astype(np.float64)
        self._counts, clips = target.sum(axis=0), len(target)
        # What no clip or every clip has, has its odds as the only prediction.
        self._odds = special.logit((self._counts + 0.5) / (clips + 1))
        self._present = np.flatnonzero((self._counts > 0) & (self._counts < clips))
        self._softmax = softmax
        self._labels = [target.argmax(axis=1)] if softmax else list(target[:, self._present].T)
        self._models = [LogisticRegression(warm_start=True) for _ in self._labels]

    def solve(self, penalty: float, iterations: int = 1000) -> tuple[np.ndarray, np.ndarray]:
        """The solution, from that of the penalty before on.

        Args:
            penalty: half the weight of the squared kernel in the mean loss of a clip.
            iterations: at most.

        Returns:
            The kernel (width, classes) and the bias (classes,) on the embeddings as given, float32.
        """
        kernel, bias = np.zeros((self._x.shape[1], len(self._odds))), self._odds.copy()
        present = self._present
        with warnings.catch_warnings(), threadpool_limits(1):  # threads would wait for each other
            warnings.simplefilter("ignore", ConvergenceWarning)
            for model, labels in zip(self._models, self._labels, strict=True):
                if len(present):
                    model.set_params(C=1 / (penalty * len(self._x)), max_iter=iterations)
                    model.fit(self._x, labels)
        if not self._softmax:
            for label, model in zip(present, self._models, strict=True):
                kernel[:, label], bias[label] = model.coef_[0], model.intercept_[0]
        elif len(present) == 2:  # one column: the logit of the second class over the first
            (model,) = self._models
            kernel[:, present[1]], bias[present] = model.coef_[0], (0, model.intercept_[0])
        elif len(present):
            (model,) = self._models
            kernel[:, present], bias[present] = model.coef_.T, model.intercept_
        if self._softmax and len(present):
            absent = self._counts == 0
            bias[absent] += bias[present].min()
        kernel /= self._scaler.scale_[:, None]
        bias -= self._scaler.mean_ @ kernel
        return kernel.astype(np.float32), bias.astype(np.float32)


def choose_penalty(
    embedded: np.ndarray, target: np.ndarray, held_out: np.ndarray, softmax: bool
) -> float:
    """The penalty with the lowest cross-entropy on held-out clips, along a falling path.

    Args:
        embedded: (clips, width).
        target: (clips, classes).
        held_out: bool (clips,). None of them: the middle of `PENALTIES`.
        softmax: as for `LinearSolver`.
    """
    if not held_out.any() or held_out.all():
        return PENALTIES[len(PENALTIES) // 2]
    solver = LinearSolver(embedded[~held_out], target[~held_out], softmax)
    truth, losses = target[held_out], {}
    for penalty in PENALTIES:
        kernel, bias = solver.solve(penalty, _ROUGH_ITERATIONS)
        logits = embedded[held_out] @ kernel + bias
        if softmax:
            losses[penalty] = -(truth * special.log_softmax(logits, axis=1)).sum()
        else:
            losses[penalty] = (np.logaddexp(0, logits) - truth * logits).sum()
    return min(losses, key=losses.get)


def fit_probe(
    head: keras.Model, arch: Architecture, embedded: np.ndarray, target: np.ndarray, held_out
) -> dict:
    """Solves for a linear classifier in place.

    Args:
        head: of `panns_tf.transfer.model.trunk_and_head`.
        arch: of its network, with one prediction for a clip and without hidden layers.
        embedded: (windows, width) of the training clips.
        target: (windows, classes).
        held_out: bool (windows,), of clips that choose the penalty; all are solved for after.

    Returns:
        A line for the log.

    Raises:
        ValueError: if the classifier is not one linear layer of the embedding.
    """
    if arch.head != "clip":
        raise ValueError(
            f"linear_probe needs one embedding for a clip, and {arch.name} classifies parts of "
            "it; take --strategy freeze_l1"
        )
    softmax = arch.activation == "softmax"
    penalty = choose_penalty(embedded, target, held_out, softmax)
    head.get_layer("fc_audioset").set_weights(
        list(LinearSolver(embedded, target, softmax).solve(penalty))
    )
    return {"step": 1, "penalty": penalty}


def fit_head(
    head: keras.Model,
    arch: Architecture,
    config: FinetuneConfig,
    embedded: np.ndarray,
    target: np.ndarray,
) -> dict:
    """Trains the new layers of a frozen network in place, those of Freeze_L1 and Freeze_L3.

    Args:
        head: of `panns_tf.transfer.model.trunk_and_head`.
        arch: of its network.
        config: of the training.
        embedded: (windows, width) or (windows, segments, width) of the training clips.
        target: (windows, classes).

    Returns:
        A line for the log.
    """
    batch = config.batch_size
    steps = max(config.min_steps, config.epochs * max(1, round(len(embedded) / batch)))
    weights = class_weights(target) if config.class_weights else None
    loss = loss_for(arch.activation, weights)
    output = "logits" if arch.head == "clip" else "clipwise_output"
    middle = 0.5 if arch.activation == "sigmoid" else 1 / target.shape[1]
    truth = tf.constant(smooth(target, config.label_smoothing, middle), tf.float32)
    inputs = tf.constant(embedded)
    order = sample_order(range(len(target)), target, steps * batch, config.sampling, config.seed)
    data = tf.data.Dataset.from_tensor_slices(order.reshape(steps, batch))
    data = data.map(lambda rows: (tf.gather(inputs, rows), tf.gather(truth, rows)))
    rate = learning_rate(config, steps)
    head.compile(
        keras.optimizers.Adam(rate, weight_decay=config.weight_decay or None, amsgrad=True),
        lambda truth, predicted: loss(truth, {output: predicted}),
        jit_compile=False,
        steps_per_execution=min(steps, 50),
    )
    history = head.fit(data.prefetch(8), shuffle=False, verbose=0)
    return {"step": steps, "loss": float(history.history["loss"][-1])}


def class_weights(target: np.ndarray) -> np.ndarray:
    """The weight of each class: the inverse of its share, 1 in the mean of clips.

    Args:
        target: of the training clips, (clips, classes). A class without any weighs 0.
    """
    counts = target.sum(axis=0)
    weights = counts.sum() / (np.maximum(counts, 1) * np.count_nonzero(counts))
    return np.where(counts > 0, weights, 0).astype(np.float32)


def sample_order(
    numbers: Sequence[int], target: np.ndarray, count: int, sampling: str, seed: int
) -> np.ndarray:
    """The clips of a training in their order, int64 (count,).

    Args:
        numbers: of the training clips.
        target: (clips of the data set, classes) of 0 and 1.
        count: of clips sampled.
        sampling: ``"shuffled"``, every clip once in each round; or ``"balanced"``, every class
            once in each round, each with all its clips before one comes again.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)

    def rounds(items: np.ndarray, count: int) -> np.ndarray:
        parts = [rng.permutation(items) for _ in range(-(-count // len(items)))]
        return np.concatenate([np.zeros(0, np.int64), *parts])[:count]

    if sampling == "shuffled":
        return rounds(np.asarray(numbers), count)
    members = [np.asarray([n for n in numbers if row[n]]) for row in target.T]
    present = np.array([label for label, clips in enumerate(members) if len(clips)])
    classes = rounds(present, count)
    order = np.zeros(count, np.int64)
    for label in present:
        places = np.flatnonzero(classes == label)
        order[places] = rounds(members[label], len(places))
    return order
