"""Draws classes as rows of text, marks and bars, in as many columns as they need."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from panns_tf.plots.style import MARKS, Theme, text_width

if TYPE_CHECKING:
    from panns_tf.plots.classes import ClassRow, ClassTable

#: Inches: of a row, and of the plots beside the names.
ROW, AP_WIDTH, CLIPS_WIDTH, QUALITY_WIDTH = 0.165, 2.5, 0.95, 0.7
TOP, BOTTOM, BETWEEN, GUTTER, LEGEND = 0.12, 0.44, 0.2, 0.35, 0.3
#: Rows of a single column; 527 classes make three, in a sheet of paper's proportions.
TALLEST, NAME_SIZE = 60, 7.5
#: Letters of a class's name that are drawn; AudioSet's longest has 59.
LONGEST_NAME = 64


def columns_of(count: int) -> int:
    """How many columns so many classes need."""
    return 1 if count <= TALLEST else max(2, round(math.sqrt(count / 58)))


def draw_classes(table: "ClassTable", rows: Sequence["ClassRow"], gap: int | None, theme: Theme):
    """Returns a figure of classes from top to bottom.

    Args:
        table: whose systems are drawn.
        rows: the classes, in order.
        gap: before which row some classes were left out; None if none were.
        theme: the colours.
    """
    from matplotlib.figure import Figure

    parts = [("ap", AP_WIDTH)]
    if any(row.training_clips is not None for row in rows):
        parts.insert(0, ("clips", CLIPS_WIDTH))
    if any(row.label_quality is not None for row in rows):
        parts.append(("quality", QUALITY_WIDTH))
    lines = list(rows) if gap is None else [*rows[:gap], None, *rows[gap:]]
    tall = math.ceil(len(lines) / columns_of(len(lines)))
    columns = [lines[i : i + tall] for i in range(0, len(lines), tall)]
    names = [_names_width(column) for column in columns]
    plots = sum(inches for _, inches in parts) + BETWEEN * (len(parts) - 1)
    entries = _legend_widths(table)
    width = sum(names) + len(columns) * plots + (len(columns) - 1) * GUTTER + 0.25
    width = max(width, max(entries) + 0.4)
    per_line = max(1, min(len(entries), int((width - 0.2) // max(entries))))
    legend = LEGEND * 0.7 * math.ceil(len(entries) / per_line) + 0.15
    height = TOP + tall * ROW + BOTTOM + legend
    figure = Figure((width, height))
    left = 0.1
    for column, name_width in zip(columns, names, strict=True):
        left += name_width
        for i, (kind, inches) in enumerate(parts):
            shown = len(column) * ROW
            box = (left / width, (height - TOP - shown) / height, inches / width, shown / height)
            axes = figure.add_axes(box)
            axes.set_ylim(len(column) - 0.5, -0.5)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="x", length=3, width=0.8, labelsize=7)
            axes.set_yticks([])
            if i == 0:
                _names(axes, column, inches, theme)
            known = [(row, float(y)) for y, row in enumerate(column) if row]
            part, places = [row for row, _ in known], [y for _, y in known]
            _PARTS[kind](axes, part, places, table, theme, rows)
            left += inches + BETWEEN
        left += GUTTER - BETWEEN
    _legend(figure, table, theme, per_line)
    return figure


def shown(label: str) -> str:
    """A label as it is drawn: a very long one is cut, or it would push the figure away."""
    return label if len(label) <= LONGEST_NAME else f"{label[: LONGEST_NAME - 1]}…"


def _names_width(column: Sequence["ClassRow | None"]) -> float:
    widest = max((text_width(shown(row.label), NAME_SIZE) for row in column if row), default=0.0)
    return widest * 1.03 + 0.12


def _names(axes, column, inches: float, theme: Theme) -> None:
    """Writes the classes beside their rows, and dots where some were left out."""
    to_places = axes.get_yaxis_transform()
    for place, row in enumerate(column):
        axes.text(
            -0.08 / inches,
            place,
            shown(row.label) if row else "…",
            ha="right",
            va="center_baseline",
            fontsize=NAME_SIZE,
            color=theme.text if row else theme.muted,
            transform=to_places,
            gid="label",
        )


def _segments(pieces: Sequence[tuple[float, float, float]]) -> tuple[list[float], list[float]]:
    """Horizontal pieces (from, to, y) as one broken line, which keeps an SVG small."""
    x, y = [], []
    for start, stop, place in pieces:
        x += [start, stop, math.nan]
        y += [place, place, math.nan]
    return x, y


def _guides(axes, places, theme: Theme) -> None:
    low, high = axes.get_xlim()
    axes.plot(*_segments([(low, high, y) for y in places]), color=theme.grid, lw=0.6, zorder=0.5)


def _clips(axes, part, places, table, theme: Theme, rows) -> None:
    most = max((row.training_clips or 1 for row in rows), default=1)
    axes.set_xscale("log")
    least = 0.8  # so that a single clip has a bar
    axes.set_xlim(least, 1.6 * max(most, 10))
    pairs = list(zip(part, places, strict=True))
    bars = [(least, float(row.training_clips), y) for row, y in pairs if row.training_clips]
    thick = 0.62 * ROW * 72
    axes.plot(*_segments(bars), color=theme.bar, lw=thick, solid_capstyle="butt")
    for row, place in pairs:
        if not row.training_clips:
            said = "unknown" if row.training_clips is None else "none"
            axes.text(1.2, place, said, color=theme.muted, **_SAID)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("training clips", fontsize=8)
    axes.xaxis.set_minor_locator(_no_ticks())
    decades = int(math.log10(axes.get_xlim()[1]))
    ticks = [10.0**e for e in range(0, decades + 1, 1 if decades <= 3 else 2)]
    axes.set_xticks(ticks, [_power(tick) for tick in ticks])


_SAID = {"fontsize": 6.5, "va": "center_baseline", "style": "italic"}


def _power(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _no_ticks():
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _ap(axes, part, places, table: "ClassTable", theme: Theme, rows) -> None:
    axes.set_xlim(0, 1)
    _guides(axes, places, theme)
    count = len(table.systems)
    # Side by side in their row, so that intervals do not cover each other.
    spread = 0.0 if count == 1 else min(0.6, 0.3 * (count - 1))
    size = 4.2 if count <= 2 else 3.4
    for i in range(count):
        style = {"color": theme.series[i % len(theme.series)], "marker": MARKS[i % len(MARKS)]}
        aside = 0.0 if count == 1 else spread * (i / (count - 1) - 0.5)
        known = [(row.systems[i], y + aside) for row, y in zip(part, places, strict=True)]
        known = [(value, y) for value, y in known if value]
        if table.interval:
            pieces = [(value.low, value.high, y) for value, y in known]
            axes.plot(*_segments(pieces), color=style["color"], lw=0.9)
        x, y = [value.mean for value, _ in known], [y for _, y in known]
        axes.plot(
            x,
            y,
            ls="none",
            ms=size,
            mew=0.4,
            mec=theme.background,
            clip_on=False,
            zorder=3,
            **style,
        )
    for row, place in zip(part, places, strict=True):
        if all(value is None for value in row.systems):
            axes.text(0.01, place, "undefined", color=theme.muted, **_SAID)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("average precision", fontsize=8)


def _quality(axes, part, places, table, theme: Theme, rows) -> None:
    axes.set_xlim(0, 1)
    _guides(axes, places, theme)
    known = [(row.label_quality, y) for row, y in zip(part, places, strict=True)]
    x = [value for value, _ in known if value is not None]
    y = [y for value, y in known if value is not None]
    axes.plot(x, y, ls="none", marker="|", ms=6, mew=1.6, color=theme.muted, clip_on=False)
    for value, place in known:
        if value is None:
            axes.text(0.03, place, "unrated", color=theme.muted, **_SAID)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("label quality", fontsize=8)


_PARTS = {"clips": _clips, "ap": _ap, "quality": _quality}


def _legend_widths(table: "ClassTable") -> list[float]:
    return [text_width(name, 8) + 0.4 for name in _legend_names(table)]


def _legend_names(table: "ClassTable") -> list[str]:
    return [*table.systems, *([table.interval] if table.interval else [])]


def _legend(figure, table: "ClassTable", theme: Theme, per_line: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            ls="none",
            marker=MARKS[i % len(MARKS)],
            color=theme.series[i % len(theme.series)],
            ms=5,
            label=name,
        )
        for i, name in enumerate(table.systems)
    ]
    if table.interval:
        handles.append(Line2D([], [], color=theme.muted, lw=1, label=table.interval))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=per_line,
        frameon=False,
        fontsize=8,
        handlelength=1.2,
        columnspacing=1.5,
        borderaxespad=0.2,
        handletextpad=0.4,
    )
