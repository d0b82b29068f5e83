"""Panels of lines, each line labelled at its end."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from panns_tf.plots.lines import Line
from panns_tf.plots.style import SMALL_SIZE, Theme, series_style, text_width

#: Inches.
PLOT_WIDTH, PLOT_HEIGHT = 2.9, 2.15
LEFT, BOTTOM, TOP, GAP = 0.6, 0.55, 0.36, 0.15
LEADER, SAMPLE, PAD, FOOT = 0.24, 0.3, 0.05, 0.25
LINE_HEIGHT = 1.42 * SMALL_SIZE / 72


@dataclasses.dataclass(frozen=True)
class Panel:
    """Lines that share axes.

    Attributes:
        title: above it.
        lines: in the order of their styles.
        x_label, y_label: of the axes.
        styles: number of each line's style; by default 0, 1, 2 ...
        prepare: last touches to the axes, such as another scale; called before the labels.
    """

    title: str
    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    styles: tuple[int, ...] = ()
    prepare: Callable | None = None


def draw_panels(panels: Sequence[Panel], theme: Theme, footnote: str = ""):
    """Returns a figure of panels, two in a row as they fit a page."""
    from matplotlib.figure import Figure

    columns = min(len(panels), 2)
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    labels = [
        max(_label_width(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))
    ]
    widths = [LEFT + PLOT_WIDTH + label + GAP for label in labels]
    heights = [max(PLOT_HEIGHT, *(_label_height(panel) for panel in row)) for row in rows]
    width, height = sum(widths), sum(heights) + len(rows) * (BOTTOM + TOP)
    height += FOOT if footnote else 0
    figure = Figure((width, height))
    top = height
    for row, plot_height in zip(rows, heights, strict=True):
        top -= TOP + plot_height
        left = 0.0
        for panel, cell in zip(row, widths, strict=False):
            box = (
                (left + LEFT) / width,
                top / height,
                PLOT_WIDTH / width,
                plot_height / height,
            )
            _draw(figure.add_axes(box), panel, theme, plot_height)
            left += cell
        top -= BOTTOM
    if footnote:
        figure.text(
            LEFT / width,
            0.08 / height,
            footnote,
            fontsize=SMALL_SIZE,
            color=theme.muted,
            va="bottom",
        )
    return figure


def _label_width(panel: Panel) -> float:
    widest = max((text_width(line.text, SMALL_SIZE) for line in panel.lines), default=0)
    return LEADER + SAMPLE + 2 * PAD + widest * 1.03


def _label_height(panel: Panel) -> float:
    return (len(panel.lines) + 0.5) * LINE_HEIGHT


def _draw(axes, panel: Panel, theme: Theme, height: float) -> None:
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.tick_params(length=3, width=0.8)
    styles = [series_style(index, theme) for index in panel.styles or range(len(panel.lines))]
    for line, style in zip(panel.lines, styles, strict=True):
        _draw_line(axes, line, style, theme)
    axes.margins(x=0.02, y=0.05)
    if panel.prepare:
        panel.prepare(axes)
    axes.autoscale_view()
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    _label(axes, panel.lines, styles, theme, height)


def _draw_line(axes, line: Line, style: dict, theme: Theme) -> None:
    x = [point.x for point in line.points]
    mean = [point.mean for point in line.points]
    every = max(1, math.ceil(len(x) / 8))
    if any(point.low < point.high for point in line.points):
        low, high = [p.low for p in line.points], [p.high for p in line.points]
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    # The last point always has its mark, from which the label's leader starts.
    first = (len(x) - 1) % every if x else 0
    axes.plot(x, mean, **style, markevery=(first, every))
    if line.cut_off and x:
        axes.plot(x[-1:], mean[-1:], color=theme.text, marker="x", ms=6, mew=1.4, zorder=4)
    for place, value in line.ends:
        axes.plot(
            [place],
            [value],
            **{**style, "linestyle": "none"},
            markerfacecolor=theme.background,
            ms=6,
            zorder=4,
        )


def _label(axes, lines: Sequence[Line], styles: Sequence[dict], theme: Theme, height: float):
    """Puts each line's label beside its end, as high as the others leave room for."""
    width = PLOT_WIDTH
    to_axes = axes.transData + axes.transAxes.inverted()
    known = [i for i, line in enumerate(lines) if line.points or line.ends]
    ends = []
    for i in known:
        last = lines[i].points[-1] if lines[i].points else None
        place = (last.x, last.mean) if last else lines[i].ends[-1]
        ends.append(to_axes.transform(place))
    step = LINE_HEIGHT / height
    heights = spread([end[1] for end in ends], step, step / 2, 1 - step / 2)
    start, stop = 1 + LEADER / width, 1 + (LEADER + SAMPLE) / width
    for i, (x, y), at in zip(known, ends, heights, strict=True):
        style, line = styles[i], lines[i]
        shared = {"transform": axes.transAxes, "clip_on": False}
        leader = {"color": style["color"], "lw": 0.6, "ls": ":" if line.cut_off else "-"}
        axes.plot([x, max(x, 1.01), start - 0.01], [y, y, at], **leader, **shared)
        axes.plot([start, (start + stop) / 2, stop], [at] * 3, markevery=[1], **style, **shared)
        axes.text(
            stop + PAD / width,
            at,
            line.text,
            color=style["color"],
            fontsize=SMALL_SIZE,
            va="center_baseline",
            transform=axes.transAxes,
            gid="label",
        )


def spread(wanted: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """Moves places apart, as little as may be, so that neighbours are a step from each other.

    Args:
        wanted: places, in any order.
        step: least distance.
        low, high: all stay between these, if there is room for them.

    Returns:
        The new places, in the order of ``wanted``: least squares under these bounds.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[float]] = []  # sum and number of places that move as one
    for rank, i in enumerate(order):
        blocks.append([wanted[i] - rank * step, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    most = max(low, high - (len(wanted) - 1) * step)
    moved = [min(max(total / count, low), most) for total, count in blocks for _ in range(count)]
    result = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        result[i] = moved[rank] + rank * step
    return result
