"""A figure with the numbers behind it, and the files that hold both."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from panns_tf.style import DARK, DPI, LIGHT, Theme, adaptive_svg, styled
from tfrecords.files import write_atomic, write_csv
from tfrecords.text import text_table


@dataclasses.dataclass(frozen=True)
class Chart:
    """What a figure shows, and how it is drawn.

    Attributes:
        name: of the files, without suffix.
        rows: the numbers drawn, each row with the same keys; None where there is no number.
        draw: from a theme to a ``matplotlib.figure.Figure``.
        notes: what a reader must know, one line each.
        printed: keys of the rows that a summary shows.
        last_of: keys; of rows with the same values of these the summary shows the last alone.
    """

    name: str
    rows: list[dict]
    draw: Callable[[Theme], object]
    notes: Sequence[str] = ()
    printed: Sequence[str] = ()
    last_of: Sequence[str] = ()

    def summary(self) -> str:
        """The rows in short, as a text table."""
        rows = self.rows
        if self.last_of:
            rows = {tuple(row[key] for key in self.last_of): row for row in rows}.values()
        keys = self.printed or list(self.rows[0])
        return text_table([keys, *([row[key] for key in keys] for row in rows)], most=40)

    def figure(self, theme: Theme = LIGHT):
        """Returns the ``matplotlib.figure.Figure``; nothing is shown or written."""
        with styled(theme):
            return self.draw(theme)

    def save(self, folder: str | Path) -> list[Path]:
        """Writes ``name.png``, ``name-dark.png``, ``name.svg`` and ``name.csv``; returns them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        light, dark, svg, table = (
            folder / f"{self.name}{end}" for end in (".png", "-dark.png", ".svg", ".csv")
        )
        for theme, path in ((LIGHT, light), (DARK, dark)):
            with styled(theme):
                figure = self.draw(theme)
                figure.savefig(path, dpi=DPI, metadata={"Software": None})
                if theme is LIGHT:
                    write_atomic(svg, adaptive_svg(figure))
        rows = [{key: _rounded(value) for key, value in row.items()} for row in self.rows]
        write_csv(table, list(self.rows[0]) if self.rows else [], rows)
        return [light, dark, svg, table]


def _rounded(value):
    """A fraction to seven digits, which leaves out what summing in another order changes."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


@dataclasses.dataclass(frozen=True)
class Point:
    """Mean and range of a metric over seeds.

    Attributes:
        x: where it is drawn.
        mean, low, high: of the values.
        count: number of values.
    """

    x: float
    mean: float
    low: float
    high: float
    count: int


def point(x: float, values: Sequence[float]) -> Point:
    """Mean and range of values at one x."""
    return Point(x, statistics.fmean(values), min(values), max(values), len(values))


def mean_curve(curves: Sequence[Mapping[float, float]]) -> list[Point]:
    """Mean and range at every x that all curves have."""
    shared = sorted(set.intersection(*map(set, curves))) if curves else []
    return [point(x, [curve[x] for curve in curves]) for x in shared]


def draw_curve(axes, points: Sequence[Point], label: str, style: Mapping) -> None:
    """Draws means as a line with some eight markers, and ranges as a band."""
    x = [each.x for each in points]
    if any(each.low < each.high for each in points):
        band = [each.low for each in points], [each.high for each in points]
        axes.fill_between(x, *band, color=style["color"], alpha=0.18, linewidth=0)
    every = max(1, math.ceil(len(x) / 8))
    first = (len(x) - 1) % every if x else 0  # so that the last point has a marker
    axes.plot(x, [each.mean for each in points], label=label, markevery=(first, every), **style)
