"""The one policy of windows: how a clip is cut, and its windows' predictions become one.

Windows follow each other by the hop; the last ends with the clip, so every sample counts. A clip
shorter than the window is padded with zeros at its end.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial

import numpy as np

from tfrecords.flags import CheckedSettings, setting

AGGREGATES = ("mean", "max")

_setting = partial(setting, group="windows")
_seconds = partial(_setting, None, metavar="SECONDS", maximum=3600)


@dataclasses.dataclass(frozen=True)
class Windows(CheckedSettings):
    """How a clip is cut before the network; a hop needs a window, and is no longer than it."""

    window: float | None = _seconds("length of the windows", minimum=0.01, shown="whole clips")
    hop: float | None = _seconds(
        "from one window's start to the next's", minimum=0.001, shown="the window: no overlap"
    )
    aggregate: str = _setting(
        "mean", "how predictions of windows become the clip's", choices=AGGREGATES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is None:
            if self.hop is not None:
                raise ValueError(f"--hop {self.hop:g} needs a --window that it moves")
        elif self.hop is None:
            object.__setattr__(self, "hop", self.window)
        elif self.hop > self.window:
            raise ValueError(
                f"--hop {self.hop:g} is longer than --window {self.window:g}: the sound between "
                "windows would not count; choose at most the window"
            )

    def samples(self, sample_rate: int) -> tuple[int, int] | None:
        """Window and hop in samples at a rate in Hz, at least 1; None for whole clips."""
        if self.window is None:
            return None
        return max(1, round(self.window * sample_rate)), max(1, round(self.hop * sample_rate))

    def as_dict(self) -> dict:
        """The settings as files of scores state them; whole clips have no aggregate."""
        aggregate = None if self.window is None else self.aggregate
        return {"window": self.window, "hop": self.hop, "aggregate": aggregate}

    def describe(self, clip_seconds: float) -> str:
        """What the network is given, in words."""
        if self.window is None:
            return f"whole clips of {clip_seconds:g} s"
        return (
            f"clips of {clip_seconds:g} s in windows of {self.window:g} s every {self.hop:g} s, "
            f"the {self.aggregate} of their predictions"
        )


def window_starts(samples: int, size: int, hop: int) -> list[int]:
    """The first sample of every window of a clip; ``hop`` is at most ``size``, both in samples."""
    starts = list(range(0, max(1, samples - size + 1), hop))
    if starts[-1] + size < samples:
        starts.append(samples - size)
    return starts


def cut_windows(waveform: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Cuts clips (..., samples), of any dtype, into windows (windows, ..., size)."""
    samples = waveform.shape[-1]
    if samples < size:
        waveform = np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, size - samples)])
    starts = window_starts(samples, size, hop)
    return np.stack([waveform[..., start : start + size] for start in starts])


def aggregate(predictions: np.ndarray, how: str) -> np.ndarray:
    """Joins predictions of windows, (windows, ...), to those of the clip; NaN stays NaN."""
    if how not in AGGREGATES:
        raise ValueError(f"aggregate must be one of {', '.join(AGGREGATES)}; received {how!r}")
    predictions = np.asarray(predictions)
    if how == "max":
        return predictions.max(axis=0)
    return predictions.mean(axis=0, dtype=np.float64).astype(predictions.dtype)


class WindowCutter:
    """Cuts a stream into windows as `cut_windows` cuts a clip, however its blocks fall."""

    def __init__(self, size: int, hop: int):
        self.size, self.hop = size, hop
        self.samples = 0
        self._kept = np.zeros(0, np.float32)
        self._first = 0  # the sample at which what is kept begins
        self._next = 0  # the sample at which the next window begins

    def feed(self, block: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Takes the next samples, float32 (samples,); yields first samples and windows (size,)."""
        self.samples += len(block)
        self._kept = np.concatenate([self._kept, block]) if len(self._kept) else block
        while self._next + self.size <= self.samples:
            begin = self._next - self._first
            yield self._next, self._kept[begin : begin + self.size]
            self._next += self.hop
        # A window's length is kept for the one that ends with the stream.
        keep = min(self.size, len(self._kept))
        self._first += len(self._kept) - keep
        self._kept = self._kept[len(self._kept) - keep :].copy()

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the last window where samples are left over, padded if the stream is shorter."""
        covered = self._next - self.hop + self.size if self._next else 0
        if covered < self.samples:
            padding = self.size - len(self._kept)
            yield self._first, np.pad(self._kept, (0, padding))
