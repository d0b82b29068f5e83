"""Layers that change lengths: zeros added, branches cropped, patches cut, segments repeated."""

import functools

import keras
from keras import ops


def larger(a, b):
    """The larger of two sizes: a number if both are, so that the shape stays static."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def smaller(a, b):
    """The smaller of two sizes: a number if both are."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else ops.minimum(a, b)


@keras.saving.register_keras_serializable(package="panns_tf")
class PadToMinimum(keras.layers.Layer):
    """Extends (batch, samples) by zeros at their end to at least ``minimum`` samples.

    A network that halves its time axis five times needs that many frames to have one left; the
    reference fails on shorter clips.
    """

    def __init__(self, minimum: int, **kwargs):
        super().__init__(**kwargs)
        self.minimum = minimum

    def call(self, waveform):
        missing = larger(self.minimum - ops.shape(waveform)[1], 0)
        return ops.pad(waveform, ((0, 0), (0, missing)))


@keras.saving.register_keras_serializable(package="panns_tf")
class ConcatenateInTime(keras.layers.Layer):
    """Joins (batch, frames, mel_bins, channels) along channels, after cropping all to the shortest.

    The wavegram and the log-mel branch round their frame counts differently: for about half of all
    lengths one is a frame longer, at its end, and the reference fails.
    """

    def call(self, inputs):
        frames = functools.reduce(smaller, (ops.shape(x)[1] for x in inputs))
        return ops.concatenate([x[:, :frames] for x in inputs], axis=-1)


@keras.saving.register_keras_serializable(package="panns_tf")
class RepeatSegments(keras.layers.Layer):
    """Repeats the values of segments for each of their frames, those of the last one to the end.

    Input: a list of ``segments`` (batch, segments, classes) and ``waveform`` (batch, samples).
    Output shape: (batch, 1 + samples // hop_size, classes).
    Source: ``interpolate`` and ``pad_framewise_output`` of the reference.
    """

    def __init__(self, frames_per_segment: int, hop_size: int, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.frames_per_segment = frames_per_segment
        self.hop_size = hop_size

    def call(self, inputs):
        segments, waveform = inputs
        frame = ops.arange(1 + ops.shape(waveform)[1] // self.hop_size)
        last = ops.shape(segments)[1] - 1
        return ops.take(segments, ops.minimum(frame // self.frames_per_segment, last), axis=1)


@keras.saving.register_keras_serializable(package="panns_tf")
class CutPatches(keras.layers.Layer):
    """Cuts clips into patches of ``frames`` frames; those that fill no patch are dropped.

    Input shape: (batch, at least ``frames``, ...). Output shape: (batch * patches, frames, ...).
    """

    def __init__(self, frames: int, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, x):
        frames = ops.shape(x)[1] // self.frames * self.frames
        return ops.reshape(x[:, :frames], (-1, self.frames, *x.shape[2:]))


@keras.saving.register_keras_serializable(package="panns_tf")
class PatchesOfClips(keras.layers.Layer):
    """Groups features of patches by the clips that the patches were cut from.

    Input: a list of ``patches`` (batch * patches, features) and anything of shape (batch, ...).
    Output shape: (batch, patches, features).
    """

    def call(self, inputs):
        patches, clips = inputs
        per_clip = ops.shape(patches)[0] // ops.shape(clips)[0]
        return ops.reshape(patches, (ops.shape(clips)[0], per_clip, patches.shape[-1]))
