"""Batch normalisation that keeps the running statistics PyTorch keeps."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="panns_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Keras' BatchNormalization with PyTorch's constants and its unbiased running variance.

    Both frameworks normalise a training batch by its biased variance (divide by n), but what
    PyTorch adds to the *running* variance is the unbiased one, n / (n - 1) times as large: 20 %
    more where a channel sees six values. One value per channel, which PyTorch refuses, counts
    as its biased variance, zero.

    Args:
        **kwargs: as Keras' layer; ``epsilon`` is 1e-5 and ``momentum`` 0.9 (PyTorch's 0.1).

    Input shape: (..., channels). Output shape: the same.

    Source: ``torch.nn.BatchNorm1d`` and ``BatchNorm2d``.
    """

    def __init__(self, *, epsilon: float = 1e-5, momentum: float = 0.9, **kwargs):
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)

    def call(self, inputs, training=None):
        x = ops.cast(inputs, "float32")  # half precision would overflow in the sums
        if training and self.trainable:
            mean, variance = ops.moments(
                x, axes=self._reduction_axes, synchronized=self.synchronized
            )
            values = ops.cast(ops.size(x) // x.shape[-1], "float32")
            unbiased = variance * values / ops.maximum(values - 1, 1)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, unbiased)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        outputs = ops.batch_normalization(
            x, mean, variance, self.axis, self.beta, self.gamma, self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def _move(self, running, batch_value) -> None:
        running.assign(running * self.momentum + batch_value * (1 - self.momentum))
