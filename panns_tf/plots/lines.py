"""Several seeds as one line: mean and range."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Point:
    """Mean, least and most of so many values at one place."""

    x: float
    mean: float
    low: float
    high: float
    count: int


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: beside its end.
        points: in the order of x.
        remark: in short what a reader must know, such as ``"unfinished: step 120 of 600"``.
        cut_off: whether it ends before its run does.
        ends: hollow marks, which are not this project's measurements.
    """

    label: str
    points: tuple[Point, ...]
    remark: str = ""
    cut_off: bool = False
    ends: tuple[tuple[float, float], ...] = ()

    @property
    def text(self) -> str:
        return f"{self.label} ({self.remark})" if self.remark else self.label


def mean_line(curves: Sequence[Mapping[float, float]]) -> tuple[Point, ...]:
    """Mean and range at every x that all curves have."""
    shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return tuple(point(x, [curve[x] for curve in curves]) for x in shared)


def point(x: float, values: Sequence[float]) -> Point:
    """Mean and range of values at one place."""
    return Point(x, statistics.fmean(values), min(values), max(values), len(values))


def thinned(curve: Mapping[int, float], most: int = 200) -> dict[int, float]:
    """Means over equal numbers of neighbouring points, each at the last one's x, if many.

    Of a loss logged every few steps this shows the trend, and keeps the files small.
    """
    steps = sorted(curve)
    size = math.ceil(len(steps) / most)
    parts = [steps[i : i + size] for i in range(0, len(steps), size or 1)]
    return {part[-1]: statistics.fmean(curve[step] for step in part) for part in parts}
