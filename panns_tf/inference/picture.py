"""A recording as a picture: its spectrogram, its top classes over time and its events."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from panns_tf.inference.overview import Overview
from panns_tf.inference.results import Event
from panns_tf.inference.time_axis import time_ticks
from panns_tf.plots.chart import DPI
from panns_tf.plots.class_rows import NAME_SIZE, shown
from panns_tf.plots.style import DARK, LIGHT, TEXT_SIZE, Theme, styled, text_width

#: What leaves out the hour and the version, so that files are the same every time.
_METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
#: Inches.
_PLOT, _RIGHT, _SOUND, _ROW, _HEAD, _FOOT = 7.0, 0.5, 1.6, 0.19, 0.3, 0.52
_TITLE, _NUMBER = 0.27, 0.42
#: Classes whose events are drawn; columns of probabilities, fewer than pixels.
_MOST_ROWS, _MOST_COLUMNS = 20, 1000
#: Ticks of the spectrogram, Hz; decibels that its colours cover, and the least for the loudest.
_HERTZ, _DECIBELS, _LOUDEST = (100, 200, 500, 1000, 2000, 5000, 10000), (30, 80), -60
#: Styles are matplotlib's global state for as long as a figure is drawn.
_LOCK = threading.Lock()


def draw(
    overview: Overview,
    events: Sequence[Event],
    labels: Sequence[str],
    target: str | Path | BinaryIO,
    top: int = 10,
    title: str = "",
    dark: bool = False,
    *,
    threshold: float | None = None,
    kind: str | None = None,
) -> None:
    """Writes the picture of a recording.

    Three panels share a time axis: the spectrogram; the classes with the highest probabilities,
    with their peaks; and the events, a row for each class, with their highest score. Of more
    than 20 classes with events, the 20 of the highest scores are drawn.

    Args:
        overview: to which the recording was fed, with its probabilities or without.
        events: to be drawn.
        labels: of all classes.
        target: path that ends in ``.png``, ``.svg`` or ``.pdf``, or a binary file.
        top: classes shown over time.
        title: above everything, such as the name of the recording.
        dark: light on dark.
        threshold: which no event reaches, said where there is none.
        kind: ``"png"``, ``"svg"`` or ``"pdf"``; None for what the path ends in, or PNG for a file.

    Raises:
        ValueError: if the format is unknown, or there is nothing to draw.
        OSError: if the path cannot be written.
    """
    is_path = isinstance(target, str | Path)
    kind = kind or (Path(target).suffix.lstrip(".").lower() if is_path else "png")
    if kind not in _METADATA:
        raise ValueError(
            f"no pictures of kind {kind!r} ({target}); expected .{', .'.join(_METADATA)}"
        )
    theme, content = DARK if dark else LIGHT, io.BytesIO()
    with _LOCK, styled(theme):
        figure = figure_of(overview, events, labels, top, title, theme, threshold)
        figure.savefig(content, format=kind, dpi=DPI, metadata=_METADATA[kind])
    if is_path:
        Path(target).write_bytes(content.getvalue())
    else:
        target.write(content.getvalue())


def figure_of(
    overview: Overview,
    events: Sequence[Event],
    labels: Sequence[str],
    top: int = 10,
    title: str = "",
    theme: Theme = LIGHT,
    threshold: float | None = None,
):
    """Returns the ``matplotlib.figure.Figure`` that `draw` writes; call it within `styled`."""
    from matplotlib.figure import Figure

    scores, score_seconds = overview.probabilities()
    if scores.shape[1] != len(labels):
        raise ValueError(f"{len(labels)} labels for {scores.shape[1]} classes; expected as many")
    if not overview.seconds > 0:
        raise ValueError("nothing to draw: the recording is empty")
    peaks = scores.max(axis=0, initial=0)
    best = np.argsort(-peaks, kind="stable")[: max(0, top)] if len(scores) else np.array([], int)
    rows, left_out = _event_rows(events)
    names = [shown(_plain(labels[number])) for number in best] + [label for label, _ in rows]
    left = max([0.55, *(text_width(name, NAME_SIZE) * 1.03 + 0.2 for name in names)])
    title = _plain(title)

    heights = [_SOUND, _ROW * len(best), _ROW * max(1, len(rows))]
    width = left + _PLOT + _RIGHT
    height = sum(heights) + _HEAD * sum(h > 0 for h in heights) + _FOOT + (_TITLE if title else 0)
    figure = Figure((width, height))
    at = height
    if title:
        title = _cut(title, TEXT_SIZE + 1, _PLOT + left - 0.3)
        figure.text(
            0.12 / width,
            1 - 0.14 / height,
            title,
            size=TEXT_SIZE + 1,
            weight="bold",
            va="top",
            gid="title",
            parse_math=False,
        )
        at -= _TITLE
    panels = []
    for inches in heights:
        if inches:
            at -= _HEAD + inches
            box = (left / width, at / height, _PLOT / width, inches / height)
            axes = figure.add_axes(box)
            axes.grid(False)
            axes.tick_params(length=3, width=0.8)
            panels.append(axes)
    _sound(panels[0], overview, theme)
    if len(best):
        _classes(panels[1], scores[:, best], score_seconds, theme)
        _rows(panels[1], names[: len(best)], peaks[best], theme)
    _events(panels[-1], rows, left_out, threshold, theme)
    places, texts, said = time_ticks(overview.seconds)
    for axes in panels:
        axes.set_xlim(0, overview.seconds)
        axes.set_xticks(places, texts if axes is panels[-1] else [])
    panels[-1].set_xlabel(said)
    return figure


def _event_rows(events: Sequence[Event]) -> tuple[list[tuple[str, list[Event]]], int]:
    """The events by class, by their first onset; and how many classes are left out."""
    by_label: dict[str, list[Event]] = {}
    for event in events:
        by_label.setdefault(event.label, []).append(event)
    found = sorted(by_label.values(), key=lambda group: -max(event.score for event in group))
    kept = sorted(found[:_MOST_ROWS], key=lambda group: min(event.onset for event in group))
    return [(shown(_plain(group[0].label)), group) for group in kept], len(found) - len(kept)


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


def _sound(axes, overview: Overview, theme: Theme) -> None:
    columns, seconds = overview.spectrogram()
    _heading(axes, "sound, frequency in kHz", theme)
    axes.set_ylim(0, len(overview.frequencies))
    if len(columns):
        high = max(float(np.percentile(columns, 99.5)), _LOUDEST)
        low = np.clip(np.percentile(columns, 2), high - _DECIBELS[1], high - _DECIBELS[0])
        _image(axes, columns.T, seconds, vmin=low, vmax=high, cmap="magma", origin="lower")
    else:
        _remark(axes, "without its sound", theme)
    middles = overview.frequencies
    least = max(middles[0], middles[-1] / 30)  # those below would be too close together
    hertz = [hz for hz in _HERTZ if least <= hz <= middles[-1]]
    places = np.interp(hertz, middles, np.arange(len(middles)) + 0.5)
    axes.set_yticks(places, [f"{hz / 1000:g}" for hz in hertz])


def _classes(axes, scores: np.ndarray, seconds: float, theme: Theme) -> None:
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
    high, start, long = 0.09 / (_ROW * scores.shape[1]), 0.95 / _PLOT, 0.9 / _PLOT
    key = axes.inset_axes((start, 1 + 0.55 * high, long, high))
    key.imshow(np.linspace(0, 1, 64)[None], aspect="auto", **look)
    key.set_axis_off()
    for place, text, side in ((start, "0", "right"), (start + long, "1", "left")):
        aside = -0.05 / _PLOT if side == "right" else 0.05 / _PLOT
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


def _events(axes, rows, left_out: int, threshold: float | None, theme: Theme) -> None:
    more = f", of {len(rows)} of {len(rows) + left_out} classes" if left_out else ""
    _heading(axes, f"events{more}", theme)
    if not rows:
        above = "" if threshold is None else f" above {threshold:g}"
        _remark(axes, f"no events{above}", theme)
        return
    _rows(
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


def _rows(axes, names: Sequence[str], peaks: Sequence[float], theme: Theme) -> None:
    """Writes names to the left of rows and numbers to their right."""
    axes.set_ylim(len(names), 0)
    axes.set_yticks([])
    look = {"va": "center_baseline", "fontsize": NAME_SIZE, "transform": axes.get_yaxis_transform()}
    for row, (name, peak) in enumerate(zip(names, peaks, strict=True)):
        axes.text(
            -0.08 / _PLOT,
            row + 0.5,
            name,
            ha="right",
            color=theme.text,
            gid="label",
            parse_math=False,
            **look,
        )
        axes.text(
            1 + _NUMBER / _PLOT,
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


def _plain(text: str) -> str:
    """Text in one line, without what no font has and no SVG may hold."""
    line = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else "�" for letter in line)


def _cut(text: str, size: float, inches: float) -> str:
    """Leaves out the beginning of what is too long: the end of a path says more."""
    while text_width(text, size, bold=True) > inches:
        text = f"…{text[2:]}"
    return text
