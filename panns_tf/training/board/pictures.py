"""Pictures for TensorBoard, as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panns_tf.models import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from panns_tf.training.board.front import Seen

#: Channels of the wavegram that are shown by themselves, besides their mean.
CHANNELS = 3
_COLOURS = "magma"


def pixels(figure: Figure) -> np.ndarray:
    """Draws a figure: (height, width, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=100, layout="constrained")


def _spectrogram(axes, values: np.ndarray, title: str, seconds: float, limits=None) -> None:
    """Draws (frames, bins) with time to the right and frequency upwards."""
    low, high = np.percentile(values, (2, 99.5)) if limits is None else limits
    extent = (0, seconds, 0, values.shape[1])
    axes.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        extent=extent,
        vmin=low,
        vmax=high,
        cmap=_COLOURS,
        interpolation="nearest",
    )
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=8)


def augmented(seen: Seen) -> np.ndarray:
    """Clips before and after SpecAugment and mixup, a row for each item that enters the body."""
    items, of_each = len(seen.entering), len(seen.before) // len(seen.entering)
    masks = 0 if seen.masked is None else of_each
    columns = of_each + (masks if of_each > 1 else 0) + 1
    figure = _figure(3.2 * columns, 2.3 * items + 0.3)
    grid = figure.subplots(items, columns, squeeze=False, sharex=True, sharey=True)
    limits = np.percentile(seen.before, (2, 99.5))
    for item, axes in enumerate(grid):
        clips = range(item * of_each, (item + 1) * of_each)
        panels = [(seen.before[clip], seen.names[clip]) for clip in clips]
        if of_each > 1 and masks:
            panels += [(seen.masked[clip], "SpecAugment") for clip in clips]
        if seen.weights is None:
            last = "SpecAugment"
        else:
            last = " + ".join(f"{seen.weights[clip]:.2f}" for clip in clips)
            last = f"mixed, {last}" + ("" if masks else ", then SpecAugment")
        panels.append((seen.entering[item], last))
        for each, (values, title) in zip(axes, panels, strict=True):
            _spectrogram(each, values, title, seen.seconds, limits)
        axes[0].set_ylabel("mel bin")
    for each in grid[-1]:
        each.set_xlabel("seconds")
    return pixels(figure)


def features(found: dict[str, np.ndarray], names: list[str], seconds: float) -> np.ndarray:
    """The log-mel of clips beside their wavegram: its mean over channels, and its strongest."""
    panels = []
    if "log_mel" in found:
        panels.append(("log-mel", found["log_mel"]))
    if "wavegram" in found:
        wave = found["wavegram"]  # (clips, steps, frequencies, channels)
        spread = wave.std(axis=(0, 1))  # over time, (frequencies, channels)
        # Each frequency by itself, as bn0 does for the log-mel: else offsets hide the sound.
        wave = (wave - wave.mean(axis=(0, 1))) / (spread + 1e-6)
        panels.append(("wavegram, mean", wave.mean(axis=-1)))
        spread = spread.mean(axis=0)
        for channel in np.argsort(-spread)[:CHANNELS]:
            panels.append((f"wavegram, channel {channel}", wave[..., channel]))
    figure = _figure(3.2 * len(panels), 2.3 * len(names) + 0.3)
    grid = figure.subplots(len(names), len(panels), squeeze=False)
    for clip, (axes, name) in enumerate(zip(grid, names, strict=True)):
        for each, (title, values) in zip(axes, panels, strict=True):
            _spectrogram(each, values[clip], f"{name}: {title}", seconds)
        axes[0].set_ylabel("bin")
    for each in grid[-1]:
        each.set_xlabel("seconds")
    return pixels(figure)


def first_kernel(network: Network) -> np.ndarray | None:
    """Returns the kernel of the layer that sees the sound, or its spectrogram, or None.

    That is the first convolution of one channel: (height, width, filters) over a log-mel,
    (samples, filters) over a waveform. Of a network that has both, the one over the waveform.
    """
    kernels = [
        np.asarray(v)[..., 0, :]
        for v in network.trainable_variables
        if v.path.endswith("kernel") and len(v.shape) in (3, 4) and v.shape[-2] == 1
    ]
    return min(kernels, key=lambda kernel: kernel.ndim) if kernels else None


def filters(kernel: np.ndarray, sample_rate: int) -> np.ndarray:
    """Filters of a first layer, over a log-mel as tiles, over a waveform by frequency."""
    return _tiles(kernel) if kernel.ndim == 3 else _responses(kernel, sample_rate)


def _tiles(kernel: np.ndarray) -> np.ndarray:
    count = kernel.shape[-1]
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    figure = _figure(0.6 * columns + 0.4, 0.6 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    most = np.abs(kernel).max() or 1.0
    for place, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if place < count:
            # The first axis of a kernel is time, which goes to the right.
            tile = kernel[..., place].T
            axes.imshow(tile, cmap="RdBu_r", vmin=-most, vmax=most, origin="lower")
    figure.suptitle(f"{count} filters, time to the right; ±{most:.2g}", fontsize=9)
    return pixels(figure)


def _responses(kernel: np.ndarray, sample_rate: int) -> np.ndarray:
    """Waveform filters and their frequency responses, sorted by where these peak."""
    spectrum = np.abs(np.fft.rfft(kernel, 256, axis=0))  # (129, filters)
    order = np.argsort(spectrum.argmax(axis=0), kind="stable")
    decibels = 20 * np.log10(spectrum[:, order] / spectrum.max() + 1e-4)
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    most = np.abs(kernel).max() or 1.0
    left.imshow(kernel[:, order], cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    left.set(xlabel="filter", ylabel="sample", title="filters")
    shown = right.imshow(
        decibels,
        cmap=_COLOURS,
        aspect="auto",
        origin="lower",
        extent=(0, kernel.shape[1], 0, sample_rate / 2000),
        vmin=-40,
        vmax=0,
    )
    right.set(xlabel="filter, by its peak", ylabel="kHz", title="frequency response")
    figure.colorbar(shown, ax=right, label="dB")
    return pixels(figure)


def precision_by_size(
    average_precision: np.ndarray, sizes: np.ndarray, labels: list[str]
) -> np.ndarray:
    """Average precision of every class against its training clips; undefined ones are left out."""
    figure = _figure(7, 4.2)
    axes = figure.subplots()
    known = np.isfinite(average_precision)
    axes.scatter(np.maximum(sizes[known], 0.8), average_precision[known], s=18, color="#2f83d0")
    if known.sum() <= 40:
        for size, value, label in zip(
            sizes[known], average_precision[known], np.array(labels)[known], strict=True
        ):
            axes.annotate(label, (max(size, 0.8), value), fontsize=7, alpha=0.8)
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="training clips", ylabel="average precision")
    left_out = int((~known).sum())
    note = f"; {left_out} undefined" if left_out else ""
    axes.set_title(f"{int(known.sum())} classes{note}", fontsize=9)
    axes.grid(alpha=0.3)
    return pixels(figure)
