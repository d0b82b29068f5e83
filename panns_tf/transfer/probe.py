"""A linear classifier of embeddings that is solved for, in seconds."""

import dataclasses
import time

import keras
import numpy as np
from scipy import optimize, special

from panns_tf.models import Architecture
from panns_tf.transfer.fitting import Fitted

#: Strengths of the penalty among which held-out clips choose, of weights on unit scale.
PENALTIES = tuple(10.0**exponent for exponent in range(-5, 2))
#: Steps of the solver, for the solution and where only the choice of a penalty hangs on it.
_STEPS, _ROUGH_STEPS = 1000, 60


@dataclasses.dataclass(frozen=True)
class _Scaled:
    """Embeddings of unit deviation, in a space no larger than the number of clips.

    Attributes:
        x: (clips, n) float64.
        mean: (width,).
        scale: (width,); infinite where nothing changes.
        basis: (width, n), or None for the embeddings' own space.
    """

    x: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    basis: np.ndarray | None

    @classmethod
    def of(cls, embedded: np.ndarray) -> "_Scaled":
        mean, scale = embedded.mean(axis=0), embedded.std(axis=0)
        scale = np.where(scale > 1e-6 * max(1e-12, scale.max()), scale, np.inf)
        x = ((embedded - mean) / scale).astype(np.float64)  # (clips, width)
        if len(x) >= x.shape[1]:
            return cls(x, mean, scale, None)
        basis = np.linalg.qr(x.T)[0]  # (width, clips); the kernel lies in the space of the clips
        return cls(x @ basis, mean, scale, basis)

    def minimise(self, t: np.ndarray, penalty: float, softmax: bool, start, steps: int):
        """Returns the solution (n + 1, classes), the bias last; ``start`` is one, or None."""
        x, (clips, n), classes = self.x, self.x.shape, t.shape[1]

        def loss(flat):
            kernel, bias = flat[: n * classes].reshape(n, classes), flat[n * classes :]
            logits = x @ kernel + bias
            if softmax:
                log_p = special.log_softmax(logits, axis=1)
                value, error = -(t * log_p).sum(), np.exp(log_p) - t
            else:
                value = np.logaddexp(0, logits).sum() - (t * logits).sum()
                error = special.expit(logits) - t
            slope = np.concatenate([x.T @ error / clips + penalty * kernel, error.mean(0)[None]])
            return value / clips + penalty / 2 * np.square(kernel).sum(), slope.ravel()

        start = np.zeros((n + 1) * classes) if start is None else start.ravel()
        settings = {"maxiter": steps, "maxfun": 2 * steps}
        found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=settings)
        return found.x.reshape(n + 1, classes)

    def unscaled(self, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A solution as kernel (width, classes) and bias (classes,) of the embeddings as given."""
        kernel = solution[:-1] if self.basis is None else self.basis @ solution[:-1]
        kernel = kernel / self.scale[:, None]
        return kernel.astype(np.float32), (solution[-1] - self.mean @ kernel).astype(np.float32)


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
    scaled = _Scaled.of(embedded)
    return scaled.unscaled(
        scaled.minimise(target.astype(np.float64), penalty, softmax, None, _STEPS)
    )


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
    scaled, truth = _Scaled.of(embedded[~held_out]), target[held_out]
    learnt, solution = target[~held_out].astype(np.float64), None
    losses: dict[float, float] = {}
    for penalty in reversed(PENALTIES):  # each solution is the start of the next
        solution = scaled.minimise(learnt, penalty, softmax, solution, _ROUGH_STEPS)
        said = probabilities(embedded[held_out], *scaled.unscaled(solution), softmax)
        said = np.clip(said, 1e-9, 1)
        other = 0 if softmax else ((1 - truth) * np.log(np.clip(1 - said, 1e-9, 1))).sum()
        losses[penalty] = -(truth * np.log(said)).sum() - other
        if list(losses.values())[-3:] == sorted(losses.values())[-3:] and len(losses) > 3:
            break  # weaker ones only learn by heart
    return min(losses, key=losses.get)


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
