"""Layers that make lengths fit: short clips are extended, branches of unequal length cropped."""

import keras
from keras import ops

from panns_tf.layers.sizes import larger, smaller


@keras.saving.register_keras_serializable(package="panns_tf")
class PadToMinimum(keras.layers.Layer):
    """Extends waveforms by zeros at their end to at least ``minimum`` samples.

    A network that halves its time axis five times needs that many frames to have one left; the
    reference fails on shorter clips. Longer ones pass unchanged.

    Input shape: (batch, samples). Output shape: (batch, max(samples, minimum)).
    """

    def __init__(self, minimum: int, **kwargs):
        super().__init__(**kwargs)
        self.minimum = minimum
        self.built = True

    def call(self, waveform):
        missing = larger(self.minimum - ops.shape(waveform)[1], 0)
        return ops.pad(waveform, ((0, 0), (0, missing)))

    def compute_output_spec(self, waveform):
        return keras.KerasTensor(self.compute_output_shape(waveform.shape), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        batch, samples = input_shape
        return (batch, None if samples is None else max(samples, self.minimum))

    def get_config(self):
        return {**super().get_config(), "minimum": self.minimum}


@keras.saving.register_keras_serializable(package="panns_tf")
class ConcatenateInTime(keras.layers.Layer):
    """Joins feature maps along their channels, after cropping all to the shortest.

    The wavegram and the log-mel branch round their frame counts differently: for about half of
    all lengths one is a frame longer, at its end, and the reference fails.

    Input: a list of (batch, frames, mel_bins, channels).
    Output shape: (batch, smallest frames, mel_bins, all channels).
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def call(self, inputs):
        frames = ops.shape(inputs[0])[1]
        for other in inputs[1:]:
            frames = smaller(frames, ops.shape(other)[1])
        return ops.concatenate([x[:, :frames] for x in inputs], axis=-1)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape([x.shape for x in inputs])
        return keras.KerasTensor(shape, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        lengths = [shape[1] for shape in input_shape]
        frames = None if None in lengths else min(lengths)
        channels = sum(shape[-1] for shape in input_shape)
        return (input_shape[0][0], frames, *input_shape[0][2:-1], channels)
