"""Log-mel spectrograms of waveforms: the front end of every spectrogram network."""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from panns_tf.config import Frontend
from panns_tf.layers.cpu import compiled
from panns_tf.layers.shapes import larger

#: Mel energies are at least this, so that digital silence is -100 dB.
SMALLEST_POWER = 1e-10


def _hz_to_mel(frequency: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    frequency = np.asarray(frequency, np.float64)
    above = 15 + 27 * np.log(np.maximum(frequency, 1000) / 1000) / math.log(6.4)
    return np.where(frequency < 1000, frequency * 3 / 200, above)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    above = 1000 * np.exp((np.maximum(mel, 15) - 15) * math.log(6.4) / 27)
    return np.where(mel < 15, mel * 200 / 3, above)


def mel_matrix(frontend: Frontend) -> np.ndarray:
    """The mel filters: float64 (window_size // 2 + 1, mel_bins), triangles of area 1 (Slaney).

    Equal to ``librosa.filters.mel(...).T``, written out because importing librosa at inference
    would bring numba and LLVM along.
    """
    bins = np.arange(frontend.window_size // 2 + 1) * frontend.sample_rate / frontend.window_size
    low, high = _hz_to_mel([frontend.fmin, frontend.fmax])
    edges = _mel_to_hz(np.linspace(low, high, frontend.mel_bins + 2))
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - lower) / (centre - lower)
    falling = (upper - bins[:, None]) / (upper - centre)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (upper - lower)


def analysis_window(frontend: Frontend) -> np.ndarray:
    offset = {"hann": 0.5, "hamming": 0.54}[frontend.window]
    phase = 2 * np.pi * np.arange(frontend.window_size) / frontend.window_size
    return offset - (1 - offset) * np.cos(phase)


@keras.saving.register_keras_serializable(package="panns_tf")
class LogMel(keras.layers.Layer):
    """Log-mel spectrogram in decibels, always in float32, compiled by XLA.

    Equal to torchlibrosa's ``Spectrogram`` and ``LogmelFilterBank`` as the PANNs use them
    (reference level 1, no ``top_db``): frames are centred, the signal is reflected at both ends,
    silence is -100 dB. A signal of ``window_size // 2`` samples or fewer is first extended by
    zeros. Settings are those of `panns_tf.config.Frontend`; ValueError if they have no spectrogram,
    or for input that is not of rank 2.

    Each new input shape costs a compilation of about 0.3 s; ``jit_compile=False`` avoids it, for
    input whose length always changes.

    Input shape: (batch, samples), floating point, amplitudes in [-1, 1]; at least one sample.
    Output shape: (batch, 1 + samples // hop_size, mel_bins), float32, dB.

    >>> LogMel(32000, 1024, 320, 64, 50, 14000)(np.zeros((1, 32000), "float32")).shape
    TensorShape([1, 101, 64])
    """

    def __init__(
        self,
        sample_rate: int = Frontend.sample_rate,
        window_size: int = Frontend.window_size,
        hop_size: int = Frontend.hop_size,
        mel_bins: int = Frontend.mel_bins,
        fmin: float = Frontend.fmin,
        fmax: float = Frontend.fmax,
        window: str = Frontend.window,
        *,
        jit_compile: bool = True,
        **kwargs,
    ):
        # Log-mel values reach -100 dB, where float16 and bfloat16 step by a tenth or half a dB.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.frontend = Frontend(sample_rate, window_size, hop_size, mel_bins, fmin, fmax, window)
        self.jit_compile = jit_compile
        # NumPy constants enter the graph as literals: no weights, nothing in a checkpoint.
        self._window = analysis_window(self.frontend).astype("float32")
        mel = mel_matrix(self.frontend).astype("float32")
        used = np.flatnonzero(mel.any(axis=1))  # other bins lie outside fmin to fmax
        self.bins = slice(int(used[0]), int(used[-1]) + 1)
        self.mel = mel[self.bins]
        self._compiled = compiled(self._log_mel)

    def call(self, waveform):
        self.compute_output_shape(waveform.shape)  # refuses other ranks
        return (self._compiled if self.jit_compile else self._log_mel)(waveform)

    def _log_mel(self, waveform):
        half = self.frontend.window_size // 2
        samples = ops.shape(waveform)[1]
        # Reflection needs half + 1 samples; shorter clips are extended by zeros.
        waveform = ops.pad(waveform, ((0, 0), (0, larger(0, half + 1 - samples))))
        waveform = ops.pad(waveform, ((0, 0), (half, half)), mode="reflect")
        mel = self.mel_power(waveform, samples // self.frontend.hop_size + 1)
        return 10 * ops.log10(ops.maximum(mel, SMALLEST_POWER))

    def mel_power(self, waveform, frames):
        """Mel energies (batch, frames, mel_bins) of a waveform whose ends are reflected."""
        framed = ops.extract_sequences(waveform, self.frontend.window_size, self.frontend.hop_size)
        # (batch, frames, window_size)
        real, imaginary = ops.rfft(framed[:, :frames] * self._window)
        real, imaginary = real[..., self.bins], imaginary[..., self.bins]
        power = ops.square(real) + ops.square(imaginary)  # (batch, frames, bins)
        return ops.matmul(power, self.mel)

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 2 or 0 in input_shape:
            raise ValueError(
                "LogMel expects (batch, samples), clips of at least one sample; received shape "
                f"{tuple(input_shape)}. Average the channels and add a batch axis first."
            )
        batch, samples = input_shape
        frames = None if samples is None else 1 + samples // self.frontend.hop_size
        return (batch, frames, self.frontend.mel_bins)

    def get_config(self):
        settings = dataclasses.asdict(self.frontend)
        return {**super().get_config(), **settings, "jit_compile": self.jit_compile}
