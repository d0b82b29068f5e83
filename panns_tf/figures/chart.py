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
    """What a figure shows; ``draw`` makes a ``matplotlib.figure.Figure`` of a theme.

    ``rows`` are the numbers drawn, of the same keys; a summary prints ``printed``, or all.
    """

    name: str
    rows: list[dict]
    draw: Callable[[Theme], object]
    notes: Sequence[str] = ()
    printed: Sequence[dict] = ()

    def summary(self) -> str:
        rows = self.printed or self.rows
        return text_table([list(rows[0]), *(list(row.values()) for row in rows)], most=40)

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
        write_csv(table, list(self.rows[0]), rows)
        return [light, dark, svg, table]


def _rounded(value):
    """A fraction to seven digits, which leaves out what summing in another order changes."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def mean_range(values: Sequence[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "low": min(values), "high": max(values)}


def grid_of_panels(count: int, width: float, height: float, legend: float = 0.0) -> tuple:
    """A figure and the axes of its panels, two side by side; sizes in inches."""
    from matplotlib.figure import Figure

    columns = min(2, count)
    lines = math.ceil(count / columns)
    figure = Figure((columns * width, lines * height + legend), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def draw_curve(axes, x: Sequence[float], rows: Sequence[Mapping], label: str, style: dict) -> None:
    """Draws the rows' means as a line with some eight markers, and their ranges as a band."""
    low, high = ([row[end] for row in rows] for end in ("low", "high"))
    if low != high:
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    every = max(1, math.ceil(len(x) / 8))
    first = (len(x) - 1) % every  # so that the last point has a marker
    axes.plot(x, [row["mean"] for row in rows], label=label, markevery=(first, every), **style)
