"""Adam as PyTorch has it."""

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="panns_tf")
class Adam(keras.optimizers.Adam):
    """Keras' Adam with epsilon added after the bias correction, as in PyTorch.

    Keras adds epsilon to the square root of the uncorrected second moment, which makes it 30
    times as large at the first step and moves the loss after five steps by up to 7e-4 of itself.

    With ``weight_decay`` it is AdamW: matrices and kernels lose ``learning_rate * weight_decay``
    of themselves in every step; biases and what scales or shifts a channel do not.

    Args:
        learning_rate: 1e-3 in the paper; a float or a schedule.
        amsgrad: True in the paper.
        epsilon: 1e-8, PyTorch's.
        weight_decay: per step and unit of learning rate, or None.
        **kwargs: as Keras' Adam.

    Attributes:
        summed: the gradients of the last step, those of all devices added up.
        factors: of the learning rate, one for each variable, where some are to learn more
            slowly; or None.

    Source: ``torch.optim.Adam`` and ``AdamW``.
    """

    def __init__(self, learning_rate=1e-3, *, amsgrad: bool = True, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate, amsgrad=amsgrad, epsilon=epsilon, **kwargs)
        self._finite = None
        self.factors: Sequence[float] | None = None
        self.summed: list = []

    def _all_reduce_sum_gradients(self, grads_and_vars):
        pairs = list(grads_and_vars)
        # The sum over one device would keep the graph of every training until the process ends:
        # TensorFlow never forgets the gradient that it registers for a sum.
        if self._distribution_strategy.num_replicas_in_sync > 1:
            pairs = super()._all_reduce_sum_gradients(pairs)
        self.summed = [gradient for gradient, _ in pairs]
        return pairs

    def apply_if(self, finite, gradients: list, variables: list) -> None:
        """Takes a step if ``finite``, a scalar of 0 or 1; else all stays as it was, to the bit.

        Under loss scaling a step whose gradients overflow is left out so, without a branch.
        """
        self._finite = finite
        try:
            self.apply([ops.where(finite > 0, g, 0) for g in gradients], variables)
        finally:
            self._finite = None
        self.iterations.assign_sub(1 - ops.cast(finite, self.iterations.dtype))

    def _apply_weight_decay(self, variables) -> None:
        """Nothing: `update_step` does it, where a step can be left out."""

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
        index = self._get_variable_index(variable)
        if self.factors is not None:
            rate *= self.factors[index]
        step = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = (ops.cast(beta, dtype) for beta in (self.beta_1, self.beta_2))
        correction_1 = 1 - ops.power(beta_1, step)
        correction_2 = 1 - ops.power(beta_2, step)
        if self._finite is not None:
            finite = ops.cast(self._finite, dtype)
            rate *= finite
            beta_1, beta_2 = 1 - (1 - beta_1) * finite, 1 - (1 - beta_2) * finite
        if self.weight_decay and len(variable.shape) > 1:
            self.assign(variable, variable * (1 - rate * self.weight_decay))
        # sqrt(v / correction_2) + epsilon, multiplied through by sqrt(correction_2)
        scale = ops.sqrt(correction_2)
        rate, epsilon = rate * scale / correction_1, self.epsilon * scale
        m, v = self._momentums[index], self._velocities[index]
        largest = self._velocity_hats[index] if self.amsgrad else None  # of uncorrected moments
        if fused_update(variable, m, v, largest, rate, beta_1, beta_2, epsilon, gradient):
            return
        self.assign_add(m, (gradient - m) * (1 - beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - beta_2))
        if self.amsgrad:
            self.assign(largest, ops.maximum(largest, v))
            v = largest
        self.assign_sub(variable, m * rate / (ops.sqrt(v) + epsilon))


def fused_update(variable, m, v, largest, rate, beta_1, beta_2, epsilon, gradient) -> bool:
    """Updates in place by TensorFlow's own operation; returns False where there is none.

    Without XLA the same in single operations passes over all weights twenty times, with a copy
    of the largest kernel at each.
    """
    if largest is None or keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    if tf.__internal__.get_enclosing_xla_context() is not None or variable.dtype != "float32":
        return False
    # Its own bias correction is switched off by powers of 0: ours is in the rate.
    tf.raw_ops.ResourceApplyAdamWithAmsgrad(
        var=variable.handle,
        m=m.value.handle,
        v=v.value.handle,
        vhat=largest.value.handle,
        beta1_power=0.0,
        beta2_power=0.0,
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=gradient,
    )
    return True
