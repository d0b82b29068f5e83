"""Batch normalisation that keeps the running statistics PyTorch keeps."""

import math

import keras
from keras import ops

from panns_tf.layers.cpu import TENSORFLOW, current_target

#: From this many values on, TensorFlow's fused operation is noticeably faster. Its rounding,
#: oneDNN's, is three times that of single operations, which compute smaller maps.
LARGE = 2**20


@keras.saving.register_keras_serializable(package="panns_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Keras' BatchNormalization with PyTorch's constants and its unbiased running variance.

    Both frameworks normalise a training batch by its biased variance (divide by n), but what
    PyTorch adds to the *running* variance is n / (n - 1) times as large: 20 % more where a channel
    has six values. The variance of a single value, which PyTorch refuses, is zero.

    Input and output shape: (..., channels). ``epsilon`` is 1e-5, ``momentum`` 0.9 (PyTorch's 0.1).
    Source: ``torch.nn.BatchNorm1d`` and ``BatchNorm2d``.
    """

    def __init__(self, *, epsilon: float = 1e-5, momentum: float = 0.9, **kwargs):
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)

    def call(self, inputs, training=None):
        if not (training and self.trainable):
            mean, variance = self.moving_mean, self.moving_variance
            return self._normalized(ops.cast(inputs, "float32"), mean, variance)
        if TENSORFLOW and self._can_be_fused(inputs) and current_target() != "xla":
            outputs, mean, unbiased = fused(inputs, self.gamma, self.beta, self.epsilon)
        else:
            x = ops.cast(inputs, "float32")  # half precision would overflow in the sums
            moments = shared_moments if self.synchronized else ops.moments
            axes = [i for i in range(len(x.shape)) if i != self.axis % len(x.shape)]
            mean, variance = moments(x, axes)
            outputs = self._normalized(x, mean, variance)
            values = ops.cast(ops.size(x) // x.shape[self.axis], "float32")
            if self.synchronized:
                values *= replicas()
            unbiased = variance * values / ops.maximum(values - 1, 1)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, unbiased)
        return outputs

    def _can_be_fused(self, inputs) -> bool:
        channels_last = self.axis in (-1, len(inputs.shape) - 1)
        is_large = None not in inputs.shape and math.prod(inputs.shape) >= LARGE
        plain = self.center and self.scale and not self.synchronized
        return channels_last and is_large and plain and self.compute_dtype != "float64"

    def _normalized(self, x, mean, variance):
        settings = (self.axis, self.beta, self.gamma, self.epsilon)
        outputs = ops.batch_normalization(x, mean, variance, *settings)
        return ops.cast(outputs, self.compute_dtype)

    def _move(self, running, batch_value) -> None:
        running.assign(running * self.momentum + batch_value * (1 - self.momentum))


def fused(x, gamma, beta, epsilon: float):
    """Normalises a training batch in one operation of TensorFlow, where `ops` would need ten.

    Returns the outputs, and the mean and unbiased variance, float32 (channels,).
    """
    import tensorflow as tf

    shape = tf.shape(x)
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(x, (-1, 1, shape[-2], x.shape[-1])),
        scale=tf.convert_to_tensor(gamma),
        offset=tf.convert_to_tensor(beta),
        mean=tf.zeros((0,)),
        variance=tf.zeros((0,)),
        epsilon=epsilon,
        exponential_avg_factor=1.0,
    )
    return tf.ensure_shape(tf.reshape(outputs, shape), x.shape), mean, unbiased


def shared_moments(x, axes):
    """Mean and biased variance over equal batches of all devices, more exact than Keras' own."""
    if replicas() == 1:
        return ops.moments(x, axes)
    import tensorflow as tf

    def mean_of_all(y):
        context, add = tf.distribute.get_replica_context(), tf.distribute.ReduceOp.SUM
        return context.all_reduce(add, tf.reduce_mean(y, axes)) / replicas()

    mean = mean_of_all(x)
    return mean, mean_of_all(tf.math.squared_difference(x, mean))


def replicas() -> int:
    if not TENSORFLOW:
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
