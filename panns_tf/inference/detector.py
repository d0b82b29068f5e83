"""Sound events with their times, in recordings of any length."""

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.events import Detection, EventFinder, EventSettings, in_order
from panns_tf.inference.long_audio import StreamingEncoder, WindowPredictor
from panns_tf.inference.model import InferenceModel, load_network
from panns_tf.inference.plot import Spectrogram
from panns_tf.inference.tagger import Recording, read_ahead, results_of
from panns_tf.models.network import Network
from panns_tf.windows import Windows
from tfrecords.audio import AudioError

#: Seconds of the windows, and of the hop from one to the next, of networks without an output over
#: time. With another window the hop is the same part of it.
WINDOW, HOP = 2.5, 0.5


class SoundEventDetector:
    """Finds sound events: classes with onset and offset.

    A decision-level network gives probabilities every 0.32 s. Any other is run on windows, and
    those of a window count for its middle; much shorter events get blurred ends.

    Args:
        model, weights, precision, batch_size: as for `panns_tf.AudioTagger`.
        window: seconds of input; None for a decision-level network's own segments, 2.5 for others.
        hop: seconds from one window to the next; None for a fifth of the window.

    Errors are those of `panns_tf.AudioTagger`, and a ValueError for windows out of range.
    ``step_seconds`` lie between probabilities; a ``windowed`` network is run on windows.

    >>> SoundEventDetector("Cnn14_DecisionLevelMax").detect("R9_ZSCveAHg_7s.wav").events[0]
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
        self.window = WINDOW if window is None else window
        self.hop = self.window * HOP / WINDOW if hop is None else hop
        self._windows = Windows(self.window, self.hop)  # checked before the network is loaded
        self.model = InferenceModel(load_network(model, weights), precision, batch_size)
        self.labels, self.sample_rate = self.model.labels, self.model.sample_rate
        self.windowed = window is not None or not self.model.arch.is_decision_level
        if not self.windowed:
            Windows(None, hop)  # which refuses a hop
        self.step_seconds = self.new_scores().engine.step / self.sample_rate

    def detect(
        self,
        source,
        rate: int | None = None,
        settings: EventSettings | None = None,
        *,
        keep_frames: bool = False,
    ):
        """Returns the `Detection` of a recording, or a list of those of a folder or list.

        ``source``, ``rate`` and errors are as for `panns_tf.AudioTagger.tag`. ``keep_frames`` adds
        ``framewise`` (frames, classes), which grows with the recording: of a decision-level network
        a row every 10 ms, repeated as by the reference; of windows a row each.
        """
        detect = functools.partial(
            self.detect_each, rate=rate, settings=settings, keep_frames=keep_frames
        )
        return results_of(source, detect, operator.attrgetter("detection"))

    def detect_each(
        self,
        sources: Iterable,
        rate: int | None = None,
        settings: EventSettings | None = None,
        *,
        keep_frames: bool = False,
        for_pictures: bool = False,
        workers: int = 2,
    ) -> Iterator[Recording]:
        """Yields recordings with their ``detection`` or error; those ``for_pictures`` also with a
        ``spectrogram`` and the output ``scores`` (steps, classes).
        """
        settings = settings or EventSettings()
        EventFinder(self.labels, settings, self.step_seconds)  # checks the classes
        for recording in read_ahead(sources, self.sample_rate, rate=rate, workers=workers):
            if recording.error is None:
                try:
                    if for_pictures:
                        recording.spectrogram = Spectrogram(self.sample_rate)
                    self._detect(recording, settings, keep_frames)
                except AudioError as error:
                    recording.error = error
            yield recording

    def new_scores(self, latency: float | None = None) -> "StepScores":
        """The probabilities of one recording, or of a stream with a latency in seconds."""
        classes = len(self.labels)
        if not self.windowed:
            return StepScores(self.model.streaming_encoder(latency), "segments", classes)
        size, hop = self._windows.samples(self.sample_rate)
        # One by one in a stream, so that its blocks change nothing, not even rounding.
        windows = WindowPredictor(self.model, size, hop, None if latency is None else 1)
        return StepScores(windows, "clipwise_output", classes, round((size / hop - 1) / 2))

    def _detect(self, recording: Recording, settings: EventSettings, keep_frames: bool) -> None:
        scores, events, kept = self.new_scores(), [], []
        finder = EventFinder(self.labels, settings, self.step_seconds)
        for block in itertools.chain(recording.blocks(), [None]):
            rows = scores.finish() if block is None else scores.feed(block)
            events += finder.feed(rows)
            if keep_frames or recording.spectrogram is not None:
                kept.append(rows)
            if recording.spectrogram is not None and block is not None:
                recording.spectrogram.feed(block)
        samples, step = scores.engine.samples, scores.engine.step
        recording.seconds = seconds = samples / self.sample_rate
        events += finder.finish(seconds)
        recording.outputs["scores"] = frames = np.concatenate(kept) if kept else None
        hop = step if self.windowed else self.model.arch.frontend.hop_size
        if keep_frames and not self.windowed:
            steps = np.arange(1 + samples // hop) // (step // hop)
            frames = frames[np.minimum(steps, len(frames) - 1)]
        frames = frames if keep_frames else None
        recording.detection = Detection(
            recording.file, seconds, tuple(in_order(events)), frames, hop / self.sample_rate
        )


class StepScores:
    """Probabilities over time, the output ``name``, while the samples of a recording come in. A
    window stands for the hop in its middle, ``lead`` hops after its start; the first and the last
    stand for what is before and after them, too.
    """

    def __init__(
        self, engine: StreamingEncoder | WindowPredictor, name: str, classes: int, lead: int = 0
    ):
        self.engine, self._name, self._lead = engine, name, lead
        self._last = np.zeros((0, classes), np.float32)
        self._count = 0  # rows so far

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Takes the next samples (n,); returns the rows that became certain, (steps, classes)."""
        return self._joined(self.engine.feed(block))

    def finish(self) -> np.ndarray:
        """Returns the remaining rows; all together cover the recording."""
        rows = self._joined(self.engine.finish())
        missing = -(-self.engine.samples // self.engine.step) - self._count
        if missing < 0:  # a recording shorter than the lead
            return rows[:missing]
        return np.concatenate([rows, np.repeat(self._last, missing, axis=0)])

    def _joined(self, outputs: Iterable[dict[str, np.ndarray]]) -> np.ndarray:
        rows = np.concatenate([self._last[:0], *(output[self._name] for output in outputs)])
        if len(rows):
            if not self._count:
                rows = np.concatenate([np.repeat(rows[:1], self._lead, axis=0), rows])
            self._last = rows[-1:]
            self._count += len(rows)
        return rows
