"""The panels of a recording's picture: sound, probabilities and events."""

from collections.abc import Sequence

import numpy as np

from panns_tf.inference.overview import Overview
from panns_tf.plots.class_rows import NAME_SIZE
from panns_tf.plots.style import Theme

#: Inches: width of a panel, height of a class, from a panel to the end of the numbers.
PLOT, ROW, _NUMBER = 7.0, 0.19, 0.42
#: Ticks of the spectrogram in Hz, and the fewest mel bins between two.
_HERTZ, _BINS_APART = (100, 200, 500, 1000, 2000, 5000, 10000), 6
#: The colours span so many decibels, at least and at most, up to the loudest, which is at least
#: this: silence stays dark.
_DECIBELS, _LOUDEST = (30, 80), -60
#: Columns of probabilities, fewer than there are pixels.
_MOST_COLUMNS = 1000


def _heading(axes, text: str, theme: Theme, side: str = "left") -> None:
    """Writes above a panel, or above the numbers to its right."""
    right = side == "right"
    axes.annotate(
        text,
        (1 if right else 0, 1),
        xytext=(_NUMBER * 72 if right else 0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha=side,
        fontsize=NAME_SIZE if right else NAME_SIZE + 0.5,
        color=theme.muted if right else theme.text,
        gid="heading",
    )


def draw_sound(axes, overview: Overview, theme: Theme) -> None:
    columns, seconds = overview.spectrogram()
    _heading(axes, "sound, frequency in kHz", theme)
    axes.set_ylim(0, len(overview.frequencies))
    if len(columns):
        high = max(float(np.percentile(columns, 99.5)), _LOUDEST)
        low = np.clip(np.percentile(columns, 2), high - _DECIBELS[1], high - _DECIBELS[0])
        _image(axes, columns.T, seconds, vmin=low, vmax=high, cmap="magma", origin="lower")
    else:
        _remark(axes, "without its sound", theme)
    ticks = _frequency_ticks(overview.frequencies)
    axes.set_yticks(list(ticks.values()), [f"{hz / 1000:g}" for hz in ticks])


def _frequency_ticks(middles: np.ndarray) -> dict[int, float]:
    """Where round frequencies are among mel bins, from above, none too close to another."""
    ticks: dict[int, float] = {}
    for hz in reversed(_HERTZ):
        place = float(np.interp(hz, middles, np.arange(len(middles)) + 0.5))
        known = middles[0] <= hz <= middles[-1]
        if known and all(other - place >= _BINS_APART for other in ticks.values()):
            ticks[hz] = place
    return ticks


def draw_classes(axes, scores: np.ndarray, seconds: float, theme: Theme) -> None:
    """Probabilities (columns, classes) as shades, a row for each class."""
    from matplotlib.colors import LinearSegmentedColormap

    _heading(axes, "probability", theme)
    factor = -(-len(scores) // _MOST_COLUMNS)
    scores = np.maximum.reduceat(scores, np.arange(0, len(scores), factor), axis=0)
    shades = LinearSegmentedColormap.from_list("", [theme.background, theme.series[0]])
    look = {"vmin": 0, "vmax": 1, "cmap": shades}
    _image(axes, scores.T, seconds * factor, **look)
    for row in range(1, scores.shape[1]):
        axes.axhline(row, color=theme.grid, lw=0.5)
    # What the shades mean, in the line of the heading.
    high, start, long = 0.09 / (ROW * scores.shape[1]), 0.95 / PLOT, 0.9 / PLOT
    key = axes.inset_axes((start, 1 + 0.55 * high, long, high))
    key.imshow(np.linspace(0, 1, 64)[None], aspect="auto", **look)
    key.set_axis_off()
    for place, text, side in ((start, "0", "right"), (start + long, "1", "left")):
        aside = -0.05 / PLOT if side == "right" else 0.05 / PLOT
        axes.text(
            place + aside,
            1 + 1.05 * high,
            text,
            ha=side,
            va="center_baseline",
            size=NAME_SIZE - 0.5,
            color=theme.muted,
            transform=axes.transAxes,
            gid="key",
        )


def draw_events(axes, rows, left_out: int, threshold: float | None, theme: Theme) -> None:
    more = f", of {len(rows)} of {len(rows) + left_out} classes" if left_out else ""
    _heading(axes, f"events{more}", theme)
    if not rows:
        above = "" if threshold is None else f" above {threshold:g}"
        _remark(axes, f"no events{above}", theme)
        return
    name_rows(
        axes,
        [label for label, _ in rows],
        [max(event.score for event in group) for _, group in rows],
        theme,
    )
    for row, (_, group) in enumerate(rows):
        if row:
            axes.axhline(row, color=theme.grid, lw=0.5)
        colour = theme.series[row % len(theme.series)]
        spans = [(event.onset, event.offset - event.onset) for event in group]
        # The edge keeps an event in sight that is shorter than a pixel.
        axes.broken_barh(spans, (row + 0.2, 0.6), facecolor=colour, edgecolor=colour, lw=0.6)


def name_rows(axes, names: Sequence[str], peaks: Sequence[float], theme: Theme) -> None:
    """Writes names to the left of rows and numbers to their right."""
    axes.set_ylim(len(names), 0)
    axes.set_yticks([])
    look = {"va": "center_baseline", "fontsize": NAME_SIZE, "transform": axes.get_yaxis_transform()}
    for row, (name, peak) in enumerate(zip(names, peaks, strict=True)):
        axes.text(
            -0.08 / PLOT,
            row + 0.5,
            name,
            ha="right",
            color=theme.text,
            gid="label",
            parse_math=False,
            **look,
        )
        axes.text(
            1 + _NUMBER / PLOT,
            row + 0.5,
            f"{peak:.2f}",
            ha="right",
            color=theme.muted,
            gid="peak",
            **look,
        )
    _heading(axes, "peak", theme, "right")


def _image(axes, values: np.ndarray, seconds: float, **look) -> None:
    """Draws (rows, columns) of so many seconds a column."""
    rows, columns = values.shape
    ends = (0, rows) if look.get("origin") == "lower" else (rows, 0)
    extent = (0, columns * seconds, *ends)
    axes.imshow(values, aspect="auto", interpolation="nearest", extent=extent, **look)


def _remark(axes, text: str, theme: Theme) -> None:
    axes.set_yticks([])
    axes.text(
        0.5,
        0.5,
        text,
        ha="center",
        va="center_baseline",
        color=theme.muted,
        transform=axes.transAxes,
        gid="remark",
    )
