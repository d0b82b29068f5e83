"""A recording as a picture: its spectrogram, its top classes over time and its events."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from panns_tf.commands import write_whole
from panns_tf.inference.overview import Overview
from panns_tf.inference.picture_panels import (
    PLOT,
    ROW,
    draw_classes,
    draw_events,
    draw_sound,
    name_rows,
)
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
_SOUND, _RIGHT, _HEAD, _FOOT, _TITLE = 1.6, 0.5, 0.3, 0.52, 0.27
#: Classes whose events are drawn.
_MOST_ROWS = 20
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
        write_whole(Path(target), content.getvalue())
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

    heights = [_SOUND, ROW * len(best), ROW * max(1, len(rows))]
    width = left + PLOT + _RIGHT
    height = sum(heights) + _HEAD * sum(h > 0 for h in heights) + _FOOT + (_TITLE if title else 0)
    figure = Figure((width, height))
    at = height
    if title:
        at -= _TITLE
        look = {"size": TEXT_SIZE + 1, "weight": "bold", "va": "top", "gid": "title"}
        title = _cut(title, TEXT_SIZE + 1, PLOT + left - 0.3)
        figure.text(0.12 / width, 1 - 0.14 / height, title, parse_math=False, **look)
    panels = []
    for inches in heights:
        if inches:
            at -= _HEAD + inches
            box = (left / width, at / height, PLOT / width, inches / height)
            axes = figure.add_axes(box)
            axes.grid(False)
            axes.tick_params(length=3, width=0.8)
            panels.append(axes)
    draw_sound(panels[0], overview, theme)
    if len(best):
        draw_classes(panels[1], scores[:, best], score_seconds, theme)
        name_rows(panels[1], names[: len(best)], peaks[best], theme)
    draw_events(panels[-1], rows, left_out, threshold, theme)
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


def _plain(text: str) -> str:
    """Text in one line, without what no font has and no SVG may hold."""
    line = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else "�" for letter in line)


def _cut(text: str, size: float, inches: float) -> str:
    """Leaves out the beginning of what is too long: the end of a path says more."""
    text = text if len(text) < 500 else f"…{text[-500:]}"
    while text_width(text, size, bold=True) > inches:
        text = f"…{text[2:]}"
    return text
