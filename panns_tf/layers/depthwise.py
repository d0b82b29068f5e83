"""Depthwise convolution that stays fast when XLA compiles it for a CPU."""

import keras
from keras import ops

from panns_tf.layers.compiled import xla_on_cpu


@keras.saving.register_keras_serializable(package="panns_tf")
class DepthwiseConv(keras.layers.DepthwiseConv2D):
    """Keras' DepthwiseConv2D of stride 1 and "same" padding.

    XLA has no good code for it on a CPU, where it takes some thirty times as long as TensorFlow's
    own operation. There it is written as what it is, a sum of shifted and scaled copies, which
    XLA makes one loop of, as fast as that operation.

    Args:
        kernel_size: odd.
        **kwargs: of any layer; there is no bias unless ``use_bias`` is set.

    Input and output shape: (batch, frames, mel_bins, channels).
    """

    def __init__(self, kernel_size: int, **kwargs):
        kwargs = {"padding": "same", "use_bias": False, **kwargs}
        super().__init__(kernel_size, **kwargs)

    def call(self, inputs):
        if not xla_on_cpu():
            return super().call(inputs)
        frames, bins = ops.shape(inputs)[1:3]
        before = [size // 2 for size in self.kernel_size]
        padded = ops.pad(inputs, ((0, 0), *((n, n) for n in before), (0, 0)))
        kernel = ops.cast(self.kernel, self.compute_dtype)
        outputs = 0
        for i in range(self.kernel_size[0]):
            for j in range(self.kernel_size[1]):
                outputs += padded[:, i : i + frames, j : j + bins] * kernel[i, j, :, 0]
        if not self.use_bias:
            return outputs
        return ops.add(outputs, ops.cast(self.bias, self.compute_dtype))
