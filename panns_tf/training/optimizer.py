"""PyTorch's Adam, the learning rate schedule, averaged weights and loss scaling."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

#: Weights from which the update is compiled, which takes about a second. Uncompiled operations
#: pass over all weights some twenty times: a third as fast for Cnn14's 80 million on a CPU.
COMPILED_FROM = 1_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class _Slot:  # no tuple, or Keras would count the variable among the optimizer's own
    variable: keras.Variable
    first: keras.Variable
    second: keras.Variable
    largest: keras.Variable


@keras.saving.register_keras_serializable(package="panns_tf")
class Adam(keras.optimizers.Optimizer):
    """``torch.optim.Adam(amsgrad=True)``, and with ``weight_decay`` ``torch.optim.AdamW``.

    Keras' own adds epsilon to the square root of the uncorrected second moment, which makes it 30
    times as large at the first step and moves the loss after five steps by up to 7e-4 of itself.

    Biases and batch normalisation do not decay. ``factors`` of the learning rate are one for each
    variable of `build`, or None for 1 each. Under a strategy gradients must have been summed over
    the replicas, each of which updates its own copy.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        name: str = "adam",
    ):
        super().__init__(learning_rate, weight_decay=weight_decay, name=name)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.factors: Sequence[float] | None = None

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        add = self.add_variable_from_reference
        # In the order, and by the names, of checkpoints of version 0.1.0.
        moments = [(add(v, "momentum"), add(v, "velocity")) for v in variables]
        largest = [add(v, "velocity_hat") for v in variables]
        self._slots = [
            _Slot(v, *both, most) for v, both, most in zip(variables, moments, largest, strict=True)
        ]
        self._update = self._update_variables
        if sum(math.prod(v.shape) for v in variables) >= COMPILED_FROM:
            self._update = tf.function(self._update, autograph=False, jit_compile=True)

    def apply(self, grads, trainable_variables=None, finite=None) -> None:
        """Takes a step with gradients of some variables of `build`, None for all of them; where the
        scalar ``finite`` is 0 all stays as it was (a branch would copy the weights).
        """
        if not self.built:
            self.build(list(trainable_variables))
        places = {id(slot.variable): place for place, slot in enumerate(self._slots)}
        wanted = trainable_variables or [slot.variable for slot in self._slots]
        if unknown := [v.path for v in wanted if id(v) not in places]:
            raise ValueError(f"the optimizer was not built for {', '.join(unknown)}")
        grads = [tf.convert_to_tensor(gradient) for gradient in grads]
        step = tf.cast(self.iterations.value, tf.float32) + 1
        if finite is not None:
            finite = tf.cast(finite, tf.float32)
            grads = [tf.where(finite > 0, gradient, 0) for gradient in grads]
        rate = tf.cast(self.learning_rate, tf.float32)
        self._update(tuple(places[id(v)] for v in wanted), grads, rate, step, finite)
        self.iterations.assign_add(1 if finite is None else tf.cast(finite, tf.int64))

    def _update_variables(self, places, grads, learning_rate, step, finite) -> None:
        beta_1, beta_2 = tf.constant(self.beta_1), tf.constant(self.beta_2)
        correction_1, correction_2 = 1 - beta_1**step, tf.sqrt(1 - beta_2**step)
        if finite is not None:
            learning_rate *= finite
            beta_1, beta_2 = 1 - (1 - beta_1) * finite, 1 - (1 - beta_2) * finite
        # sqrt(v) / correction_2 + epsilon, multiplied through by correction_2
        epsilon = self.epsilon * correction_2
        for place, gradient in zip(places, grads, strict=True):
            slot = self._slots[place]
            variable, largest = slot.variable.value, slot.largest.value
            m, v = slot.first.value, slot.second.value
            rate = learning_rate * (1 if self.factors is None else self.factors[place])
            if self.weight_decay and variable.shape.rank > 1:
                variable.assign(variable * (1 - rate * self.weight_decay))
            m.assign_add((gradient - m) * (1 - beta_1))
            v.assign_add((tf.square(gradient) - v) * (1 - beta_2))
            largest.assign(tf.maximum(largest, v))
            scaled = m * (rate * correction_2 / correction_1)
            variable.assign_sub(scaled / (tf.sqrt(largest) + epsilon))

    def get_config(self) -> dict:
        config = super().get_config()
        kept = {name: config[name] for name in ("name", "learning_rate", "weight_decay")}
        return {**kept, "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="panns_tf")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly (Goyal et al. 2017), then stays or falls along half a cosine to zero at the
    last step (Loshchilov and Hutter 2017).
    """

    def __init__(self, rate: float, steps: int, warmup_steps: int = 0, cosine: bool = True):
        self.rate, self.steps = rate, steps
        self.warmup_steps, self.cosine = warmup_steps, cosine

    def __call__(self, step):
        done = tf.cast(step, tf.float32)
        rate = tf.constant(self.rate, tf.float32)
        if self.cosine:
            part = (done - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
            rate *= (1 + tf.cos(math.pi * tf.clip_by_value(part, 0, 1))) / 2
        if self.warmup_steps:
            rate *= tf.minimum(1.0, (done + 1) / self.warmup_steps)
        return rate

    def get_config(self) -> dict:
        return dict(vars(self))


def learning_rate(settings, steps: int) -> float | WarmupCosine:
    """The learning rate of a training with `FitSettings`: a plain number if it is constant."""
    cosine = settings.schedule == "cosine"
    if not cosine and not settings.warmup_steps:
        return float(settings.learning_rate)
    return WarmupCosine(settings.learning_rate, steps, settings.warmup_steps, cosine)


class WeightAverage:
    """An exponential moving average of all floating point weights, running statistics too (Polyak
    and Juditsky 1992). After n steps ``decay``, the part that stays, is (1 + n) / (10 + n) at most,
    as in ``tf.train.ExponentialMovingAverage``: the first, random weights are soon forgotten.
    """

    def __init__(self, model: keras.Model, decay: float):
        self._decay = decay
        self._averaged = [v.value for v in model.variables if v.dtype.startswith("float")]
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
        """Puts the averages into the model for a while, between two steps."""
        kept = [tf.identity(variable) for variable in self._averaged]
        self.put()
        try:
            yield
        finally:
            for variable, value in zip(self._averaged, kept, strict=True):
                variable.assign(value)

    def put(self) -> None:
        """Puts the averages into the model for good."""
        for average, variable in zip(self.variables, self._averaged, strict=True):
            variable.assign(tf.identity(average))


class LossScale:
    """Factor of the loss in float16, without which small gradients vanish (Micikevicius et al.
    2018); halved at an overflow, doubled after 2000 steps without one. The gradient of one of the
    ``outputs``, clips times classes, is about 1 at first, so that few classes skip no updates.
    """

    LARGEST_FIRST = 2.0**15
    PATIENCE = 2000

    def __init__(self, outputs: int):
        first = min(self.LARGEST_FIRST, 2.0 ** math.ceil(math.log2(outputs)))
        self.value = tf.Variable(first, trainable=False, name="loss_scale")
        self._quiet = tf.Variable(0, trainable=False, name="steps_without_overflow")
        self.variables = [self.value, self._quiet]

    def update(self, finite) -> None:
        """Counts a step, whose gradients were finite (1) or overflowed (0)."""
        quiet = tf.where(finite > 0, self._quiet + 1, 0)
        grown = tf.where(quiet >= self.PATIENCE, self.value * 2, self.value)
        self.value.assign(tf.where(finite > 0, grown, tf.maximum(self.value / 2, 1)))
        self._quiet.assign(tf.where(quiet >= self.PATIENCE, 0, quiet))
