"""Pictures of recordings: log-mel spectrogram, the top classes over time, and events."""

import io
import itertools
from collections.abc import Sequence

import numpy as np

from panns_tf.config import Frontend
from panns_tf.inference.events import Event
from panns_tf.layers.log_mel import SMALLEST_POWER, analysis_window, mel_matrix
from panns_tf.style import DARK, DPI, LIGHT, SMALL_SIZE, styled

#: Columns of a picture at most; in each is the highest value of its frames.
MOST_COLUMNS = 2000
# Hz of ticks.
_HERTZ = (10000, 5000, 2000, 1000, 500, 200)
# The colours span so many decibels, at most, up to the loudest, which is at least this.
_DECIBELS, _LOUDEST = 80, -60
# Inches: width, height of the spectrogram, and of a class.
_WIDTH, _HEIGHT, _ROW = 8.5, 1.8, 0.19
_MOST_CLASSES, _LONGEST_NAME = 20, 64


class Spectrogram:
    """The log-mel of a recording, block by block, 92 MB an hour: 64 mel bins, and windows of 32 ms
    every 10 ms, as in the paper.
    """

    def __init__(self, sample_rate: int):
        size, hop = round(0.032 * sample_rate), round(0.01 * sample_rate)
        self.frontend = Frontend(sample_rate, size, hop, 64, 50.0, min(14000.0, sample_rate / 2))
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
        return (abs(np.fft.rfft(frames * self._window)) ** 2).astype(np.float32) @ self._mel

    def columns(self) -> tuple[np.ndarray, float]:
        """Returns decibels (columns, mel_bins) of all samples, and the seconds of a column."""
        hop = self.frontend.hop_size
        last = self._mel_power(np.pad(self._rest, (0, self.frontend.window_size)))
        power, factor = reduced(np.concatenate([*self._power, last])[: -(-self.samples // hop)])
        decibels = 10 * np.log10(np.maximum(power, SMALLEST_POWER))
        return decibels, factor * hop / self.frontend.sample_rate


def reduced(rows: np.ndarray, most: int = MOST_COLUMNS) -> tuple[np.ndarray, int]:
    """Rows (n, ...) as ``most`` at most, each the maximum of as many; and of how many."""
    factor = max(1, -(-len(rows) // most))
    return np.maximum.reduceat(rows, np.arange(0, len(rows), factor), axis=0), factor


def draw_recording(
    recording, detector, *, top: int = 10, title: str = "", dark: bool = False
) -> bytes:
    """The picture, PNG, of a recording detected ``for_pictures``: spectrogram, the ``top`` classes
    with their peaks, and events of the 20 classes with the highest scores, over one time axis.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    spectrogram, scores = recording.spectrogram, recording.outputs["scores"]
    labels, step_seconds = detector.labels, detector.step_seconds
    peaks = scores.max(axis=0)
    best = np.argsort(-peaks, kind="stable")[:top]
    by_label: dict[str, list[Event]] = {}
    for event in sorted(recording.detection.events, key=lambda event: -event.score):
        by_label.setdefault(event.label, []).append(event)  # the highest score first
    events = dict(itertools.islice(by_label.items(), _MOST_CLASSES))
    what = "events" if events else "no events"
    if len(by_label) > len(events):
        what = f"events, {len(events)} of {len(by_label)} classes"
    heights = [_HEIGHT, _ROW * len(best), _ROW * max(1, len(events))]
    theme, content = DARK if dark else LIGHT, io.BytesIO()
    with styled(theme):
        figure = Figure((_WIDTH, sum(heights) + 1.5), layout="constrained")
        log_mel, classes, bars = figure.subplots(3, 1, sharex=True, height_ratios=heights)
        figure.suptitle(_plain(title, 100), x=0.01, ha="left", weight="bold", size=SMALL_SIZE + 2)
        draw_log_mel(log_mel, *spectrogram.columns(), spectrogram.frontend)
        columns, factor = reduced(scores[:, best])
        extent = (0, len(columns) * factor * step_seconds, len(best), 0)
        shades = LinearSegmentedColormap.from_list("", [theme.background, theme.series[0]])
        options = {"aspect": "auto", "interpolation": "nearest", "vmin": 0, "vmax": 1}
        classes.imshow(columns.T, extent=extent, cmap=shades, **options)
        _name_rows(classes, "probability", [(labels[index], peaks[index]) for index in best])
        for row, each in enumerate(events.values()):
            spans = [(event.onset, event.offset - event.onset) for event in each]
            colour = theme.series[row % len(theme.series)]
            # The edge keeps an event visible that is shorter than a pixel.
            bars.broken_barh(spans, (row + 0.2, 0.6), facecolor=colour, edgecolor=colour, lw=0.6)
        _name_rows(bars, what, [(name, x[0].score) for name, x in events.items()])
        seconds = spectrogram.samples / spectrogram.frontend.sample_rate
        bars.set_xlim(0, seconds)
        _set_time_axis(bars.xaxis, seconds)
        # Without the version of matplotlib, so that files are the same every time.
        figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return content.getvalue()


def draw_spectrogram(axes, values: np.ndarray, seconds: float, low: float, high: float) -> None:
    """Draws (columns, bins) over time, with colours from ``low`` to ``high``."""
    options = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "cmap": "magma"}
    axes.imshow(values.T, extent=(0, seconds, 0, values.shape[1]), vmin=low, vmax=high, **options)


def draw_log_mel(axes, decibels: np.ndarray, column_seconds: float, frontend: Frontend) -> None:
    """Draws a log-mel spectrogram (columns, mel_bins) with its frequencies in kHz."""
    high = max(float(np.percentile(decibels, 99.5)), _LOUDEST)
    low = max(float(np.percentile(decibels, 2)), high - _DECIBELS)
    draw_spectrogram(axes, decibels, len(decibels) * column_seconds, min(low, high - 30), high)
    axes.grid(False)
    axes.set_title("log-mel spectrogram, kHz", size=SMALL_SIZE, weight="normal")
    mel = mel_matrix(frontend)
    hertz = np.arange(len(mel)) * frontend.sample_rate / frontend.window_size
    middles = (hertz @ mel) / np.maximum(mel.sum(axis=0), 1e-30)
    shown = [frequency for frequency in _HERTZ if middles[0] <= frequency <= middles[-1]]
    rows = np.interp(shown, middles, np.arange(len(middles)) + 0.5)
    axes.set_yticks(rows, [f"{frequency / 1000:g}" for frequency in shown])


def _name_rows(axes, title: str, rows: Sequence[tuple[str, float]]) -> None:
    axes.grid(False)
    axes.set_title(title, size=SMALL_SIZE, weight="normal")
    axes.set_ylim(max(1, len(rows)), 0)
    names = [f"{_plain(name, _LONGEST_NAME)}  {peak:.2f}" for name, peak in rows]
    axes.set_yticks(np.arange(len(rows)) + 0.5, names, size=7.5)
    axes.tick_params(axis="y", length=0)


def _set_time_axis(axis, seconds: float) -> None:
    """Ticks in seconds, from two minutes on in min:s, from an hour on in h:min."""
    from matplotlib.ticker import MultipleLocator

    axis.set_label_text("time, s")
    if seconds >= 120:
        steps = (20, 60, 120, 300, 600, 1200, 3600, 7200, 21600)
        step = next((step for step in steps if seconds <= 9 * step), seconds / 8)
        unit, label = (60, "time, h:min") if seconds >= 3600 else (1, "time, min:s")
        axis.set_label_text(label)
        axis.set_major_locator(MultipleLocator(step))
        axis.set_major_formatter(lambda at, _: "{}:{:02}".format(*divmod(round(at / unit), 60)))


def _plain(text: str, longest: int) -> str:
    """Text in one line, not too long, without what no font has and no SVG may hold."""
    line = " ".join(str(text).split())
    line = "".join(letter if letter.isprintable() else "�" for letter in line)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
