"""Sound events: from probabilities over time to onsets and offsets."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.ndimage import median_filter

from panns_tf.inference.results import Event
from tfrecords.flags import check_setting, setting, settings_of
from tfrecords.text import did_you_mean

# Steps filtered together, so that the buffers stay small.
_BLOCK = 2048
# Seconds, or probability, that rounding may cost.
_ROUNDING = 1e-6


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(";") if name.strip())


@dataclasses.dataclass(frozen=True)
class EventSettings:
    """What counts as an event.

    With two thresholds, an event is as many steps as possible in a row whose probability is at
    least ``low`` and at some step at least ``high``: a weak end is kept, a weak sound alone is
    not, and a short dip does not cut a sound in two. The method is hysteresis, "double
    thresholding" in Dinkel and Yu, "Duration robust weakly supervised sound event detection",
    2020, https://arxiv.org/abs/1904.03841.

    In this order: probabilities are smoothed (by a centred median over the nearest odd number of
    steps, at both ends over the steps that there are), events found, those of a class with less
    than ``gap`` seconds between them joined, those shorter than ``minimum`` dropped. ``labels``
    are the only classes, in upper or lower case; ``high_of`` gives classes another ``high``.

    Raises:
        ValueError: for a number out of its range; names the command's flag.
    """

    high: float = setting(
        0.5,
        "peak probability that an event must reach",
        flag="--threshold",
        metavar="P",
        above=0,
        maximum=1,
    )
    low: float | None = setting(
        None,
        "lower threshold, at which an event begins and ends",
        metavar="P",
        above=0,
        maximum=1,
        shown="half the threshold",
    )
    smooth: float = setting(0.0, "median filter", metavar="SECONDS", minimum=0)
    minimum: float = setting(
        0.0, "shortest event", flag="--min-length", metavar="SECONDS", minimum=0
    )
    gap: float = setting(
        0.0, "longest gap to be closed", flag="--merge-gap", metavar="SECONDS", minimum=0
    )
    labels: Sequence[str] | None = setting(
        None,
        "only these classes, separated by semicolons: 'Dog;Rain'",
        flag="--classes",
        metavar="LABELS",
        parse=_names,
        shown="all",
    )
    high_of: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.labels, str):
            object.__setattr__(self, "labels", (self.labels,))
        declared = settings_of(type(self))
        _, about, kinds = declared.pop("labels")
        if self.labels is not None:
            object.__setattr__(self, "labels", tuple(self.labels))
            if not self.labels:
                raise ValueError("--classes names no class; leave it out for all")
            if not all(isinstance(label, str) for label in self.labels):
                raise ValueError(f"--classes must be names of classes; received {self.labels}")
        for name, (_, about, kinds) in declared.items():
            check_setting(about.flag or f"--{name}", getattr(self, name), about, kinds)
        _, about, kinds = declared["high"]
        for label, high in (self.high_of or {}).items():
            check_setting(f"--threshold of {label}", high, about, kinds)
        least = min([self.high, *(self.high_of or {}).values()])
        if self.low is not None and self.low > least:
            raise ValueError(f"--low must be at most the threshold, {least}; received {self.low}")


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
            high[_indices_of([label], labels, "--threshold")] = value
        wanted = range(len(labels))
        if settings.labels is not None:
            wanted = _indices_of(settings.labels, labels, "--classes")
        self._wanted = np.array(wanted, int)
        self._labels = [labels[index] for index in wanted]
        self._high = high[self._wanted]
        self._low = self._high / 2
        if settings.low is not None:
            self._low = np.full_like(self._high, settings.low)
        self._half = int(settings.smooth / step_seconds / 2 + _ROUNDING)
        self._begin()

    def _begin(self) -> None:
        count = len(self._wanted)
        self._fed = self._searched = 0  # steps
        self._kept = np.zeros((0, count), np.float32)  # steps under the median filter
        self._before = 0  # of them those in front of the next one to be filtered
        # Of the event that goes on, by class: its first step, -1 for none, and its peak.
        self._start, self._peak = np.full(count, -1), np.zeros(count, np.float32)
        # Of the event before: its first step, the step after its last, and its peak.
        self._ended: dict[int, tuple[int, int, float]] = {}

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
        events: list[Event] = []
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK, self._wanted]
            self._search(self._smoothed(block), events)
        for index in [i for i in self._ended if not self._may_be_joined(i)]:
            self._add(self._ended.pop(index), index, events)
        return _sorted(events)

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
        events: list[Event] = []
        self._search(self._smoothed(self._kept[:0], last=True), events, seconds)
        for index in np.flatnonzero(self._start >= 0):
            self._end(index, events, seconds)
        for index, span in self._ended.items():
            self._add(span, index, events, seconds)
        self._begin()
        return _sorted(events)

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

    def _search(self, values: np.ndarray, events: list[Event], seconds: float = math.inf) -> None:
        """Looks at smoothed steps (steps, classes), one by one."""
        for row, lasts in zip(values, values >= self._low, strict=True):
            going = self._start >= 0
            for index in np.flatnonzero(going & ~lasts):
                self._end(index, events, seconds)
            self._start[lasts & ~going] = self._searched
            np.maximum(self._peak, row, out=self._peak, where=lasts)
            self._searched += 1

    def _end(self, index: int, events: list[Event], seconds: float) -> None:
        """The event that goes on ends: an event, part of the one before, or nothing."""
        start, peak = int(self._start[index]), float(self._peak[index])
        if peak >= self._high[index]:
            if index in self._ended:
                before = self._ended[index]
                if self._close(before[1], start):
                    start, peak = before[0], max(peak, before[2])
                else:
                    self._add(before, index, events, seconds)
            self._ended[index] = start, self._searched, peak
        self._start[index], self._peak[index] = -1, 0

    def _may_be_joined(self, index: int) -> bool:
        """Whether the event before may yet be joined to one that goes on or begins now."""
        following = self._start[index] if self._start[index] >= 0 else self._searched
        return self._close(self._ended[index][1], following)

    def _close(self, stop: int, start: int) -> bool:
        """Whether an event from ``start`` on belongs to one that ends at ``stop``."""
        return (start - stop) * self.step_seconds < self.settings.gap - _ROUNDING

    def _add(self, span: tuple, index: int, events: list[Event], seconds: float = math.inf) -> None:
        onset, offset = span[0] * self.step_seconds, min(span[1] * self.step_seconds, seconds)
        if offset > onset and offset - onset >= self.settings.minimum - _ROUNDING:
            events.append(Event(onset, offset, self._labels[index], min(1.0, span[2])))


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


def _indices_of(wanted: Iterable[str], labels: Sequence[str], flag: str) -> list[int]:
    """The indices of classes in their own order, each once."""
    plain = {label.casefold(): index for index, label in reversed(list(enumerate(labels)))}
    exact = {label: index for index, label in enumerate(labels)}
    indices = set()
    for label in wanted:
        index = exact.get(label, plain.get(label.strip().casefold()))
        if index is None:
            raise ValueError(f"{flag}: no class {label!r}; {did_you_mean(label, labels)}")
        indices.add(index)
    return sorted(indices)
