"""What a network says of a recording, as plain values that go into files."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Tag:
    """A class and its probability.

    Attributes:
        label: name of the class.
        score: in [0, 1].
        index: number of the class.
    """

    label: str
    score: float
    index: int


@dataclasses.dataclass(frozen=True, eq=False)
class Tagging:
    """The classes of a recording.

    Attributes:
        source: where the sound came from, for a person.
        seconds: its length.
        tags: the classes asked for, the most probable first.
        scores: (classes,) float32, of all classes.
        start: seconds from the start of the stream to that of the sound.
    """

    source: str
    seconds: float
    tags: tuple[Tag, ...]
    scores: np.ndarray
    start: float = 0.0

    def as_dict(self) -> dict:
        """As JSON takes it; the scores of classes that were not asked for are left out."""
        tags = [{"label": tag.label, "score": rounded(tag.score)} for tag in self.tags]
        return {"file": self.source, **_span(self.start, self.seconds), "tags": tags}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def rows(self) -> list[dict]:
        """A row of a table for each tag."""
        at = {"file": self.source, **_span(self.start, self.seconds)}
        return [{**at, "label": tag.label, "score": rounded(tag.score)} for tag in self.tags]

    def to_csv(self) -> str:
        """A table with a header: ``file, seconds, label, score``."""
        return as_csv(self.rows(), ("file", "seconds", "label", "score"))


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding:
    """A recording as a vector.

    Attributes:
        source: where the sound came from, for a person.
        seconds: its length.
        vector: (width,) float32; or (windows, width) where it was cut into windows.
        starts: of the windows, in seconds; None for the whole recording.
    """

    source: str
    seconds: float
    vector: np.ndarray
    starts: tuple[float, ...] | None = None

    def as_dict(self) -> dict:
        """As JSON takes it."""
        windows = {} if self.starts is None else {"starts": list(self.starts)}
        at = {"file": self.source, "seconds": rounded(self.seconds)}
        return {**at, **windows, "embedding": self.vector.tolist()}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def to_csv(self) -> str:
        """A table with a header: ``file, start, 0, 1, ...``; a row for each window."""
        vectors = np.atleast_2d(self.vector)
        columns = ("file", "start", *map(str, range(vectors.shape[1])))
        starts = self.starts or (0.0,)
        rows = [
            dict(zip(columns, (self.source, rounded(start), *map(float, vector)), strict=True))
            for start, vector in zip(starts, vectors, strict=True)
        ]
        return as_csv(rows, columns)


@dataclasses.dataclass(frozen=True)
class Event:
    """A sound with its beginning and its end.

    Attributes:
        onset, offset: seconds from the start of the recording.
        label: name of the class.
        score: the highest probability within it, in [0, 1].
    """

    onset: float
    offset: float
    label: str
    score: float


@dataclasses.dataclass(frozen=True, eq=False)
class Detection:
    """The events of a recording.

    Attributes:
        source: where the sound came from, for a person.
        seconds: its length.
        events: by onset, then offset.
        framewise: (frames, classes) float32 probabilities; or None if they were not kept.
        frame_seconds: from one frame to the next.
    """

    source: str
    seconds: float
    events: tuple[Event, ...]
    framewise: np.ndarray | None = None
    frame_seconds: float = 0.01

    def as_dict(self) -> dict:
        """As JSON takes it; the frames are left out."""
        events = [
            {
                "onset": rounded(event.onset),
                "offset": rounded(event.offset),
                "label": event.label,
                "score": rounded(event.score),
            }
            for event in self.events
        ]
        return {"file": self.source, "seconds": rounded(self.seconds), "events": events}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def rows(self) -> list[dict]:
        """A row of a table for each event."""
        return [{"file": self.source, **event} for event in self.as_dict()["events"]]

    def to_csv(self) -> str:
        """A table with a header: ``file, onset, offset, label, score``."""
        return as_csv(self.rows(), ("file", "onset", "offset", "label", "score"))

    def to_audacity(self) -> str:
        """A label track for Audacity: onset, offset and label with its score, by tabs."""
        return "".join(
            f"{event.onset:.6f}\t{event.offset:.6f}\t{event.label} {event.score:.2f}\n"
            for event in self.events
        )


def rounded(value: float) -> float:
    """A number with the six decimals that mean something."""
    return round(float(value), 6)


def as_csv(rows: Sequence[dict], columns: Sequence[str], header: bool = True) -> str:
    """Returns rows as a table with the columns named; other entries are left out."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _span(start: float, seconds: float) -> dict:
    span = {"seconds": rounded(seconds)}
    return {"start": rounded(start), **span} if start else span
