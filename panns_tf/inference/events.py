"""From probabilities over time to events with a beginning and an end."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

import numpy as np

from panns_tf.inference.median import CentredMedian
from panns_tf.inference.results import Event

#: Steps looked at together, so that what is kept besides stays small.
_BLOCK = 2048
#: Seconds, or probability, that rounding may cost.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class EventSettings:
    """What counts as an event.

    With two thresholds, an event is as many steps as possible in a row whose probability is at
    least ``low`` and at some step at least ``high``: a weak end is kept, a weak sound alone is
    not, and a short dip does not cut a sound in two. The method is hysteresis, "double
    thresholding" in Dinkel and Yu, "Duration robust weakly supervised sound event detection",
    2020, https://arxiv.org/abs/1904.03841.

    In this order: probabilities are smoothed, events found, those of a class that are close
    are joined, short ones are dropped.

    Args:
        high: an event is where the probability reaches it, in (0, 1].
        low: and lasts while the probability is at least this, at most ``high``; None for half
            of ``high``.
        smooth: length of a centred median filter over the probabilities, in seconds, as the
            nearest odd number of steps (of two the larger); 0 for none. At both ends the median
            is of the steps that there are.
        minimum: shorter events are dropped; in seconds.
        gap: events of a class with less than this between them become one; in seconds.
        labels: only these classes, in upper or lower case; None for all.
        high_of: classes with another ``high``, by label; their ``low`` is half of it unless
            ``low`` is given.

    Raises:
        ValueError: for a number out of its range; names the command's flag.
    """

    high: float = 0.5
    low: float | None = None
    smooth: float = 0.0
    minimum: float = 0.0
    gap: float = 0.0
    labels: Sequence[str] | None = None
    high_of: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        highs = {"--threshold": self.high}
        highs |= {f"--threshold of {label}": high for label, high in (self.high_of or {}).items()}
        numbers = {**highs, "--low": self.low if self.low is not None else 1.0}
        seconds = {"--smooth": self.smooth, "--min-length": self.minimum, "--merge-gap": self.gap}
        for flag, value in {**numbers, **seconds}.items():
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(f"{flag} must be a number; received {value!r}")
        for flag, value in highs.items():
            if not 0 < value <= 1:
                raise ValueError(f"{flag} must lie above 0 and at most at 1; received {value}")
        if self.low is not None and not 0 < self.low <= min(highs.values()):
            raise ValueError(
                f"--low must lie above 0 and at most at the threshold, {min(highs.values())}; "
                f"received {self.low}"
            )
        for flag, value in seconds.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{flag} must be seconds, 0 or more; received {value}")
        if self.labels is not None:
            labels = (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)
            if not all(isinstance(label, str) for label in labels):
                raise ValueError(f"--classes must be names of classes; received {labels}")
            if not labels:
                raise ValueError("--classes names no class; leave it out for all")
            object.__setattr__(self, "labels", labels)


class EventFinder:
    """Finds the events of one recording while its probabilities come in.

    The events do not depend on how the steps are split. What is kept does not grow with the
    recording: the steps under the median filter, and for each class the event that goes on and
    the one before, which it may yet be joined to.

    Args:
        labels: of all classes.
        settings: what counts as an event.
        step_seconds: from one step to the next; step number n lasts from ``n * step_seconds`` to
            ``(n + 1) * step_seconds``.

    Raises:
        ValueError: if the settings name an unknown class, or a step has no length.

    Example:

    >>> finder = EventFinder(["Bark", "Rain"], EventSettings(), step_seconds=1.0)
    >>> finder.feed([[0.1, 0.0], [0.9, 0.0], [0.3, 0.0]])
    []
    >>> finder.feed([[0.0, 0.8]])
    [Event(onset=1.0, offset=3.0, label='Bark', score=0.8999999761581421)]
    >>> finder.finish()
    [Event(onset=3.0, offset=4.0, label='Rain', score=0.800000011920929)]
    """

    def __init__(self, labels: Sequence[str], settings: EventSettings, step_seconds: float):
        if not 0 < step_seconds < math.inf:
            raise ValueError(f"a step must last some seconds; received {step_seconds}")
        self.settings, self.step_seconds, self._classes = settings, step_seconds, len(labels)
        high = np.full(len(labels), settings.high, np.float32)
        for label, value in (settings.high_of or {}).items():
            high[_numbers_of([label], labels, "--threshold")] = value
        wanted = range(len(labels))
        if settings.labels is not None:
            wanted = _numbers_of(settings.labels, labels, "--classes")
        self._wanted = np.array(wanted, int)
        self._labels = [labels[number] for number in wanted]
        self._high = high[self._wanted]
        self._low = self._high / 2
        if settings.low is not None:
            self._low = np.full_like(self._high, settings.low)
        half = int(settings.smooth / step_seconds / 2 + _ROUNDING)
        self._median = CentredMedian(half, self._low)
        self._begin()

    def _begin(self) -> None:
        self._fed = self._seen = 0  # steps that came, and those smoothed and searched
        # By class: the start and peak of what goes on; the start, stop and peak of what is over.
        self._going: dict[int, tuple[int, float]] = {}
        self._over: dict[int, tuple[int, int, float]] = {}

    def feed(self, probabilities: np.ndarray) -> list[Event]:
        """Takes the next steps and returns the events that nothing can change any more.

        Args:
            probabilities: (steps, classes), in [0, 1].

        Returns:
            By onset, offset and label; a later call may return events that begin earlier.

        Raises:
            ValueError: if they have another shape, or are no probabilities.
        """
        values = np.asarray(probabilities, np.float32)
        if values.ndim != 2 or values.shape[1] != self._classes:
            raise ValueError(
                f"expected probabilities (steps, {self._classes}); received shape {values.shape}"
            )
        if values.size and not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):
            raise ValueError(
                f"probabilities must lie in [0, 1]; received {values.min():g} to {values.max():g}"
            )
        self._fed += len(values)
        found: list[Event] = []
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            if self.settings.labels is not None:
                block = block[:, self._wanted]
            self._search(self._median.feed(block), found)
        return _sorted(found)

    def finish(self, seconds: float | None = None) -> list[Event]:
        """Returns the events that remain; the next `feed` begins another recording.

        Args:
            seconds: length of the recording, where events end at the latest; None for as long
                as its steps. The last step may begin there, no other after it.

        Raises:
            ValueError: if more steps came than so many seconds have.
        """
        if seconds is None:
            seconds = self._fed * self.step_seconds
        if not seconds >= (self._fed - 1) * self.step_seconds - _ROUNDING:
            raise ValueError(
                f"{self._fed} steps of {self.step_seconds:g} s are too many for a recording of "
                f"{seconds:g} s; feed those that begin within it"
            )
        found: list[Event] = []
        nothing = np.zeros((0, len(self._low)), np.float32)
        self._search(self._median.feed(nothing, last=True), found)
        for number in list(self._going):
            self._end(number, self._seen, found, seconds)
        for number, span in self._over.items():
            self._add(number, span, found, seconds)
        self._begin()
        return _sorted(found)

    def _search(self, values: np.ndarray, found: list[Event]) -> None:
        """Looks at smoothed steps (steps, classes)."""
        steps, first = len(values), self._seen
        if not steps:
            return
        self._seen += steps
        lasting = values >= self._low
        for number in [n for n in self._going if not lasting[0, n]]:
            self._end(number, first, found)
        some = np.flatnonzero(lasting.any(axis=0))
        of_class = np.ascontiguousarray(values[:, some].T)  # (some classes, steps)
        row, start, stop, peak = _runs(np.ascontiguousarray(lasting[:, some].T), of_class)
        # Most of the weak ones are over and done with here, without a turn of the loop.
        matter = (peak >= self._high[some[row]]) | (start == 0) | (stop == steps)
        runs = (some[row], start + first, stop + first, peak)
        for number, begin, end, highest in zip(*(x[matter].tolist() for x in runs), strict=True):
            since, before = self._going.get(number, (begin, 0.0))
            self._going[number] = since, max(before, highest)
            if end < self._seen:
                self._end(number, end, found)
        for number, (begin, end, highest) in list(self._over.items()):
            following = self._going[number][0] if number in self._going else self._seen
            if not self._close(end, following):
                self._add(number, (begin, end, highest), found)
                del self._over[number]

    def _end(self, number: int, stop: int, found: list[Event], seconds: float = math.inf) -> None:
        """What goes on of a class ends: an event, part of the one before, or nothing."""
        start, peak = self._going.pop(number)
        if peak < self._high[number]:
            return
        if number in self._over:
            before = self._over[number]
            if self._close(before[1], start):
                start, peak = before[0], max(peak, before[2])
            else:
                self._add(number, before, found, seconds)
        self._over[number] = start, stop, peak

    def _close(self, stop: int, start: int) -> bool:
        """Whether an event from ``start`` on belongs to one that ends at ``stop``."""
        return (start - stop) * self.step_seconds < self.settings.gap - _ROUNDING

    def _add(self, number: int, span: tuple, found: list[Event], seconds: float = math.inf) -> None:
        onset, offset = span[0] * self.step_seconds, min(span[1] * self.step_seconds, seconds)
        if offset > onset and offset - onset >= self.settings.minimum - _ROUNDING:
            found.append(Event(onset, offset, self._labels[number], min(1.0, span[2])))


def find_events(
    probabilities: np.ndarray,
    labels: Sequence[str],
    settings: EventSettings,
    step_seconds: float,
    seconds: float | None = None,
) -> tuple[Event, ...]:
    """Returns the events of a recording.

    Args:
        probabilities: (steps, classes), in [0, 1].
        labels, settings, step_seconds: see `EventFinder`.
        seconds: see `EventFinder.finish`.

    Returns:
        The events by onset, offset and label. A score is the highest smoothed probability.

    Raises:
        ValueError: as `EventFinder` does.
    """
    finder = EventFinder(labels, settings, step_seconds)
    return tuple(_sorted([*finder.feed(probabilities), *finder.finish(seconds)]))


def _sorted(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.onset, event.offset, event.label))


def _runs(where: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Finds unbroken stretches of True in rows.

    Args:
        where: (rows, steps) bool.
        values: (rows, steps), whose highest within each is wanted.

    Returns:
        Their row, start, stop and highest value, by row and start.
    """
    edges = np.diff(where, prepend=False, append=False, axis=1)  # (rows, steps + 1)
    row, place = np.nonzero(edges)
    row, start, stop = row[::2], place[::2], place[1::2]
    # Every other piece between a start and the next stop; one value more, so that each has an end.
    places = np.stack([start, stop], axis=1) + row[:, None] * where.shape[1]  # (runs, 2)
    peak = np.maximum.reduceat(np.append(values, values.dtype.type(0)), places.reshape(-1))[::2]
    return row, start, stop, peak


def _numbers_of(wanted: Iterable[str], labels: Sequence[str], flag: str) -> list[int]:
    """The numbers of classes in their own order, each once."""
    plain = {label.casefold(): number for number, label in reversed(list(enumerate(labels)))}
    exact = {label: number for number, label in enumerate(labels)}
    found = set()
    for label in wanted:
        number = exact.get(label, plain.get(label.strip().casefold()))
        if number is None:
            near = difflib.get_close_matches(label.strip().casefold(), plain, n=3, cutoff=0.4)
            near = [labels[plain[name]] for name in near] or labels[:3]
            raise ValueError(f"{flag}: no class {label!r}; the nearest are: {', '.join(near)}")
        found.add(number)
    return sorted(found)
