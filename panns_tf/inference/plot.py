"""Pictures of recordings: log-mel spectrogram, the top classes over time, and events."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from panns_tf.config import Frontend
from panns_tf.inference.results import Event
from panns_tf.layers.log_mel import SMALLEST_POWER, analysis_window, mel_matrix
from panns_tf.style import DARK, DPI, LIGHT, SMALL_SIZE, Theme, styled
from tfrecords.files import write_atomic

#: Columns of a picture at most; in each is the highest value of its frames.
MOST_COLUMNS = 2000
# Hz of ticks, and the fewest mel bins between two.
_HERTZ, _BINS_APART = (10000, 5000, 2000, 1000, 500, 200, 100), 6
# The colours span so many decibels, at most, up to the loudest, which is at least this.
_DECIBELS, _LOUDEST = 80, -60
# Inches: width, height of the spectrogram, and of a class.
_WIDTH, _HEIGHT, _ROW = 8.5, 1.8, 0.19
_MOST_CLASSES, _LONGEST_NAME = 20, 64
# Styles are matplotlib's global state for as long as a figure is drawn.
_LOCK = threading.Lock()


def picture_frontend(sample_rate: int) -> Frontend:
    """The front end of pictures: 64 mel bins, windows of 32 ms every 10 ms, as in the paper."""
    high = min(14000.0, sample_rate / 2)
    return Frontend(
        sample_rate, round(0.032 * sample_rate), round(0.01 * sample_rate), 64, 50.0, high
    )


class Spectrogram:
    """The log-mel spectrogram of a recording, computed block by block; 92 MB an hour.

    Args:
        sample_rate: Hz.

    Attributes:
        frontend: of it.
        samples: fed so far.
    """

    def __init__(self, sample_rate: int):
        self.frontend = picture_frontend(sample_rate)
        self._window = analysis_window(self.frontend).astype(np.float32)
        self._mel = mel_matrix(self.frontend).astype(np.float32)
        self._power: list[np.ndarray] = []
        # The first frame is centred in the first hop.
        self._rest = np.zeros((self.frontend.window_size - self.frontend.hop_size) // 2, np.float32)
        self.samples = 0

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples, (n,) in [-1, 1]."""
        self.samples += len(samples)
        self._rest = np.concatenate([self._rest, samples])
        if len(self._rest) >= self.frontend.window_size:
            power = self._mel_power(self._rest)
            self._power.append(power)
            self._rest = self._rest[len(power) * self.frontend.hop_size :]

    def _mel_power(self, samples: np.ndarray) -> np.ndarray:
        """Power (frames, mel_bins) of the frames that are whole."""
        size, hop = self.frontend.window_size, self.frontend.hop_size
        frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        parts = []
        for start in range(0, len(frames), 1000):
            spectrum = np.fft.rfft(frames[start : start + 1000] * self._window)
            parts.append((abs(spectrum) ** 2).astype(np.float32) @ self._mel)
        return np.concatenate(parts)

    def columns(self) -> tuple[np.ndarray, float]:
        """Returns decibels (columns, mel_bins) of all samples, and the seconds of a column."""
        hop = self.frontend.hop_size
        last = self._mel_power(np.pad(self._rest, (0, self.frontend.window_size)))
        power = np.concatenate([*self._power, last])[: -(-self.samples // hop)]
        power, factor = reduced(power)
        decibels = 10 * np.log10(np.maximum(power, SMALLEST_POWER))
        return decibels, factor * hop / self.frontend.sample_rate


def reduced(rows: np.ndarray, most: int = MOST_COLUMNS) -> tuple[np.ndarray, int]:
    """Rows (n, ...) as ``most`` at most, each the maximum of as many; and of how many."""
    factor = max(1, -(-len(rows) // most))
    return np.maximum.reduceat(rows, np.arange(0, len(rows), factor), axis=0), factor


def draw_recording(
    target: str | Path | BinaryIO,
    spectrogram: Spectrogram,
    scores: np.ndarray,
    step_seconds: float,
    events: Sequence[Event],
    labels: Sequence[str],
    *,
    top: int = 10,
    title: str = "",
    dark: bool = False,
    threshold: float | None = None,
) -> None:
    """Writes the picture of a recording as PNG.

    Three panels share a time axis: the spectrogram; the classes with the highest probabilities,
    with their peaks; and the events, a row for each class. Of more than 20 classes with events,
    the 20 of the highest scores are drawn.

    Args:
        target: path or binary file.
        spectrogram: to which the recording was fed.
        scores: (steps, classes) probabilities.
        step_seconds: from one step to the next.
        events: to be drawn.
        labels: of all classes.
        top: classes shown over time.
        title: above everything, such as the name of the recording.
        dark: light on dark.
        threshold: which no event reaches, stated where there is none.

    Raises:
        ValueError: if there is nothing to draw.
        OSError: if the path cannot be written.
    """
    if not spectrogram.samples or not len(scores):
        raise ValueError("nothing to draw: the recording is empty")
    theme, content = DARK if dark else LIGHT, io.BytesIO()
    with _LOCK, styled(theme):
        figure = _figure(
            spectrogram, scores, step_seconds, events, labels, top, title, threshold, theme
        )
        # Without the version of matplotlib, so that files are the same every time.
        figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    if isinstance(target, str | Path):
        write_atomic(target, content.getvalue())
    else:
        target.write(content.getvalue())


def _figure(spectrogram, scores, step_seconds, events, labels, top, title, threshold, theme):
    from matplotlib.figure import Figure

    seconds = spectrogram.samples / spectrogram.frontend.sample_rate
    peaks = scores.max(axis=0)
    best = np.argsort(-peaks, kind="stable")[:top]
    rows = _event_rows(events)
    shown = rows[:_MOST_CLASSES]
    heights = [_HEIGHT, _ROW * len(best), _ROW * max(1, len(shown))]
    figure = Figure((_WIDTH, sum(heights) + 1.5), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    if title:
        title = _plain(title)
        title = title if len(title) < 100 else f"…{title[-99:]}"
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=SMALL_SIZE + 2)
    for axes in panels:
        axes.grid(False)
    decibels, column_seconds = spectrogram.columns()
    draw_log_mel(panels[0], decibels, column_seconds, spectrogram.frontend)
    _draw_classes(panels[1], scores[:, best], step_seconds, theme)
    _name_rows(panels[1], [labels[index] for index in best], peaks[best], theme)
    panels[1].set_title("probability", size=SMALL_SIZE, weight="normal")
    left_out = f", {len(shown)} of {len(rows)} classes" if len(rows) > len(shown) else ""
    panels[2].set_title(f"events{left_out}", size=SMALL_SIZE, weight="normal")
    _draw_events(panels[2], shown, threshold, theme)
    panels[2].set_xlim(0, seconds)
    _set_time_axis(panels[2].xaxis, seconds)
    return figure


def draw_log_mel(axes, decibels: np.ndarray, column_seconds: float, frontend: Frontend) -> None:
    """Draws a log-mel spectrogram (columns, mel_bins) with its frequencies in kHz."""
    high = max(float(np.percentile(decibels, 99.5)), _LOUDEST)
    low = max(float(np.percentile(decibels, 2)), high - _DECIBELS)
    extent = (0, len(decibels) * column_seconds, 0, decibels.shape[1])
    look = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "cmap": "magma"}
    axes.imshow(decibels.T, extent=extent, vmin=min(low, high - 30), vmax=high, **look)
    axes.set_title("log-mel spectrogram, kHz", size=SMALL_SIZE, weight="normal")
    mel = mel_matrix(frontend)
    hertz = np.arange(len(mel)) * frontend.sample_rate / frontend.window_size
    middles = (hertz @ mel) / np.maximum(mel.sum(axis=0), 1e-30)
    ticks: dict[int, float] = {}
    for frequency in _HERTZ:
        place = float(np.interp(frequency, middles, np.arange(len(middles)) + 0.5))
        inside = middles[0] <= frequency <= middles[-1]
        if inside and all(abs(other - place) >= _BINS_APART for other in ticks.values()):
            ticks[frequency] = place
    axes.set_yticks(list(ticks.values()), [f"{frequency / 1000:g}" for frequency in ticks])


def _draw_classes(axes, scores: np.ndarray, step_seconds: float, theme: Theme) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    columns, factor = reduced(scores)
    shades = LinearSegmentedColormap.from_list("", [theme.background, theme.series[0]])
    extent = (0, len(columns) * factor * step_seconds, scores.shape[1], 0)
    look = {"aspect": "auto", "interpolation": "nearest", "vmin": 0, "vmax": 1}
    axes.imshow(columns.T, extent=extent, cmap=shades, **look)


def _draw_events(axes, rows, threshold: float | None, theme: Theme) -> None:
    if not rows:
        above = "" if threshold is None else f" above {threshold:g}"
        look = {"ha": "center", "va": "center", "color": theme.muted, "transform": axes.transAxes}
        axes.text(0.5, 0.5, f"no events{above}", **look)
        axes.set_yticks([])
        return
    for row, (_, group) in enumerate(rows):
        colour = theme.series[row % len(theme.series)]
        spans = [(event.onset, event.offset - event.onset) for event in group]
        # The edge keeps an event visible that is shorter than a pixel.
        axes.broken_barh(spans, (row + 0.2, 0.6), facecolor=colour, edgecolor=colour, lw=0.6)
    peaks = [max(event.score for event in group) for _, group in rows]
    _name_rows(axes, [label for label, _ in rows], peaks, theme)


def _name_rows(axes, names: Sequence[str], peaks: Sequence[float], theme: Theme) -> None:
    """Writes names to the left of rows and their peaks to the right."""
    axes.set_ylim(len(names), 0)
    axes.set_yticks(np.arange(len(names)) + 0.5, [_plain(name) for name in names], size=7.5)
    axes.tick_params(axis="y", length=0)
    right = axes.secondary_yaxis("right")
    right.set_yticks(np.arange(len(names)) + 0.5, [f"{peak:.2f}" for peak in peaks], size=7.5)
    right.tick_params(length=0, colors=theme.muted)
    right.spines["right"].set_visible(False)


def _event_rows(events: Sequence[Event]) -> list[tuple[str, list[Event]]]:
    """The events of each class, the class of the highest score first."""
    by_label: dict[str, list[Event]] = {}
    for event in events:
        by_label.setdefault(event.label, []).append(event)
    return sorted(by_label.items(), key=lambda item: -max(event.score for event in item[1]))


def _set_time_axis(axis, seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

    axis.set_label_text("time, s")
    axis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
    if seconds >= 120:
        steps = (20, 60, 120, 300, 600, 1200, 3600, 7200, 21600)
        axis.set_major_locator(
            MultipleLocator(next((step for step in steps if seconds <= 9 * step), seconds / 8))
        )
        unit, label = (60, "time, h:min") if seconds >= 3600 else (1, "time, min:s")
        axis.set_label_text(label)
        axis.set_major_formatter(
            FuncFormatter(lambda at, _: "{}:{:02}".format(*divmod(round(at / unit), 60)))
        )


def _plain(text: str) -> str:
    """Text in one line, not too long, without what no font has and no SVG may hold."""
    line = " ".join(str(text).split())
    line = "".join(letter if letter.isprintable() else "�" for letter in line)
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"
