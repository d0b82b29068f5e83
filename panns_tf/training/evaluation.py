"""A model and records become metrics, and a report of them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from panns_tf import metrics
from panns_tf.training.records import iterate
from panns_tf.training.run_log import to_json
from tfrecords import DatasetInfo, dataset, load_index

#: int16 audio is stored times this.
FULL_SCALE = 32767.0


def to_float(waveform):
    """int16 (batch, samples) to float32 in [-1, 1]; on the device, so half the bytes travel."""
    return tf.cast(waveform, tf.float32) / FULL_SCALE


def compiled_predictor(model: Callable) -> Callable:
    """Returns a compiled function from int16 waveforms to clipwise probabilities."""

    @tf.function(reduce_retracing=True)
    def predict(waveform):
        return model(to_float(waveform))["clipwise_output"]

    return predict


def predict(predictor: Callable, data: str | Path, batch_size: int, quiet: bool = False, **reading):
    """Runs a predictor over all clips of a packed directory.

    Args:
        reading: more arguments of ``tfrecords.dataset``: ``sample_rate``, ``damaged`` ...

    Returns:
        ``target`` and ``score``, float32 (clips, classes) each.
    """
    clips = load_index(data).num_clips
    targets, scores = [], []
    with tqdm(total=clips, unit="clip", desc="evaluate", disable=quiet, leave=False) as bar:
        for batch in iterate(dataset(data, batch_size=batch_size, **reading)):
            scores.append(predictor(batch["waveform"]).numpy())
            targets.append(batch["target"].numpy())
            bar.update(len(targets[-1]))
    if not targets:
        raise ValueError(f"{data} has no record that can be read")
    return np.concatenate(targets), np.concatenate(scores)


def check_records(info: DatasetInfo, sample_rate: int, labels, num_classes: int, what: str) -> None:
    """Raises a ValueError if records do not fit a model's sample rate or classes."""
    if info.sample_rate < sample_rate:
        raise ValueError(
            f"{what} is sampled at {info.sample_rate} Hz but the model expects {sample_rate} Hz; "
            f"pack it again with --sample-rate {sample_rate}"
        )
    if labels and list(labels) != list(info.classes):
        differing = [
            i for i, (a, b) in enumerate(zip(labels, info.classes, strict=False)) if a != b
        ]
        place = f"; they differ first at {differing[0]}" if differing else ""
        raise ValueError(
            f"{what} has {len(info.classes)} classes that are not the model's {len(labels)}"
            f"{place}; pack it again with --labels and the model's class list"
        )
    if len(info.classes) != num_classes:
        raise ValueError(
            f"{what} has {len(info.classes)} classes but the model has {num_classes} outputs"
        )


def write_report(output: Path, summary: metrics.Summary, labels, extra: dict) -> None:
    """Writes ``metrics.json`` and ``per_class.csv`` (best classes first) into ``output``."""
    output.mkdir(parents=True, exist_ok=True)
    text = to_json({**summary.as_dict(), **extra}, indent=2)
    (output / "metrics.json").write_text(text + "\n")
    rows = zip(
        range(len(labels)),
        labels,
        summary.positives.tolist(),
        summary.average_precision,
        summary.auc,
        metrics.d_prime(np.nan_to_num(summary.auc, nan=0.5)),
        strict=True,
    )
    ordered = sorted(rows, key=lambda row: -np.nan_to_num(row[3], nan=-1))
    with (output / "per_class.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "label", "positives", "average_precision", "auc", "d_prime"])
        for index, label, positives, ap, auc, d_prime in ordered:
            # An undefined figure stays an empty cell.
            ap_text = "" if np.isnan(ap) else f"{ap:.6f}"
            defined = not np.isnan(auc)
            auc_text, d_text = (f"{auc:.6f}", f"{d_prime:.6f}") if defined else ("", "")
            writer.writerow([index, label, positives, ap_text, auc_text, d_text])
