"""The moving average of weights, which is often better than the weights."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class WeightAverage:
    """An exponential moving average of all floating point weights, running statistics too.

    Early on the average is shorter, (1 + n) / (10 + n) after n steps, so that the first random
    weights are soon forgotten.

    Args:
        network: whose weights are averaged.
        decay: part of the average that stays at a step, e.g. 0.999.

    Attributes:
        variables: the averages.

    Source: Polyak and Juditsky 1992; the short start is ``tf.train.ExponentialMovingAverage``'s.
    """

    def __init__(self, network: keras.Model, decay: float):
        self._decay = decay
        self._averaged = [v.value for v in network.variables if v.dtype.startswith("float")]
        self.variables = [
            tf.Variable(v, trainable=False, name=f"average_{place}")
            for place, v in enumerate(self._averaged)
        ]

    def update(self, step) -> None:
        """Moves the averages; ``step`` counts from 1."""
        n = tf.cast(step, tf.float32)
        rate = 1 - tf.minimum(self._decay, (1 + n) / (10 + n))
        for average, variable in zip(self.variables, self._averaged, strict=True):
            average.assign_sub((average - variable) * rate)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the averages into the network for a while, outside of any step."""
        kept = [tf.identity(variable) for variable in self._averaged]
        self.put()
        try:
            yield
        finally:
            for variable, value in zip(self._averaged, kept, strict=True):
                variable.assign(value)

    def put(self) -> None:
        """Puts the averages into the network for good."""
        for average, variable in zip(self.variables, self._averaged, strict=True):
            variable.assign(tf.identity(average))
