"""Run directories with known numbers, written as a training writes them."""

import csv
import itertools
import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from panns_tf.style import LIGHT, styled

LABELS = ("dog", "rain & wind", "clock <tick>")


def write_run(folder: Path, arch: str = "Cnn14", final: float = 0.4, **changes) -> Path:
    """Writes a run whose mAP rises evenly to ``final``; returns its directory.

    Args:
        folder: of the run.
        arch: the network.
        final: held-out mAP after the last step.
        **changes: ``steps`` (600), ``stop`` (the last step that was taken), ``labels``, ``clips``
            (held-out), ``training_clips``, ``ap`` (of each class, None where undefined),
            ``columns`` (more columns of per_class.csv); all others are settings.
    """
    folder.mkdir(parents=True)
    steps, labels = changes.pop("steps", 600), list(changes.pop("labels", LABELS))
    stop, clips = changes.pop("stop", steps), changes.pop("clips", 80)
    training_clips, ap = changes.pop("training_clips", None), changes.pop("ap", None)
    columns = changes.pop("columns", {})
    config = {"arch": arch, "data": "d/train", "eval_data": "d/eval", "steps": steps, "seed": 0}
    content = {"config": {**config, **changes}, "labels": labels, "versions": {}}
    if training_clips:
        content["training_clips"] = training_clips
    (folder / "config.json").write_text(json.dumps(content))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(100, stop + 1, 100):
            file.write(json.dumps({"step": step, "loss": 1 / step, "learning_rate": 0.1}) + "\n")
            values = {"mAP": final * step / steps, "mAUC": 0.9, "d_prime": None}
            counts = {"num_clips": clips, "num_classes": len(labels), "chance_mAP": 1 / len(labels)}
            file.write(json.dumps({"step": step, **values, **counts}) + "\n")
    if stop == steps:
        (folder / "final.keras").touch()
    if ap:
        write_evaluation(folder / "evaluation", labels, ap, final, clips, columns)
    return folder


def write_evaluation(folder: Path, labels, ap, final=0.4, clips=80, columns=None) -> None:
    """Writes ``metrics.json`` and ``per_class.csv``, the last class first."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"mAP": final, "num_clips": clips}))
    more = columns or {}
    with (folder / "per_class.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        head = ["index", "label", "positives", "average_precision", "auc", "d_prime"]
        writer.writerow([*head, *more])
        for i in reversed(range(len(labels))):
            known = ap[i] is not None
            cells = [f"{ap[i]:.6f}", "0.9", "1.8"] if known else ["", "", ""]
            extra = ["" if values[i] is None else values[i] for values in more.values()]
            writer.writerow([i, labels[i], 8 if known else 0, *cells, *extra])


def figure_of(chart):
    """The figure of a chart on a light page."""
    with styled(LIGHT):
        return chart.draw(LIGHT)


def overlaps(figure) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other, and texts beyond the page, as they are drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page, boxes, hidden = figure.bbox, [], set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick, place in zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=True):
            hidden |= set() if low <= place <= high else {tick.label1, tick.label2}
    for text in set(figure.findobj(Text)) - hidden:
        if text.get_text().strip() and text.get_visible():
            boxes.append((text.get_text(), text.get_window_extent(canvas.get_renderer())))
    beyond = [
        (name, "the page")
        for name, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1
    ]
    pairs = itertools.combinations(boxes, 2)
    return beyond + [(a, b) for (a, first), (b, second) in pairs if first.overlaps(second)]
