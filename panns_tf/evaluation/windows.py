"""Long clips heard in windows, whose predictions are joined to one for the clip."""

import dataclasses
import math
from collections.abc import Callable

AGGREGATES = ("mean", "max")


@dataclasses.dataclass(frozen=True)
class Windows:
    """How a clip is cut before the network hears it.

    Args:
        window: seconds that the network hears at a time, or None for the whole clip.
        hop: seconds from the start of a window to that of the next, at most ``window`` so that
            no audio is passed over; None for ``window``, which leaves no overlap.
        aggregate: ``"mean"`` or ``"max"`` of a clip's predictions becomes its score.

    Raises:
        ValueError: for lengths that are not above 0, a hop longer than the window or without one.
    """

    window: float | None = None
    hop: float | None = None
    aggregate: str = "mean"

    def __post_init__(self) -> None:
        if self.aggregate not in AGGREGATES:
            raise ValueError(f"aggregate must be one of {AGGREGATES}; received {self.aggregate!r}")
        for name in ("window", "hop"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"--{name} must be above 0 seconds; received {value}")
        if self.window is None:
            if self.hop is not None:
                raise ValueError(f"--hop {self.hop:g} needs a --window that it moves")
        elif self.hop is None:
            object.__setattr__(self, "hop", self.window)
        elif self.hop > self.window:
            raise ValueError(
                f"--hop {self.hop:g} is longer than --window {self.window:g}: the audio between "
                "windows would not count; choose at most the window"
            )

    def starts(self, samples: int, sample_rate: int) -> list[int]:
        """Returns the first sample of every window of a clip.

        Windows follow each other by the hop. Where the last one would leave audio over, one more
        is taken, shifted so that it ends where the clip ends: all audio counts, none is padded.

        Args:
            samples: of the clip.
            sample_rate: Hz.

        Raises:
            ValueError: if the window is longer than the clip.
        """
        if self.window is None:
            return [0]
        size, hop = self._samples(sample_rate)
        if size > samples:
            raise ValueError(
                f"--window {self.window:g} is longer than the clips, which have "
                f"{samples / sample_rate:g} s; leave it out to hear them whole"
            )
        starts = list(range(0, samples - size + 1, hop))
        if starts[-1] + size < samples:
            starts.append(samples - size)
        return starts

    def _samples(self, sample_rate: int) -> tuple[int, int]:
        size, hop = round(self.window * sample_rate), round(self.hop * sample_rate)
        if not hop:
            raise ValueError(
                f"--hop {self.hop:g} is less than a sample at {sample_rate} Hz; choose a longer one"
            )
        return size, hop

    def around(self, predictor: Callable, sample_rate: int) -> Callable:
        """Returns a predictor of clips from one of windows.

        Args:
            predictor: waveforms (batch, samples) to probabilities (batch, classes); both
                TensorFlow's or both NumPy's.
            sample_rate: Hz.
        """
        if self.window is None:
            return predictor
        size, _ = self._samples(sample_rate)

        def predict(waveform):
            starts = self.starts(int(waveform.shape[1]), sample_rate)
            scores = [predictor(waveform[:, start : start + size]) for start in starts]
            joined = scores[0]
            for score in scores[1:]:
                joined = joined + score if self.aggregate == "mean" else _larger(joined, score)
            return joined / len(scores) if self.aggregate == "mean" else joined

        return predict

    def as_dict(self) -> dict:
        """The settings as a file of scores states them; a whole clip has no aggregate."""
        aggregate = None if self.window is None else self.aggregate
        return {"window": self.window, "hop": self.hop, "aggregate": aggregate}

    def describe(self, clip_seconds: float) -> str:
        """Says for a person what the network heard."""
        if self.window is None:
            return f"whole clips of {clip_seconds:g} s"
        return (
            f"clips of {clip_seconds:g} s in windows of {self.window:g} s every {self.hop:g} s, "
            f"the {self.aggregate} of their predictions"
        )


def _larger(a, b):
    """The larger of each pair; NaN stays NaN."""
    import tensorflow as tf

    # tf.maximum takes either side of a NaN; a sum keeps it.
    return tf.where(tf.math.is_nan(a + b), a + b, tf.maximum(a, b))
