"""A stream cut into windows of equal length, however its blocks fall."""

import numbers
from collections.abc import Iterator

import numpy as np


def samples_of(window: float, hop: float | None, sample_rate: int) -> tuple[int, int]:
    """Returns a window and a hop in samples.

    Args:
        window: seconds.
        hop: seconds from the start of a window to that of the next, at most ``window`` so that no
            sound is passed over; None for ``window``.
        sample_rate: Hz.

    Raises:
        ValueError: for lengths below a sample, or a hop longer than the window.
    """
    hop = window if hop is None else hop
    for flag, value, least in (("--window", window, 0.01), ("--hop", hop, 0.001)):
        if not (isinstance(value, numbers.Real) and least <= value <= 3600):
            raise ValueError(f"{flag} must be seconds, {least} to 3600; received {value!r}")
    if hop > window:
        raise ValueError(
            f"--hop {hop:g} is longer than --window {window:g}: the sound between windows would "
            "not be heard; choose at most the window"
        )
    return round(window * sample_rate), max(1, round(hop * sample_rate))


def windows_of(window: float | None, hop: float | None, sample_rate: int) -> tuple[int, int] | None:
    """Returns a window and a hop in samples, or None for none; arguments as for `samples_of`."""
    if window is not None:
        return samples_of(window, hop, sample_rate)
    if hop is not None:
        raise ValueError(f"--hop {hop} needs a --window that it moves")
    return None


class WindowCutter:
    """Cuts a stream into windows that follow each other by a hop.

    Where the last one leaves sound over, one more ends where the stream ends, so that all is heard
    and nothing is padded. A stream shorter than a window is one, as it is.

    Args:
        size: of a window, in samples.
        hop: at most ``size``.
    """

    def __init__(self, size: int, hop: int):
        self.size, self.hop = size, hop
        self._held = np.zeros(0, np.float32)
        self._first = 0  # the sample at which what is held begins
        self._next = 0  # the sample at which the next window begins
        self.samples = 0

    def feed(self, block: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Takes the next samples, float32 (samples,); yields first sample and sound of windows."""
        self.samples += len(block)
        self._held = np.concatenate([self._held, block]) if len(self._held) else block
        while self._next + self.size <= self.samples:
            begin = self._next - self._first
            yield self._next, self._held[begin : begin + self.size]
            self._next += self.hop
        # A window's length is kept for the one that ends with the stream.
        keep = min(self.size, len(self._held))
        self._first += len(self._held) - keep
        self._held = self._held[len(self._held) - keep :].copy()

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the last window, if sound is left over."""
        heard = self._next - self.hop + self.size if self._next else 0
        if heard < self.samples:
            yield self._first, self._held
