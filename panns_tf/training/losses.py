"""Cross-entropies as the reference computes them, label smoothing, knowledge distillation."""

from collections.abc import Callable, Sequence

import numpy as np
from keras import ops

from panns_tf.export.check import load_predictor

#: PyTorch's floor of a logarithm, and of p (1 - p) in its gradient.
SMALLEST_LOG = -100.0
SMALLEST_VARIANCE = 1e-12


def loss_for(activation: str, class_weights: Sequence[float] | None = None) -> Callable:
    """The loss for ``"sigmoid"`` or ``"softmax"``: from targets (batch, classes) and a head's
    outputs to a float32 scalar. ``class_weights`` of about 1 on average keep the learning rate.
    """
    weights = None if class_weights is None else np.asarray(class_weights, np.float32)
    loss = cross_entropy if activation == "softmax" else binary_cross_entropy
    return lambda target, outputs: loss(target, outputs, weights)


def cross_entropy(target, outputs: dict, class_weights=None):
    """The mean of ``torch.nn.functional.cross_entropy`` from a head's ``logits``, as in the paper's
    section VI; a clip's targets add up to 1.
    """
    target = ops.cast(target, "float32")
    if class_weights is not None:
        target *= class_weights
    logits = ops.cast(outputs["logits"], "float32")
    return -ops.mean(ops.sum(target * ops.log_softmax(logits, axis=-1), axis=-1))


def binary_cross_entropy(target, outputs: dict, class_weights=None):
    """The mean binary cross-entropy; ``class_weights`` weigh the clips that have a class. From
    ``logits``, which most heads have, it keeps its gradient where a probability rounds to 0 or 1
    and the reference's output is stuck; elsewhere the two are equal.
    """
    target = ops.cast(target, "float32")
    if "logits" in outputs:
        logits = ops.cast(outputs["logits"], "float32")
        # max(x, 0) - x t + log(1 + exp(-|x|)), which never overflows; at 0, where neither bend
        # has a slope of its own, the two slopes taken add up to 1 / 2.
        below = ops.where(logits > 0, -logits, logits)
        each = ops.relu(logits) - logits * target + ops.log1p(ops.exp(below))
    else:
        each = cross_entropy_of_probability(target, outputs["clipwise_output"])
    if class_weights is not None:
        each *= 1 + target * (class_weights - 1)
    return ops.mean(each)


def cross_entropy_of_probability(target, probability):
    """``torch.nn.functional.binary_cross_entropy`` by element, with PyTorch's limits."""
    p, t = ops.convert_to_tensor(probability), ops.convert_to_tensor(target)
    log_p = ops.maximum(ops.log(p), SMALLEST_LOG)
    log_not_p = ops.maximum(ops.log1p(-p), SMALLEST_LOG)
    value = -(t * log_p + (1 - t) * log_not_p)
    slope = (p - t) / ops.maximum(p * (1 - p), SMALLEST_VARIANCE)
    # Adds 0, whose gradient is the slope. With a custom gradient TensorFlow would keep the graph
    # of every training until the process ends.
    carrier = p * ops.stop_gradient(slope)
    return ops.stop_gradient(value) + (carrier - ops.stop_gradient(carrier))


def smooth(target, amount: float, uniform: float = 0.5):
    """Label smoothing (Szegedy et al. 2016): moves targets by ``amount`` of the way to ``uniform``,
    1 / 2 for binary targets and 1 / classes for categorical ones, as Keras' losses do.
    """
    return target * (1 - amount) + amount * uniform if amount else target


class Teacher:
    """A trained model whose predictions become the part ``weight`` of targets: cross-entropy is
    linear in its target, so this blends the two losses (Hinton et al. 2015, "Distilling the
    Knowledge in a Neural Network").
    """

    def __init__(self, path: str, weight: float, labels: Sequence[str], sample_rate: int):
        self._model, described = load_predictor(path)
        self._weight, classes = weight, described["num_classes"]
        if described["sample_rate"] != sample_rate:
            raise ValueError(
                f"the teacher {path} expects {described['sample_rate']} Hz, but the network "
                f"{sample_rate} Hz; choose a teacher of the same sample rate"
            )
        if classes != len(labels) or list(described["labels"] or labels) != list(labels):
            raise ValueError(
                f"the teacher {path} has {classes} classes that are not the {len(labels)} of the "
                "data"
            )

    def targets(self, target, waveform):
        """Blends labels (clips, classes) with the predictions for (clips, samples)."""
        predicted = ops.stop_gradient(self._model(waveform)["clipwise_output"])
        return (1 - self._weight) * target + self._weight * ops.cast(predicted, target.dtype)
