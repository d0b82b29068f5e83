"""The log-mel without an FFT."""

import keras
import numpy as np
from keras import ops

from panns_tf.config import Frontend
from panns_tf.layers.log_mel import SMALLEST_POWER, analysis_window, mel_matrix
from panns_tf.layers.sizes import larger

#: Decibels are ten common logarithms; runtimes have the natural one.
DECIBELS = 10 / np.log(10)


class ConvolvedLogMel(keras.layers.Layer):
    """`LogMel` whose Fourier transform is a convolution.

    Its filters are the real and the imaginary parts of the frequencies that some mel filter
    takes, times the window; one step is one frame.

    Args:
        frontend: the settings.

    Input and output shape: as `LogMel`.
    """

    def __init__(self, frontend: Frontend, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.frontend = frontend
        mel = mel_matrix(frontend)
        used = np.flatnonzero(mel.any(axis=1))
        first, end = used[0], used[-1] + 1
        size = frontend.window_size
        turns = np.outer(np.arange(size), np.arange(first, end)) % size * (2 * np.pi / size)
        filters = np.concatenate([np.cos(turns), -np.sin(turns)], axis=1)
        filters *= analysis_window(frontend)[:, None]
        self.filters = filters[:, None].astype("float32")  # (window_size, 1, 2 * bins)
        # Squares of real and of imaginary parts go through the same mel filters.
        self.mel = np.tile(mel[first:end], (2, 1)).astype("float32")  # (2 * bins, mel_bins)
        self.built = True

    def call(self, waveform):
        half = self.frontend.window_size // 2
        missing = larger(0, half + 1 - ops.shape(waveform)[1])
        extended = ops.pad(waveform, ((0, 0), (0, missing)))
        reflected = ops.pad(extended, ((0, 0), (half, half)), mode="reflect")
        parts = ops.conv(
            ops.expand_dims(reflected, -1),
            self.filters,
            strides=self.frontend.hop_size,
            padding="valid",
        )  # (batch, frames or more, 2 * bins)
        frames = 1 + ops.shape(waveform)[1] // self.frontend.hop_size
        mel = ops.matmul(ops.square(parts[:, :frames]), self.mel)  # (batch, frames, mel_bins)
        return DECIBELS * ops.log(ops.maximum(mel, SMALLEST_POWER))

    def compute_output_spec(self, waveform):
        batch, samples = waveform.shape
        frames = None if samples is None else 1 + samples // self.frontend.hop_size
        return keras.KerasTensor((batch, frames, self.frontend.mel_bins), "float32")
