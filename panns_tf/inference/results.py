"""Results of tagging, embedding and detection, as plain values that go into files."""

import dataclasses
import io
import json
from collections.abc import Iterable, Sequence

import numpy as np

from tfrecords.files import write_csv_rows
from tfrecords.flags import check_settings, setting


class _Result:
    """Text of a result, from its ``as_dict()``, ``columns`` and ``rows()``."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def to_csv(self) -> str:
        """A table with a header."""
        return csv_text(self.columns, self.rows())


@dataclasses.dataclass(frozen=True)
class TagSettings:
    """Which classes become tags: ``top`` at most, None for all, of at least a probability."""

    top: int | None = setting(10, "tags at most", metavar="N", minimum=1)
    threshold: float = setting(0.0, "lowest score of a tag", metavar="P", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        check_settings(self)


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
class Tagging(_Result):
    """The classes of a recording, or of a window of it.

    Attributes:
        source: name of the recording.
        seconds: its length.
        tags: the classes asked for, the most probable first.
        scores: (classes,) float32, of all classes.
        start: of the window, in seconds from the start of the recording.
    """

    source: str
    seconds: float
    tags: tuple[Tag, ...]
    scores: np.ndarray
    start: float = 0.0

    columns = ("file", "seconds", "label", "score")

    def as_dict(self) -> dict:
        """For JSON; the scores of classes that were not asked for are left out."""
        tags = [{"label": tag.label, "score": rounded(tag.score)} for tag in self.tags]
        return {**self._position(), "tags": tags}

    def rows(self) -> list[dict]:
        """A row of a table for each tag."""
        return [{**self._position(), **tag} for tag in self.as_dict()["tags"]]

    def _position(self) -> dict:
        start = {"start": rounded(self.start)} if self.start else {}
        return {"file": self.source, **start, "seconds": rounded(self.seconds)}


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding(_Result):
    """A recording as a vector.

    Attributes:
        source: name of the recording.
        seconds: its length.
        vector: (width,) float32; or (windows, width) where it was cut into windows.
        starts: of the windows, in seconds; None for the whole recording.
    """

    source: str
    seconds: float
    vector: np.ndarray
    starts: tuple[float, ...] | None = None

    @property
    def columns(self) -> Sequence[str]:
        return ("file", "start", *map(str, range(self.vector.shape[-1])))

    def as_dict(self) -> dict:
        """For JSON."""
        windows = {} if self.starts is None else {"starts": list(self.starts)}
        position = {"file": self.source, "seconds": rounded(self.seconds)}
        return {**position, **windows, "embedding": self.vector.tolist()}

    def rows(self) -> list[dict]:
        """A row of a table for each window; columns ``file, start, 0, 1, ...``."""
        vectors, starts = np.atleast_2d(self.vector), self.starts or (0.0,)
        return [
            dict(zip(self.columns, (self.source, rounded(start), *vector.tolist()), strict=True))
            for start, vector in zip(starts, vectors, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class Event:
    """A sound event.

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
class Detection(_Result):
    """The events of a recording.

    Attributes:
        source: name of the recording.
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

    columns = ("file", "onset", "offset", "label", "score")

    def as_dict(self) -> dict:
        """For JSON; the frames are left out."""
        events = [
            {
                name: value if name == "label" else rounded(value)
                for name, value in dataclasses.asdict(event).items()
            }
            for event in self.events
        ]
        return {"file": self.source, "seconds": rounded(self.seconds), "events": events}

    def rows(self) -> list[dict]:
        """A row of a table for each event."""
        return [{"file": self.source, **event} for event in self.as_dict()["events"]]

    def to_audacity(self) -> str:
        """A label track for Audacity: onset, offset and label with its score, by tabs."""
        return "".join(
            f"{event.onset:.6f}\t{event.offset:.6f}\t{event.label} {event.score:.2f}\n"
            for event in self.events
        )


def top_tags(
    scores: np.ndarray, labels: Sequence[str], top: int | None = 10, threshold: float = 0.0
) -> tuple[Tag, ...]:
    """The most probable classes, the first first; of equal ones that of the lower number.

    Args:
        scores: (classes,) in [0, 1].
        labels: of the classes.
        top, threshold: as `TagSettings` has them.
    """
    order = np.argsort(-scores, kind="stable")[:top]
    order = [index for index in order.tolist() if scores[index] >= threshold]
    return tuple(Tag(labels[index], float(scores[index]), index) for index in order)


def rounded(value: float) -> float:
    """A number with the six decimals that mean something."""
    return round(float(value), 6)


def csv_text(columns: Sequence[str], rows: Iterable[dict]) -> str:
    """A table with a header line as text; entries of other columns are left out."""
    file = io.StringIO()
    write_csv_rows(file, columns, rows)
    return file.getvalue()
