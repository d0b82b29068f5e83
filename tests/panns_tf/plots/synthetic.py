"""Run directories with known numbers, written as a training writes them."""

import csv
import json
from pathlib import Path

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
