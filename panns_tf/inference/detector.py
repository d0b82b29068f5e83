"""Sound events with their times, in recordings of any length."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.batching import Recording, batched, read_ahead
from panns_tf.inference.events import EventFinder, EventSettings
from panns_tf.inference.loading import load_network
from panns_tf.inference.model import InferenceModel
from panns_tf.inference.plot import Spectrogram
from panns_tf.inference.results import Detection, Event
from panns_tf.inference.tagger import one_or_each
from panns_tf.models.heads import frames_per_segment
from panns_tf.models.network import Network
from panns_tf.windows import WindowCutter, Windows
from tfrecords.audio import AudioError

#: Seconds, of networks without framewise output; another window has a hop of a fifth of it.
WINDOW, HOP = 2.5, 0.5


@dataclasses.dataclass(eq=False)
class DetectedRecording(Recording):
    """A recording and its events.

    Attributes:
        detection: None if there was an error.
        spectrogram, scores: for a picture, if they were asked for: the log-mel spectrogram and
            the probabilities (steps, classes).
    """

    detection: Detection | None = None
    spectrogram: Spectrogram | None = None
    scores: np.ndarray | None = None


class SoundEventDetector:
    """Finds sound events: classes with onset and offset.

    A decision-level network gives probabilities every 0.32 s. Any other is run on windows, and
    those of a window count for the moment in its middle; events much shorter than the window are
    then found with blurred ends.

    Args:
        model, weights, precision, batch_size: as for `panns_tf.AudioTagger`.
        window: seconds of a network's input. None for a decision-level network's own
            segments, and 2.5 for others.
        hop: seconds from one window to the next; None for a fifth of the window.

    Attributes:
        labels: of the classes, in order.
        sample_rate: Hz.
        step_seconds: from one probability to the next.
        windowed: whether the network is run on windows.
        window, hop: of them, in seconds.
        model: the `InferenceModel`.

    Raises:
        ValueError: as `panns_tf.AudioTagger`, and for windows out of range.

    Example:

    >>> detector = SoundEventDetector("Cnn14_DecisionLevelMax")
    >>> detector.detect("R9_ZSCveAHg_7s.wav").events[0]
    Event(onset=0.0, offset=1.92, label='Speech', score=0.9)
    """

    def __init__(
        self,
        model: str | Path | Network = "Cnn14_DecisionLevelMax",
        weights: str | Path | None = "audioset",
        *,
        window: float | None = None,
        hop: float | None = None,
        precision: str = "float32",
        batch_size: int = 8,
    ):
        network = model if isinstance(model, Network) else load_network(model, weights)
        self.model = InferenceModel(network, precision, batch_size)
        self.labels, self.sample_rate = self.model.labels, self.model.sample_rate
        has_segments = self.model.arch.is_decision_level
        if window is None and hop is not None and has_segments:
            raise ValueError(f"--hop {hop:g} needs a --window that it moves")
        self.windowed = window is not None or not has_segments
        self.window = WINDOW if window is None else window
        self.hop = self.window * HOP / WINDOW if hop is None else hop
        if self.windowed:
            Windows(self.window, self.hop)  # checks them
        self.step_seconds = self.new_scores().step_seconds

    def detect(
        self,
        source,
        rate: int | None = None,
        settings: EventSettings | None = None,
        *,
        keep_frames: bool = False,
    ):
        """Returns the `Detection` of a recording, or a list of those of a folder or list.

        Args:
            source, rate: as for `panns_tf.AudioTagger.tag`.
            settings: what counts as an event; None for `EventSettings`' defaults.
            keep_frames: whether the result has ``framewise``, (frames, classes): of a decision-
                level network a value for every hop of its log-mel (10 ms), as the reference
                repeats them; of windows one for each. It grows with the recording.

        Raises:
            AudioError: if a recording cannot be read.
            ValueError: for classes that there are not.
        """
        detect = functools.partial(
            self.detect_each, rate=rate, settings=settings, keep_frames=keep_frames
        )
        return one_or_each(source, detect, lambda recording: recording.detection)

    def detect_each(
        self,
        sources: Iterable,
        rate: int | None = None,
        settings: EventSettings | None = None,
        *,
        keep_frames: bool = False,
        for_pictures: bool = False,
        workers: int = 2,
    ) -> Iterator[DetectedRecording]:
        """Finds the events of recordings one by one; one that cannot be read ends nothing.

        Args:
            sources: paths and whatever else `detect` takes.
            rate, settings, keep_frames: as for `detect`.
            for_pictures: whether results have ``spectrogram`` and ``scores``.
            workers: threads that read ahead.
        """
        settings = settings or EventSettings()
        EventFinder(self.labels, settings, self.step_seconds)  # checks the classes
        recordings = read_ahead(
            sources, self.sample_rate, DetectedRecording, rate=rate, workers=workers
        )
        for recording in recordings:
            if recording.error is None:
                try:
                    if for_pictures:
                        recording.spectrogram = Spectrogram(self.sample_rate)
                    self._detect(recording, settings, keep_frames)
                except AudioError as error:
                    recording.error = error
            yield recording

    def new_scores(self, latency: float | None = None) -> "SegmentScores | WindowScores":
        """Returns what gives the probabilities of one recording.

        Args:
            latency: of a stream, in seconds; None for a recording that is there.
        """
        if self.windowed:
            # One by one in a stream, so that its blocks change nothing, not even rounding.
            batch_size = None if latency is None else 1
            return WindowScores(self.model, Windows(self.window, self.hop), batch_size)
        return SegmentScores(self.model, latency)

    def _detect(
        self, recording: DetectedRecording, settings: EventSettings, keep_frames: bool
    ) -> None:
        scores = self.new_scores()
        finder = EventFinder(self.labels, settings, scores.step_seconds)
        events: list[Event] = []
        kept: list[np.ndarray] = []

        def take(rows: np.ndarray) -> None:
            events.extend(finder.feed(rows))
            if keep_frames or recording.spectrogram is not None:
                kept.append(rows)

        for block in recording.blocks():
            if recording.spectrogram is not None:
                recording.spectrogram.feed(block)
            take(scores.feed(block))
        take(scores.finish())
        recording.seconds = seconds = scores.samples / self.sample_rate
        events.extend(finder.finish(seconds))
        events.sort(key=lambda event: (event.onset, event.offset, event.label))
        recording.scores = np.concatenate(kept) if kept else None
        frames = scores.frames(recording.scores) if keep_frames else None
        recording.detection = Detection(
            recording.file, seconds, tuple(events), frames, scores.frame_seconds
        )


class SegmentScores:
    """Probabilities of the segments of a decision-level network, while a recording comes in.

    The last segment stands for the frames after it too, as in the reference.

    Attributes:
        samples: that came so far.
        step_seconds: from one row to the next.
        frame_seconds: from one row of `frames` to the next.
        latency: seconds, at most, from a sample to the row of its step.
    """

    def __init__(self, model: InferenceModel, latency: float | None = None):
        arch = model.arch
        self._encoder = model.streaming_encoder(latency)
        self._none = np.zeros((0, model.network.num_classes), np.float32)
        self._hop, self._frames = arch.frontend.hop_size, frames_per_segment(arch)
        self._last: np.ndarray | None = None
        self._rows = 0
        self.step_seconds = self._frames * self._hop / model.sample_rate
        self.frame_seconds = self._hop / model.sample_rate
        self.latency = self._encoder.latency

    @property
    def samples(self) -> int:
        return self._encoder.samples

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Takes the next samples (n,); returns the rows that became certain, (steps, classes)."""
        return self._joined(self._encoder.feed(block))

    def finish(self) -> np.ndarray:
        """Returns the remaining rows; all together cover the recording."""
        rows = self._joined(self._encoder.finish())
        covered = self._rows * self._frames * self._hop
        if covered < self.samples and self._last is not None:
            rows = np.concatenate([rows, self._last[None]])
        return rows

    def frames(self, rows: np.ndarray) -> np.ndarray:
        """Returns all rows as results have them, (1 + samples // hop_size, classes)."""
        frame = np.arange(1 + self.samples // self._hop)
        return rows[np.minimum(frame // self._frames, self._rows - 1)]

    def _joined(self, outputs: list[dict[str, np.ndarray]]) -> np.ndarray:
        rows = np.concatenate([self._none, *(local["segments"] for local in outputs)])
        if len(rows):
            self._last = rows[-1]
        self._rows += len(rows)
        return rows


class WindowScores:
    """Probabilities of windows, each of which stands for the hop in its middle.

    Before the middle of the first window and after that of the last these stand for the rest.
    Methods and attributes as `SegmentScores` has them.
    """

    def __init__(self, model: InferenceModel, windows: Windows, batch_size: int | None = None):
        size, hop = windows.samples(model.sample_rate)
        self._model = model
        self._cutter = WindowCutter(size, hop)
        self._batch_size = batch_size or model.clips_at_once(size)
        self._lead = round((size / hop - 1) / 2)  # steps before the first window's middle
        self._steps = 0
        self._last: np.ndarray | None = None
        self.step_seconds = self.frame_seconds = hop / model.sample_rate
        self.latency = (size + hop) / model.sample_rate

    @property
    def samples(self) -> int:
        return self._cutter.samples

    def feed(self, block: np.ndarray) -> np.ndarray:
        return self._predicted(self._cutter.feed(block))

    def finish(self) -> np.ndarray:
        rows = self._predicted(self._cutter.finish())
        wanted = -(-self.samples // self._cutter.hop)
        missing = wanted - self._steps
        if missing >= 0:
            rows = np.concatenate([rows, np.repeat(self._last[None], missing, axis=0)])
        else:  # a recording shorter than the lead
            rows = rows[:missing]
        self._steps = wanted
        return rows

    def frames(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def _predicted(self, windows: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
        rows = [np.zeros((0, self._model.network.num_classes), np.float32)]
        for batch in batched((window for _, window in windows), self._batch_size):
            rows.append(self._model.predict(np.stack(batch))["clipwise_output"])
        joined = np.concatenate(rows)
        if len(joined) and self._last is None:
            joined = np.concatenate([np.repeat(joined[:1], self._lead, axis=0), joined])
        if len(joined):
            self._last = joined[-1]
        self._steps += len(joined)
        return joined
