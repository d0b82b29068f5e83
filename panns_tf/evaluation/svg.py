"""Charts as SVG text, coloured by the page's style sheet."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from panns_tf.evaluation.html import text

_WIDTH, _HEIGHT = 380, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 42


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Args:
        name: what it shows, with its unit.
        low, high: its ends.
        ticks: values and their texts.
        log: whether it is logarithmic.
    """

    name: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def share(self, values) -> np.ndarray:
        """Where values lie between the ends, 0 to 1."""
        values, low, high = (np.asarray(x, np.float64) for x in (values, self.low, self.high))
        if self.log:
            values, low, high = np.log10(values), np.log10(low), np.log10(high)
        return (values - low) / (high - low)


def unit(name: str) -> Axis:
    """An axis from 0 to 1."""
    return Axis(name, 0, 1, [(x, f"{x:g}") for x in (0, 0.25, 0.5, 0.75, 1)])


def decades(name: str, low: float, high: float) -> Axis:
    """A logarithmic axis that holds values from ``low`` to ``high``, above 0."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    ticks = [(10.0**power, _short(10**power)) for power in range(first, last + 1)]
    return Axis(name, 10.0**first, 10.0**last, ticks, log=True)


def _short(value: float) -> str:
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


@dataclasses.dataclass(frozen=True)
class Chart:
    """A frame with two axes, into which marks are drawn."""

    x: Axis
    y: Axis

    def places(self, xs, ys) -> list[tuple[float, float]]:
        """Positions in the drawing, rounded to a tenth."""
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        across = _LEFT + width * np.atleast_1d(self.x.share(xs))
        down = _TOP + height * (1 - np.atleast_1d(self.y.share(ys)))
        return [(round(float(a), 1), round(float(d), 1)) for a, d in zip(across, down, strict=True)]

    def line(self, xs, ys, kind: str) -> str:
        """A line through points, of a CSS class."""
        points = " ".join(f"{a:g},{d:g}" for a, d in self.places(xs, ys))
        return f'<polyline class="{kind}" points="{points}"/>'

    def dots(self, xs, ys, titles: Sequence[str], kind: str, sizes=None) -> str:
        """A dot for each point, with a text that shows under the pointer."""
        sizes = [2.6] * len(titles) if sizes is None else sizes
        return "".join(
            f'<circle class="{kind}" cx="{a:g}" cy="{d:g}" r="{size:.2g}">'
            f"<title>{text(title)}</title></circle>"
            for (a, d), title, size in zip(self.places(xs, ys), titles, sizes, strict=True)
        )

    def draw(self, marks: str, alt: str) -> str:
        """The whole drawing; ``alt`` says in words what it shows."""
        return (
            f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{text(alt)}">{self._frame()}{marks}</svg>'
        )

    def _frame(self) -> str:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for (value, name), (a, _) in zip(
            self.x.ticks, self.places(*self._along(self.x, self.y)), strict=True
        ):
            del value
            parts.append(f'<path class="grid" d="M{a:g} {_TOP}V{bottom}"/>')
            parts.append(f'<text x="{a:g}" y="{bottom + 15}" class="middle">{name}</text>')
        for (value, name), (_, d) in zip(
            self.y.ticks, self.places(*self._along(self.y, self.x)[::-1]), strict=True
        ):
            del value
            parts.append(f'<path class="grid" d="M{_LEFT} {d:g}H{right}"/>')
            parts.append(f'<text x="{_LEFT - 7}" y="{d + 3.5:g}" class="end">{name}</text>')
        middle = (_LEFT + right) / 2
        parts.append(
            f'<text x="{middle:g}" y="{_HEIGHT - 6}" class="name middle">{text(self.x.name)}</text>'
        )
        down = (_TOP + bottom) / 2
        parts.append(
            f'<text transform="translate(11 {down:g}) rotate(-90)" class="name middle">'
            f"{text(self.y.name)}</text>"
        )
        return "".join(parts)

    @staticmethod
    def _along(axis: Axis, other: Axis) -> tuple[list[float], list[float]]:
        values = [value for value, _ in axis.ticks]
        return values, [other.low] * len(values)

    def outline(self, css: str) -> str:
        """The frame with an empty line that the page's script fills; says where the axes lie."""
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return (
            f'<svg class="chart {css}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'data-box="{_LEFT} {_TOP} {width} {height}">{self._frame()}'
            '<polyline class="first" points=""/></svg>'
        )
