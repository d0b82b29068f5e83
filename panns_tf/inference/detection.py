"""Sound events with their times, in recordings of any length."""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.batching import Heard, blocks_of
from panns_tf.inference.events import EventFinder, EventSettings
from panns_tf.inference.files import decoded
from panns_tf.inference.hearing import WINDOW_SECONDS, Hearer
from panns_tf.inference.loading import load_network
from panns_tf.inference.overview import Overview
from panns_tf.inference.results import Detection, Event
from panns_tf.inference.tagging import each_or_one
from panns_tf.inference.tracks import SegmentTrack, Track, WindowTrack
from panns_tf.models import ARCHITECTURES, Network
from tfrecords.audio import AudioError

#: Of a network without framewise output, in seconds.
WINDOW, HOP = 2.5, 0.5


class SoundEventDetector:
    """Finds when which sounds are to be heard.

    A decision-level network says it itself, every 0.32 s. Any other hears windows, and what it says
    of one counts for the moment in its middle; sounds much shorter than the window are then
    found with blurred ends.

    Args:
        model, weights, precision, batch_size: as for `panns_tf.AudioTagger`.
        window: seconds that a network hears at a time. None for a decision-level network's own
            way, and 2.5 for others.
        hop: seconds from one window to the next; None for a fifth of the window.

    Attributes:
        labels: of the classes, in order.
        sample_rate: Hz.
        step_seconds: from one probability to the next.
        windowed: whether windows are heard.
        window, hop: of them, in seconds.

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
        self.hearer = Hearer(network, precision, batch_size)
        self.labels, self.sample_rate = self.hearer.labels, self.hearer.sample_rate
        if window is None and hop is not None:
            if self.hearer.has_segments:
                raise ValueError(f"--hop {hop:g} needs a --window that it moves")
            window = WINDOW
        self.windowed = window is not None or not self.hearer.has_segments
        self.window = WINDOW if window is None else window
        self.hop = self.window * HOP / WINDOW if hop is None else hop
        self.step_seconds = self.new_track().step_seconds

    def detect(
        self,
        source,
        rate: int | None = None,
        settings: EventSettings | None = None,
        *,
        keep_frames: bool = False,
    ):
        """Returns the events of recordings.

        Args:
            source, rate: as for `panns_tf.AudioTagger.tag`.
            settings: what counts as an event; None for `EventSettings`' defaults.
            keep_frames: whether the result has ``framewise``, (frames, classes): of a decision-
                level network a value for every hop of its log-mel (10 ms), as the reference
                repeats them; of windows one for each. It grows with the recording.

        Returns:
            A `Detection`; of a folder or list a list of them.

        Raises:
            AudioError: if a recording cannot be read.
            ValueError: for settings out of range.
        """
        hear = functools.partial(
            self.detect_each, rate=rate, settings=settings, keep_frames=keep_frames
        )
        return each_or_one(source, hear, lambda heard: heard.detection)

    def detect_each(
        self,
        sources: Iterable,
        rate: int | None = None,
        settings: EventSettings | None = None,
        *,
        keep_frames: bool = False,
        overview: bool = False,
        workers: int = 2,
    ) -> Iterator["Detected"]:
        """Finds the events of recordings one by one; one that cannot be read ends nothing.

        Args:
            sources: paths and whatever else `detect` takes.
            rate, settings, keep_frames: as for `detect`.
            overview: whether to gather what a picture needs.
            workers: threads that decode ahead.
        """
        settings = settings or EventSettings()
        EventFinder(self.labels, settings, self.step_seconds)  # checks the classes
        found = decoded(sources, self.sample_rate, workers, rate=rate, long_seconds=WINDOW_SECONDS)
        for one in found:
            heard = Detected(one.source, one.name, one.seconds or 0.0, one.notes, one.error)
            if one.error is None:
                try:
                    self._hear(blocks_of(one, heard), heard, settings, keep_frames, overview)
                except AudioError as error:
                    heard.error = error
            yield heard

    def new_track(self, latency: float | None = None) -> Track:
        """Returns what makes probabilities of one recording.

        Args:
            latency: of a stream, in seconds; None for a recording that is there.
        """
        if self.windowed:
            # One by one in a stream, so that its blocks change nothing, not even rounding.
            batch_size = None if latency is None else 1
            return WindowTrack(self.hearer, self.window, self.hop, batch_size)
        return SegmentTrack(self.hearer, latency)

    def _hear(self, blocks, heard: "Detected", settings, keep_frames: bool, overview: bool) -> None:
        track = self.new_track()
        finder = EventFinder(self.labels, settings, track.step_seconds)
        view = Overview(self.sample_rate, len(self.labels)) if overview else None
        events: list[Event] = []
        kept: list[np.ndarray] = []

        def take(rows: np.ndarray) -> None:
            events.extend(finder.feed(rows))
            if keep_frames:
                kept.append(rows)
            if view is not None:
                view.feed_probabilities(rows, track.step_seconds)

        for block in blocks:
            if view is not None:
                view.feed_audio(block)
            take(track.feed(block))
        take(track.finish())
        seconds = track.samples / self.sample_rate
        events.extend(finder.finish(seconds))
        events.sort(key=lambda event: (event.onset, event.offset, event.label))
        frames = track.frames(np.concatenate(kept)) if keep_frames else None
        heard.seconds, heard.overview = seconds, view
        heard.detection = Detection(heard.file, seconds, tuple(events), frames, track.frame_seconds)


class Detected(Heard):
    """What became of a recording; ``detection`` and ``overview`` if there was no error."""

    detection: Detection | None = None
    overview: Overview | None = None


def networks_with_frames() -> list[str]:
    """Returns the names of the networks that say themselves when a sound is to be heard."""
    return [row.name for row in ARCHITECTURES.values() if row.is_decision_level]
