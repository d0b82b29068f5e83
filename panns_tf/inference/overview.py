"""What a picture of a recording of any length needs, in constant memory."""

import copy

import numpy as np
from scipy.fft import rfft
from scipy.sparse import csr_array

from panns_tf.config import Frontend
from panns_tf.inference.columns import Columns, highest, mean
from panns_tf.layers.log_mel import SMALLEST_POWER, analysis_window, mel_matrix

MEL_BINS = 64
#: Seconds of a Fourier window and between two, as in the published networks.
WINDOW, HOP = 0.032, 0.01
#: Hz, where the rate allows.
LOWEST, HIGHEST = 50.0, 14000.0
#: Frames computed together. Always as many, because other numbers may round in another way.
_FRAMES = 128


class Overview:
    """A log-mel spectrogram and probabilities of a whole recording, as coarse as they must be.

    Whatever the length, each has at most ``most_columns`` columns. Where two columns of the
    spectrogram become one, it has their mean power; of probabilities the highest, so that a
    short event stays visible. The result does not depend on how the input is split.

    Args:
        sample_rate: of the sound, in Hz.
        classes: number of classes.
        most_columns: at least 2.

    Attributes:
        frontend: of the spectrogram.
        frequencies: (mel_bins,) float64, the middle of each mel bin in Hz.

    Raises:
        ValueError: if a setting is not a whole number, or too small.
    """

    def __init__(self, sample_rate: int, classes: int, most_columns: int = 2000):
        for name, value, least in (
            ("sample_rate", sample_rate, 1000),
            ("classes", classes, 1),
            ("most_columns", most_columns, 2),
        ):
            if int(value) != value or value < least:
                raise ValueError(f"{name} must be a whole number from {least} on; received {value}")
        self.frontend = frontend_of(int(sample_rate))
        self._window = analysis_window(self.frontend).astype(np.float32)
        mel = mel_matrix(self.frontend)
        self.frequencies = _middles(mel, self.frontend)
        # Sparse, a filter has few bins; and threads of a dense product would disturb the network.
        self._mel = csr_array(mel.T.astype(np.float32))
        self._power = Columns(MEL_BINS, int(most_columns), mean)
        self._scores = Columns(int(classes), int(most_columns), highest)
        self._samples = self._steps = 0
        self._step_seconds: float | None = None
        # The first frame is centred in the first hop.
        self._ahead = (self.frontend.window_size - self.frontend.hop_size) // 2
        self._waiting = np.zeros(self._ahead, np.float32)

    @property
    def seconds(self) -> float:
        """Length of the sound, or of the probabilities if there is none."""
        if self._samples:
            return self._samples / self.frontend.sample_rate
        return self._steps * (self._step_seconds or 0.0)

    def feed_audio(self, samples: np.ndarray) -> None:
        """Takes the next samples: (n,), amplitudes in [-1, 1].

        Raises:
            ValueError: if they have another shape.
        """
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"expected samples (n,), one channel; received shape {samples.shape}")
        self._samples += len(samples)
        size, hop = self.frontend.window_size, self.frontend.hop_size
        step, needed, at = _FRAMES * hop, (_FRAMES - 1) * hop + size, 0
        while len(self._waiting) + len(samples) - at >= needed:
            missing = needed - len(self._waiting)
            if missing > 0:
                new = samples[at : at + missing]
                self._waiting, at = np.concatenate([self._waiting, new]), at + missing
            self._power.add(self._frames(self._waiting[:needed]))
            self._waiting = self._waiting[step:]
        self._waiting = np.concatenate([self._waiting, samples[at:]])

    def _frames(self, samples: np.ndarray) -> np.ndarray:
        """Mel power (_FRAMES, mel_bins) of as many samples as they need."""
        size, hop = self.frontend.window_size, self.frontend.hop_size
        framed = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        spectrum = rfft(framed * self._window, axis=1)  # (frames, bins)
        power = spectrum.real**2 + spectrum.imag**2
        return (self._mel @ power.T).T  # (frames, mel_bins)

    def feed_probabilities(self, probabilities: np.ndarray, step_seconds: float) -> None:
        """Takes the next probabilities: (steps, classes).

        Raises:
            ValueError: if they have another shape, or steps of another length than before.
        """
        values = np.asarray(probabilities, np.float32)
        classes = self._scores.columns.shape[1]
        if values.ndim != 2 or values.shape[1] != classes:
            raise ValueError(
                f"expected probabilities (steps, {classes}); received shape {values.shape}"
            )
        if self._step_seconds not in (None, step_seconds) or not step_seconds > 0:
            raise ValueError(
                f"steps must be of one length; received {step_seconds} s"
                + (f" after {self._step_seconds} s" if self._step_seconds else "")
            )
        self._step_seconds = step_seconds
        self._steps += len(values)
        self._scores.add(values)

    def spectrogram(self) -> tuple[np.ndarray, float]:
        """The sound so far.

        Returns:
            (columns, mel_bins) float32, in dB; and seconds from one column to the next. The last
            column may be shorter.
        """
        hop = self.frontend.hop_size
        power = copy.deepcopy(self._power)
        done = (self._samples + self._ahead - len(self._waiting)) // hop
        left = -(-self._samples // hop) - done  # frames that are not in yet
        rest = self._waiting
        while left > 0:
            padded = np.zeros((_FRAMES - 1) * hop + self.frontend.window_size, np.float32)
            padded[: len(rest)] = rest
            power.add(self._frames(padded)[:left])
            left, rest = left - _FRAMES, rest[_FRAMES * hop :]
        decibels = 10 * np.log10(np.maximum(power.all(), np.float32(SMALLEST_POWER)))
        return decibels, power.rows_per_column * hop / self.frontend.sample_rate

    def probabilities(self) -> tuple[np.ndarray, float]:
        """The probabilities so far.

        Returns:
            (columns, classes) float32; and seconds from one column to the next.
        """
        return self._scores.all(), self._scores.rows_per_column * (self._step_seconds or 0.0)


def frontend_of(sample_rate: int) -> Frontend:
    """The front end of the published networks, fitted to a rate."""
    return Frontend(
        sample_rate,
        window_size=2 * round(WINDOW * sample_rate / 2),
        hop_size=round(HOP * sample_rate),
        mel_bins=MEL_BINS,
        fmin=LOWEST,
        fmax=min(HIGHEST, sample_rate / 2),
    )


def _middles(mel: np.ndarray, frontend: Frontend) -> np.ndarray:
    """The centre of each mel filter, in Hz."""
    hz = np.arange(len(mel)) * frontend.sample_rate / frontend.window_size
    weight = mel.sum(axis=0)
    bins, known = np.arange(mel.shape[1]), weight > 0  # at low rates some filters are empty
    return np.interp(bins, bins[known], (hz @ mel)[known] / weight[known])
