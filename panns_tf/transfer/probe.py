"""Classifiers of embeddings: a linear one that is solved for, small ones that are trained."""

import warnings
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy import special
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


def solve(
    embedded: np.ndarray,
    target: np.ndarray,
    softmax: bool,
    penalties: Sequence[float],
    iterations: int = 1000,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields kernel (width, classes) and bias of a logistic regression for each penalty."""
    scaler = StandardScaler().fit(embedded)
    x, counts = scaler.transform(embedded).astype(np.float64), target.sum(axis=0)
    present = np.flatnonzero((counts > 0) & (counts < len(x)))
    problems = [([label], target[:, label]) for label in present]
    if softmax:
        problems = [(present, target.argmax(axis=1))] if len(present) else []
    models = [LogisticRegression(warm_start=True, max_iter=iterations) for _ in problems]
    for penalty in penalties:
        kernel = np.zeros((x.shape[1], len(counts)))
        # What no clip or every clip has, has its odds as the only prediction.
        bias = special.logit((counts + 0.5) / (len(x) + 1))
        for (classes, labels), model in zip(problems, models, strict=True):
            with warnings.catch_warnings(), threadpool_limits(1):  # threads wait for each other
                warnings.simplefilter("ignore")  # not converged in so many iterations
                model.set_params(C=1 / (penalty * len(x))).fit(x, labels)
            # Of two classes there is only the logit of the second over the first.
            first = len(classes) - len(model.coef_)
            kernel[:, classes[first:]] = model.coef_.T
            bias[classes] = [0.0] * first + model.intercept_.tolist()
        if softmax and len(present):
            bias[counts == 0] += bias[present].min()
        kernel /= scaler.scale_[:, None]
        yield kernel.astype(np.float32), (bias - scaler.mean_ @ kernel).astype(np.float32)


def choose_penalty(
    embedded: np.ndarray, target: np.ndarray, held_out: np.ndarray, softmax: bool
) -> float:
    """The penalty with the lowest cross-entropy on held-out clips; without any the middle one."""
    if not held_out.any() or held_out.all():
        return PENALTIES[len(PENALTIES) // 2]
    losses = []
    train = embedded[~held_out], target[~held_out]
    for kernel, bias in solve(*train, softmax, PENALTIES, _ROUGH_ITERATIONS):
        logits, truth = embedded[held_out] @ kernel + bias, target[held_out]
        if softmax:
            losses.append(-(truth * special.log_softmax(logits, axis=1)).sum())
        else:
            losses.append((np.logaddexp(0, logits) - truth * logits).sum())
    return PENALTIES[int(np.argmin(losses))]


def fit_probe(
    head: keras.Model,
    arch: Architecture,
    embedded: np.ndarray,
    target: np.ndarray,
    held_out: np.ndarray,
) -> dict:
    """Solves for a linear classifier in place, by a penalty that held-out windows choose."""
    if arch.head != "clip":
        raise ValueError(
            f"linear_probe needs one embedding for a clip, and {arch.name} classifies parts of "
            "it; take --strategy freeze_l1"
        )
    softmax = arch.activation == "softmax"
    penalty = choose_penalty(embedded, target, held_out, softmax)
    (solution,) = solve(embedded, target, softmax, [penalty])
    head.get_layer("fc_audioset").set_weights(list(solution))
    return {"step": 1, "penalty": penalty}


def fit_head(
    head: keras.Model,
    arch: Architecture,
    config: FinetuneConfig,
    embedded: np.ndarray,
    target: np.ndarray,
) -> dict:
    """Trains the new layers of a frozen network in place; returns a line for the log."""
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
    """The inverse of each class's share, 1 in the mean of clips; of a class without any 0."""
    counts = target.sum(axis=0)
    weights = counts.sum() / (np.maximum(counts, 1) * np.count_nonzero(counts))
    return np.where(counts > 0, weights, 0).astype(np.float32)


def sample_order(
    numbers: Sequence[int], target: np.ndarray, count: int, sampling: str, seed: int
) -> np.ndarray:
    """The order of ``count`` training clips: every clip, or every class, once in each round."""
    rng = np.random.default_rng(seed)

    def rounds(items: Sequence[int]) -> Iterator[int]:
        while len(items):
            yield from rng.permutation(items).tolist()

    order = rounds(numbers)
    if sampling == "balanced":
        members = [[number for number in numbers if row[number]] for row in target.T]
        of_class = [rounds(clips) for clips in members]
        present = [label for label, clips in enumerate(members) if clips]
        order = (next(of_class[label]) for label in rounds(present))
    return np.fromiter(order, np.int64, count)
