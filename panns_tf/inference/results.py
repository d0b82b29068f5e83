"""Results of tagging, embedding and detection, as plain values that go into files."""

import dataclasses
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfrecords.files import write_csv_rows
from tfrecords.flags import CheckedSettings, setting


class _Result:
    """Text of a result, from its ``as_dict()`` and ``columns``."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def to_csv(self) -> str:
        """A table with a header."""
        return csv_text(self.columns, table_rows(self.as_dict()))


@dataclasses.dataclass(frozen=True)
class TagSettings(CheckedSettings):
    """Which classes become tags: ``top`` at most, None for all, of at least a probability."""

    top: int | None = setting(10, "tags at most", metavar="N", minimum=1)
    threshold: float = setting(0.0, "lowest score of a tag", metavar="P", minimum=0, maximum=1)


@dataclasses.dataclass(frozen=True)
class Tag:
    """A class by name and number, and its probability."""

    label: str
    score: float
    index: int


@dataclasses.dataclass(frozen=True, eq=False)
class Tagging(_Result):
    """The classes of a recording, or of a window of it."""

    source: str
    seconds: float
    tags: tuple[Tag, ...]  # the classes asked for, the most probable first
    scores: np.ndarray  # (classes,) float32, of all classes
    start: float = 0.0  # of the window, in seconds

    columns = ("file", "seconds", "label", "score")

    def as_dict(self) -> dict:
        """For JSON; the scores of classes that were not asked for are left out."""
        window = self.window_dict()
        if not self.start:
            del window["start"]
        return {"file": self.source, **window}

    def window_dict(self) -> dict:
        """As `as_dict`, of a window among those of its recording."""
        tags = [{"label": tag.label, "score": rounded(tag.score)} for tag in self.tags]
        return {"start": rounded(self.start), "seconds": rounded(self.seconds), "tags": tags}


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding(_Result):
    """A recording as a vector."""

    source: str
    seconds: float
    vector: np.ndarray  # (width,) float32; or (windows, width) where it was cut into windows
    starts: tuple[float, ...] | None = None  # of the windows, in seconds

    def as_dict(self) -> dict:
        """For JSON."""
        windows = {} if self.starts is None else {"starts": list(self.starts)}
        position = {"file": self.source, "seconds": rounded(self.seconds)}
        return {**position, **windows, "embedding": self.vector.tolist()}

    def to_csv(self) -> str:
        """A table with a row for each window; columns ``file, start, 0, 1, ...``."""
        rows = zip(self.starts or (0.0,), np.atleast_2d(self.vector), strict=True)
        return csv_text(
            ("file", "start", *range(self.vector.shape[-1])),
            [(self.source, rounded(start), *vector.tolist()) for start, vector in rows],
        )


@dataclasses.dataclass(frozen=True)
class Event:
    """A sound event: its times in seconds, its class, and the highest probability within it."""

    onset: float
    offset: float
    label: str
    score: float


@dataclasses.dataclass(frozen=True, eq=False)
class Detection(_Result):
    """The events of a recording."""

    source: str
    seconds: float
    events: tuple[Event, ...]  # by onset, then offset
    framewise: np.ndarray | None = None  # (frames, classes) probabilities, if they were kept
    frame_seconds: float = 0.01  # from one frame to the next

    columns = ("file", "onset", "offset", "label", "score")

    def as_dict(self) -> dict:
        """For JSON; the frames are left out."""
        events = [dataclasses.asdict(event) for event in self.events]
        for event in events:
            event |= {name: rounded(event[name]) for name in ("onset", "offset", "score")}
        return {"file": self.source, "seconds": rounded(self.seconds), "events": events}

    def to_audacity(self) -> str:
        """A label track for Audacity: onset, offset and label with its score, by tabs."""
        return "".join(
            f"{event.onset:.6f}\t{event.offset:.6f}\t{event.label} {event.score:.2f}\n"
            for event in self.events
        )


def top_tags(
    scores: np.ndarray, labels: Sequence[str], top: int | None = 10, threshold: float = 0.0
) -> tuple[Tag, ...]:
    """The most probable classes of (classes,), the first first; of equal ones the lower number."""
    order = np.argsort(-scores, kind="stable")[:top].tolist()
    order = [index for index in order if scores[index] >= threshold]
    return tuple(Tag(labels[index], float(scores[index]), index) for index in order)


def file_of(source) -> str:
    """The name of a recording in results: its path, as UTF-8, or what `describe` gives."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source).encode(errors="backslashreplace").decode()
    from tfrecords.audio import describe

    return describe(source)


def rounded(value: float) -> float:
    """A number with the six decimals that mean something."""
    return round(float(value), 6)


def table_rows(result: dict) -> list[dict]:
    """The rows of a table for a result as JSON: one for each window's tags, or event."""
    for name in ("windows", "tags", "events", "predicted"):
        if name in result:
            rest = {key: value for key, value in result.items() if key != name}
            nothing = [{}] if name == "predicted" else []
            items = result[name] or nothing
            return [row for item in items for row in table_rows({**rest, **item})]
    return [result]


def csv_text(columns: Sequence, rows: Iterable[Mapping | Sequence]) -> str:
    """A table with a header line as text; entries of other columns are left out."""
    file = io.StringIO()
    write_csv_rows(file, columns, rows)
    return file.getvalue()
