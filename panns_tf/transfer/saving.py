"""The trained network of a split, as a run directory that the other commands understand."""

import csv
import dataclasses
import io
import json
from pathlib import Path

from panns_tf.commands import write_whole
from panns_tf.training.callbacks import to_json
from panns_tf.training.checkpoint import save_keras
from panns_tf.transfer.clips import Collection, Split
from panns_tf.transfer.plan import Plan
from panns_tf.transfer.training import Trained

#: What `predict` must know of a network besides itself.
TRANSFER = "transfer.json"
FINAL = "final.keras"


def save_network(
    trained: Trained, plan: Plan, collection: Collection, split: Split, folder: Path
) -> None:
    """Writes ``final.keras``, its labels inside, and what goes with it.

    Beside it come ``config.json`` and ``metrics.jsonl`` as of `train.py`, ``transfer.json`` (how
    long the clips are that it hears), ``labels.txt`` and a table for each part of the split,
    ``train.csv``, ``test.csv``, and ``validation.csv`` if there is one, which
    ``python -m tfrecords pack`` takes.

    Args:
        trained: the network.
        plan: of the run.
        collection: the data set.
        split: that was trained on.
        folder: of the run directory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = trained.network()
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    target = collection.target()
    content = {
        "config": {"arch": plan.arch, **dataclasses.asdict(plan.config)},
        "labels": list(collection.classes),
        "training_clips": [int(n) for n in target[list(split.train)].sum(axis=0)],
    }
    content["config"] |= {**plan.overrides, "weights": plan.weights, "data": collection.name}
    content["config"]["steps"] = trained.fitted.steps
    write_whole(folder / "config.json", (json.dumps(content, indent=2) + "\n").encode())
    lines = "".join(to_json(row) + "\n" for row in trained.fitted.history)
    write_whole(folder / "metrics.jsonl", lines.encode())
    write_whole(folder / "labels.txt", ("\n".join(collection.classes) + "\n").encode())
    for name, numbers in parts.items():
        path = folder / f"{name}.csv"
        path.unlink(missing_ok=True)
        if numbers:
            write_whole(path, _table(collection, numbers))
    about = {
        "clip_seconds": plan.clip_seconds,
        "multi_label": collection.multi_label,
        "strategy": plan.config.strategy,
        "metric": plan.metric,
        "fold": split.name,
    }
    write_whole(folder / TRANSFER, (json.dumps(about, indent=2) + "\n").encode())
    save_keras(network, folder / FINAL)


def _table(collection: Collection, numbers) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("filename", "labels", "group"))
    for number in numbers:
        clip = collection.clips[number]
        labels = ";".join(collection.classes[label] for label in clip.labels)
        writer.writerow((clip.clip_id, labels, clip.group or ""))
    return text.getvalue().encode()
