"""Loss scaling, without which small gradients vanish in float16."""

import math

import tensorflow as tf

LARGEST_FIRST_SCALE = 2.0**15
#: Steps without overflow before the scale is doubled.
PATIENCE = 2000


class LossScale:
    """What the loss is multiplied by; halved at an overflow, doubled after a long quiet.

    It starts where the gradient of an output is about 1, and does not skip the first updates of
    a network with few classes.

    Args:
        outputs: clips times classes, whose mean the loss is.

    Attributes:
        variables: the scale, and the steps since it last changed.

    Source: Micikevicius et al. 2018, "Mixed Precision Training".
    """

    def __init__(self, outputs: int):
        first = min(LARGEST_FIRST_SCALE, 2.0 ** math.ceil(math.log2(outputs)))
        self._scale = tf.Variable(first, trainable=False, name="loss_scale")
        self._quiet = tf.Variable(0, trainable=False, name="steps_without_overflow")
        self.variables = [self._scale, self._quiet]

    def scale(self, loss):
        """Returns the loss to differentiate."""
        return loss * self._scale

    def unscale(self, gradients: list) -> list:
        """Returns the gradients of the loss."""
        return [gradient / self._scale for gradient in gradients]

    def update(self, finite) -> None:
        """Takes note of a step, whose gradients were ``finite`` (1) or not (0)."""
        quiet = tf.where(finite > 0, self._quiet + 1, 0)
        grown = tf.where(quiet >= PATIENCE, self._scale * 2, self._scale)
        self._scale.assign(tf.where(finite > 0, grown, tf.maximum(self._scale / 2, 1)))
        self._quiet.assign(tf.where(quiet >= PATIENCE, 0, quiet))
