"""Sound events: from probabilities over time to onsets and offsets."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import median_filter

from panns_tf.inference.results import Result, rounded
from tfrecords.flags import CheckedSettings, setting
from tfrecords.text import did_you_mean

# Seconds, or probability, that rounding may cost.
_ROUNDING = 1e-6


_probability = functools.partial(setting, metavar="P", above=0, maximum=1)
_seconds = functools.partial(setting, metavar="SECONDS", minimum=0)


@dataclasses.dataclass(frozen=True)
class EventSettings(CheckedSettings):
    """What counts as an event; ValueError, by the command's flag, for a number out of its range.

    An event is as many steps as possible in a row with a probability of at least ``low``, and of at
    least ``high`` at some step: a weak end is kept, a weak sound alone is not, a short dip does not
    cut a sound in two (hysteresis; Dinkel and Yu 2020, https://arxiv.org/abs/1904.03841).

    First a centred median over the nearest odd number of steps (fewer at both ends) smooths; then
    events are found, those of a class less than ``gap`` seconds apart joined, those shorter than
    ``minimum`` dropped. ``labels`` are the only classes, in upper or lower case.
    """

    high: float = _probability(0.5, "peak probability that an event must reach", flag="--threshold")
    low: float | None = _probability(
        None, "lower threshold, at which an event begins and ends", shown="half the threshold"
    )
    smooth: float = _seconds(0.0, "median filter")
    minimum: float = _seconds(0.0, "shortest event", flag="--min-length")
    gap: float = _seconds(0.0, "longest gap to be closed", flag="--merge-gap")
    labels: Sequence[str] | None = setting(
        None,
        "only these classes, separated by semicolons: 'Dog;Rain'",
        flag="--classes",
        metavar="LABELS",
        parse=lambda text: [name.strip() for name in text.split(";") if name.strip()],
        shown="all",
    )

    def __post_init__(self) -> None:
        if self.labels is not None:
            labels = [self.labels] if isinstance(self.labels, str) else self.labels
            object.__setattr__(self, "labels", tuple(map(str, labels)))
            if not self.labels:
                raise ValueError("--classes names no class; leave it out for all")
        super().__post_init__()
        if self.low is not None and self.low > self.high:
            raise ValueError(
                f"--low must be at most the threshold, {self.high}; received {self.low}"
            )


@dataclasses.dataclass(frozen=True)
class Event:
    """A sound event: its times in seconds, its class, and the highest probability within it."""

    onset: float
    offset: float
    label: str
    score: float


@dataclasses.dataclass(frozen=True, eq=False)
class Detection(Result):
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


class EventFinder:
    """Finds the events of one recording while its probabilities come in, however they are split;
    memory does not grow with it: kept are the steps under the median filter, and of each class the
    event that goes on and the one before, which may yet be joined.
    """

    def __init__(self, labels: Sequence[str], settings: EventSettings, step_seconds: float):
        self.settings, self._step = settings, step_seconds
        self._wanted = list(range(len(labels)))
        if settings.labels is not None:
            self._wanted = _indices_of(settings.labels, labels)
        self._labels = [labels[index] for index in self._wanted]
        self._high = np.float32(settings.high)
        self._low = self._high / 2 if settings.low is None else np.float32(settings.low)
        self._half = int(settings.smooth / step_seconds / 2 + _ROUNDING)
        count = len(self._wanted)
        self._searched = 0  # steps
        self._kept = np.zeros((0, count), np.float32)  # steps under the median filter
        self._before = 0  # of them those in front of the next one to be filtered
        # Of the event that goes on, by class: its first step, -1 for none, and its peak.
        self._start, self._peak = np.full(count, -1), np.zeros(count, np.float32)
        self._ended: dict[int, Event] = {}  # the event before, by class
        self._certain: list[Event] = []

    def feed(self, probabilities: np.ndarray) -> list[Event]:
        """Takes the next steps (steps, classes); returns the events that nothing can change."""
        values = np.asarray(probabilities, np.float32)
        if values.size and not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):
            raise ValueError(
                f"probabilities must lie in [0, 1]; received {values.min():g} to {values.max():g}"
            )
        self._search(self._smoothed(values[:, self._wanted]))
        for index in list(self._ended):
            going = self._start[index]
            if not self._is_joined(index, going if going >= 0 else self._searched):
                self._certain.append(self._ended.pop(index))
        return self._long_enough()

    def finish(self, seconds: float = math.inf) -> list[Event]:
        """Returns the events that remain; they end with the recording, after ``seconds``."""
        self._search(self._smoothed(self._kept[:0], last=True))
        for index in np.flatnonzero(self._start >= 0):
            self._end(index)
        self._certain += self._ended.values()
        return self._long_enough(seconds)

    def _long_enough(self, seconds: float = math.inf) -> list[Event]:
        """Takes the certain events, without those that are too short."""
        least, events = self.settings.minimum - _ROUNDING, []
        for event in self._certain:
            offset = min(event.offset, seconds)
            if offset > event.onset and offset - event.onset >= least:
                events.append(dataclasses.replace(event, offset=offset))
        self._certain = []
        return in_order(events)

    def _smoothed(self, values: np.ndarray, last: bool = False) -> np.ndarray:
        """Medians of the steps whose neighbours are all there, (steps, classes)."""
        half = self._half
        if not half:
            return values
        kept = np.concatenate([self._kept, values])
        first = self._before
        end = len(kept) if last else max(first, len(kept) - half)
        smooth = median_filter(kept, size=(2 * half + 1, 1))[first:end]
        # At the ends of the recording the filter has fewer steps.
        for step in [*range(first, min(half, end)), *range(max(first, len(kept) - half), end)]:
            smooth[step - first] = np.median(kept[max(0, step - half) : step + half + 1], axis=0)
        self._before = min(end, half)
        self._kept = kept[end - self._before :].copy()
        return smooth

    def _search(self, values: np.ndarray) -> None:
        for row, lasts in zip(values, values >= self._low, strict=True):
            going = self._start >= 0
            for index in np.flatnonzero(going & ~lasts):
                self._end(index)
            self._start[lasts & ~going] = self._searched
            np.maximum(self._peak, row, out=self._peak, where=lasts)
            self._searched += 1

    def _end(self, index: int) -> None:
        """The event that goes on ends: an event, part of the one before, or nothing."""
        start, peak = int(self._start[index]), float(self._peak[index])
        self._start[index], self._peak[index] = -1, 0
        if peak < self._high:
            return
        onset, offset, score = start * self._step, self._searched * self._step, min(1.0, peak)
        if before := self._ended.get(index):
            if self._is_joined(index, start):
                onset, score = before.onset, max(before.score, score)
            else:
                self._certain.append(before)
        self._ended[index] = Event(onset, offset, self._labels[index], score)

    def _is_joined(self, index: int, start: int) -> bool:
        """Whether the event before and one from a step on are one."""
        gap = start * self._step - self._ended[index].offset
        return gap < self.settings.gap - _ROUNDING


def in_order(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.onset, event.offset, event.label))


def _indices_of(wanted: Iterable[str], labels: Sequence[str]) -> list[int]:
    """The indices of classes in their own order, each once."""
    plain = {label.casefold(): index for index, label in reversed(list(enumerate(labels)))}
    indices = set()
    for label in wanted:
        name = label.strip().casefold()
        if label not in labels and name not in plain:
            raise ValueError(f"--classes: no class {label!r}; {did_you_mean(label, labels)}")
        indices.add(labels.index(label) if label in labels else plain[name])
    return sorted(indices)
