"""A linear classifier of embeddings that is solved for, in seconds."""

import time

import keras
import numpy as np
from scipy import optimize, special

from panns_tf.models import Architecture
from panns_tf.transfer.fitting import Fitted

#: Strengths of the penalty among which held-out clips choose, of weights on unit scale.
PENALTIES = tuple(10.0**exponent for exponent in range(-6, 2))


def solve(
    embedded: np.ndarray, target: np.ndarray, penalty: float, softmax: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the logistic regression of targets on embeddings.

    It minimises the mean loss of clips plus ``penalty`` / 2 times the squares of the weights on
    embeddings of unit deviation, which has one solution.

    Args:
        embedded: (clips, width).
        target: (clips, classes) of 0 and 1.
        penalty: above 0.
        softmax: one class a clip; else each class by itself.

    Returns:
        The kernel (width, classes) and the bias (classes,) on the embeddings as given, float32.
    """
    mean, scale = embedded.mean(axis=0), embedded.std(axis=0)
    scale = np.where(scale > 1e-6 * max(1e-12, scale.max()), scale, np.inf)  # what never changes
    x = ((embedded - mean) / scale).astype(np.float64)  # (clips, width)
    # The kernel lies in the space of the clips, which is smaller where they are few.
    basis = np.linalg.qr(x.T)[0] if len(x) < x.shape[1] else None  # (width, clips)
    x = x if basis is None else x @ basis
    clips, width = x.shape
    classes = target.shape[1]
    t = target.astype(np.float64)

    def loss(flat):
        kernel, bias = flat[:-classes].reshape(width, classes), flat[-classes:]
        logits = x @ kernel + bias
        if softmax:
            log_p = special.log_softmax(logits, axis=1)
            value, error = -(t * log_p).sum(), np.exp(log_p) - t
        else:
            value = np.logaddexp(0, logits).sum() - (t * logits).sum()
            error = special.expit(logits) - t
        gradient = np.concatenate(
            [(x.T @ error / clips + penalty * kernel).ravel(), error.sum(axis=0) / clips]
        )
        return value / clips + penalty / 2 * np.square(kernel).sum(), gradient

    start = np.zeros((width + 1) * classes)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    kernel, bias = found.x[:-classes].reshape(width, classes), found.x[-classes:]
    kernel = (kernel if basis is None else basis @ kernel) / scale[:, None]
    return kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32)


def probabilities(embedded, kernel, bias, softmax: bool) -> np.ndarray:
    """Returns what a solution says of embeddings, (clips, classes)."""
    logits = embedded @ kernel + bias
    return special.softmax(logits, axis=1) if softmax else special.expit(logits)


def choose_penalty(embedded, target, held_out: np.ndarray, softmax: bool) -> float:
    """Returns the penalty with which clips that were left out are told best, by cross-entropy.

    Args:
        embedded: (clips, width).
        target: (clips, classes).
        held_out: bool (clips,); those that are left out. None: the middle of `PENALTIES`.
        softmax: as for `solve`.
    """
    if not held_out.any() or held_out.all():
        return PENALTIES[len(PENALTIES) // 2]
    losses = []
    for penalty in PENALTIES:
        solution = solve(embedded[~held_out], target[~held_out], penalty, softmax)
        said = np.clip(probabilities(embedded[held_out], *solution, softmax), 1e-9, 1)
        truth = target[held_out]
        other = 0 if softmax else ((1 - truth) * np.log(np.clip(1 - said, 1e-9, 1))).sum()
        losses.append(-(truth * np.log(said)).sum() - other)
    return PENALTIES[int(np.argmin(losses))]


def fit_probe(
    model: keras.Model,
    row: Architecture,
    embedded: np.ndarray,
    target: np.ndarray,
    held_out: np.ndarray,
) -> Fitted:
    """Solves for a linear classifier, and puts the solution into it.

    Args:
        model: of `panns_tf.transfer.classifier.new_classifier`.
        row: the network, of one word a clip and without hidden layers.
        embedded: (windows, width) of the training clips.
        target: (windows, classes).
        held_out: bool (windows,), of clips that choose the penalty; all are learnt from after.

    Raises:
        ValueError: if the network's classifier is not one linear layer of the embedding.
    """
    if row.head != "clip":
        raise ValueError(
            f"linear_probe needs one embedding a clip, and {row.name} classifies parts of "
            "it; take --strategy freeze_l1"
        )
    began = time.monotonic()
    softmax = row.activation == "softmax"
    penalty = choose_penalty(embedded, target, held_out, softmax)
    solution = solve(embedded, target, penalty, softmax)
    model.get_layer("fc_audioset").set_weights(list(solution))
    return Fitted(1, time.monotonic() - began, 1, ({"step": 1, "penalty": penalty},))
