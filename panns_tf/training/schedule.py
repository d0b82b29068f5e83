"""The learning rate by step."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="panns_tf")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a line, then stays or falls along half a cosine to zero at the last step.

    Args:
        rate: the highest.
        steps: of the whole run.
        warmup_steps: of the rise; 0 for none.
        cosine: whether the rate falls.

    Source: Loshchilov and Hutter 2017 (cosine); Goyal et al. 2017 (warm-up).
    """

    def __init__(self, rate: float, steps: int, warmup_steps: int = 0, cosine: bool = True):
        self.rate, self.steps = rate, steps
        self.warmup_steps, self.cosine = warmup_steps, cosine

    def __call__(self, step):
        done = ops.cast(step, "float32")
        rate = ops.convert_to_tensor(self.rate, "float32")
        if self.cosine:
            part = (done - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
            rate *= (1 + ops.cos(math.pi * ops.clip(part, 0, 1))) / 2
        if self.warmup_steps:
            rate *= ops.minimum(1, (done + 1) / self.warmup_steps)
        return rate

    def get_config(self):
        names = ("rate", "steps", "warmup_steps", "cosine")
        return {name: getattr(self, name) for name in names}


def learning_rate(config) -> float | WarmupCosine:
    """Returns the rate of a run, for its optimiser; a plain number if it is constant."""
    cosine = config.schedule == "cosine"
    if not cosine and not config.warmup_steps:
        return config.learning_rate
    return WarmupCosine(config.learning_rate, config.steps, config.warmup_steps, cosine)
