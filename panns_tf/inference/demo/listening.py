"""A recording as the page shows it: heard, and drawn."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from panns_tf.inference.plot import Spectrogram, draw_recording
from panns_tf.inference.results import Detection, Event, Tag, Tagging, top_tags
from tfrecords.audio import AudioError, open_audio

#: Tags on the page, and classes whose probability is drawn over time.
TOP = 10


class Tagger(Protocol):
    """What tags a recording, such as `panns_tf.inference.tagger.AudioTagger`."""

    def tag(self, source: np.ndarray, rate: int) -> Tagging: ...


class Detector(Protocol):
    """What finds events, such as `panns_tf.inference.detector.SoundEventDetector`."""

    def detect(self, source: np.ndarray, rate: int, *, keep_frames: bool) -> Detection: ...


@dataclasses.dataclass(frozen=True)
class Heard:
    """What there is to say of a recording.

    Attributes:
        name: of its file.
        seconds: its length.
        tags: the most probable classes, the most probable first.
        events: by onset.
        light, dark: the picture of it as PNG, for a page of each kind.
        notes: what a user should know of the file, a line each.
    """

    name: str
    seconds: float
    tags: tuple[Tag, ...]
    events: tuple[Event, ...]
    light: bytes
    dark: bytes
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Listener:
    """What hears recordings for the page.

    Args:
        network: its name, for a person.
        labels: of its classes.
        sample_rate: that it hears, in Hz.
        tagger: tags recordings.
        detector: finds events in them.
        max_seconds: the longest recording taken.
    """

    network: str
    labels: Sequence[str]
    sample_rate: int
    tagger: Tagger
    detector: Detector
    max_seconds: float = 600.0

    def listen(self, path: Path) -> Heard:
        """Hears a file.

        Raises:
            AudioError: if it is no audio, empty or too long; one line that names the file without
                its folder.
        """
        try:
            with open_audio(path, self.sample_rate, limit_seconds=self.max_seconds) as stream:
                samples = stream.read()
        except AudioError as error:
            raise AudioError(_without_folder(str(error), path)) from error
        tagging = self.tagger.tag(samples, self.sample_rate)
        detection = self.detector.detect(samples, self.sample_rate, keep_frames=True)
        spectrogram = Spectrogram(self.sample_rate)
        spectrogram.feed(samples)
        light, dark = (self._picture(spectrogram, detection, dark) for dark in (False, True))
        return Heard(
            path.name,
            len(samples) / self.sample_rate,
            top_tags(tagging.scores, self.labels, TOP, 0.0),
            detection.events,
            light,
            dark,
            tuple(_without_folder(note, path) for note in stream.notes),
        )

    def _picture(self, spectrogram: Spectrogram, detection: Detection, dark: bool) -> bytes:
        file = io.BytesIO()
        draw_recording(
            file,
            spectrogram,
            detection.framewise,
            detection.frame_seconds,
            detection.events,
            self.labels,
            top=TOP,
            dark=dark,
        )
        return file.getvalue()


def _without_folder(text: str, path: Path) -> str:
    return text.replace(str(path), path.name)
