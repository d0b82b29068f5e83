"""Probabilities over time while a recording comes in."""

from typing import Protocol

import numpy as np

from panns_tf.inference.hearing import Hearer
from panns_tf.inference.window import WindowCutter, samples_of
from panns_tf.models.heads import frames_per_segment


class Track(Protocol):
    """Takes a stream of samples and gives rows of probabilities, one for each step.

    Attributes:
        samples: that came so far.
        step_seconds: from one row to the next.
        frame_seconds: from one row of `frames` to the next.
        latency: seconds, at most, from a sample to the row of its step.
    """

    samples: int
    step_seconds: float
    frame_seconds: float
    latency: float

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Takes the next samples (n,); returns the rows that became certain, (steps, classes)."""

    def finish(self) -> np.ndarray:
        """Returns the rows that are left; all together cover the recording."""

    def frames(self, rows: np.ndarray) -> np.ndarray:
        """Returns all rows as results have them, (frames, classes)."""


class SegmentTrack:
    """The segments of a decision-level network, of the recording as a whole.

    The last segment stands for the frames after it too, as in the reference.

    Args:
        hearer: of such a network.
        latency: wanted of a stream, in seconds; None for a recording that is there.
    """

    def __init__(self, hearer: Hearer, latency: float | None = None):
        row = hearer.network.row
        self._hearer, self._stitcher = hearer, hearer.stitcher(latency)
        self._hop, self._frames = row.frontend.hop_size, frames_per_segment(row)
        self._last: np.ndarray | None = None
        self._rows = 0
        self.step_seconds = self._frames * self._hop / hearer.sample_rate
        self.frame_seconds = self._hop / hearer.sample_rate
        self.latency = self._stitcher.latency

    @property
    def samples(self) -> int:
        """Samples that came so far."""
        return self._stitcher.samples

    def feed(self, block: np.ndarray) -> np.ndarray:
        """See `Track.feed`."""
        return self._joined(self._stitcher.feed(block))

    def finish(self) -> np.ndarray:
        """See `Track.finish`."""
        rows = self._joined(self._stitcher.finish())
        covered = self._rows * self._frames * self._hop
        if covered < self.samples and self._last is not None:
            rows = np.concatenate([rows, self._last[None]])
        return rows

    def frames(self, rows: np.ndarray) -> np.ndarray:
        """See `Track.frames`; ``1 + samples // hop_size`` of them."""
        frame = np.arange(1 + self.samples // self._hop)
        return rows[np.minimum(frame // self._frames, self._rows - 1)]

    def _joined(self, found: list[dict[str, np.ndarray]]) -> np.ndarray:
        classes = self._hearer.network.num_classes
        rows = [np.zeros((0, classes), np.float32), *(local["segments"] for local in found)]
        rows = np.concatenate(rows)
        if len(rows):
            self._last = rows[-1]
        self._rows += len(rows)
        return rows


class WindowTrack:
    """Windows heard by any network, each standing for the hop in its middle.

    Before the middle of the first window and after that of the last these stand for the rest.

    Args:
        hearer: of any network.
        window, hop: seconds.
        batch_size: windows heard together at most; None for as many as pays.
    """

    def __init__(self, hearer: Hearer, window: float, hop: float, batch_size: int | None = None):
        size, hop_samples = samples_of(window, hop, hearer.sample_rate)
        self._hearer = hearer
        self._cutter = WindowCutter(size, hop_samples)
        self._batch_size = batch_size or hearer.clips_at_once(size)
        self._lead = round((size / hop_samples - 1) / 2)  # steps before the first window's middle
        self._pending: list[np.ndarray] = []
        self._steps = 0
        self._last: np.ndarray | None = None
        self.step_seconds = self.frame_seconds = hop_samples / hearer.sample_rate
        self.latency = (size + hop_samples) / hearer.sample_rate

    @property
    def samples(self) -> int:
        """Samples that came so far."""
        return self._cutter.samples

    def feed(self, block: np.ndarray) -> np.ndarray:
        """See `Track.feed`."""
        return self._heard(self._cutter.feed(block))

    def finish(self) -> np.ndarray:
        """See `Track.finish`."""
        rows = self._heard(self._cutter.finish())
        wanted = -(-self.samples // self._cutter.hop)
        missing = wanted - self._steps
        if missing >= 0:
            rows = np.concatenate([rows, np.repeat(self._last[None], missing, axis=0)])
        else:  # a recording shorter than the lead
            rows = rows[:missing]
        self._steps = wanted
        return rows

    def frames(self, rows: np.ndarray) -> np.ndarray:
        """See `Track.frames`."""
        return rows

    def _heard(self, windows) -> np.ndarray:
        rows = [np.zeros((0, self._hearer.network.num_classes), np.float32)]
        batch: list[np.ndarray] = []
        for _, sound in windows:
            batch.append(sound)
            if len(batch) == self._batch_size:
                rows.append(self._run(batch))
        if batch:
            rows.append(self._run(batch))
        joined = np.concatenate(rows)
        if len(joined) and self._last is None:
            joined = np.concatenate([np.repeat(joined[:1], self._lead, axis=0), joined])
        if len(joined):
            self._last = joined[-1]
        self._steps += len(joined)
        return joined

    def _run(self, batch: list[np.ndarray]) -> np.ndarray:
        rows = self._hearer.hear(np.stack(batch))["clipwise_output"]
        batch.clear()
        return rows
