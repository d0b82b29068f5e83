"""A model and records become metrics, and a report of them."""

import csv
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from panns_tf import metrics
from panns_tf.training.distribution import Distribution
from panns_tf.training.records import readable_errors
from panns_tf.training.run_log import to_json
from tfrecords import DatasetInfo, dataset, load_index

#: int16 audio is stored times this.
FULL_SCALE = 32767.0


def to_float(waveform):
    """int16 (batch, samples) to float32 in [-1, 1]; on the device, so half the bytes travel."""
    return tf.cast(waveform, tf.float32) / FULL_SCALE


def compiled_predictor(model: Callable, distribution: Distribution | None = None) -> Callable:
    """Returns a compiled function from int16 waveforms to clipwise probabilities.

    With a distribution it takes and returns a list, an item for each local device.
    """

    @tf.function(reduce_retracing=True)
    def predict(waveform):
        return model(to_float(waveform))["clipwise_output"]

    if distribution is None or distribution.replicas == 1:
        return predict
    strategy, count = distribution.strategy, distribution.local_replicas

    def predict_each(waveforms: list) -> list:
        values = strategy.experimental_distribute_values_from_function(
            lambda context: waveforms[context.replica_id_in_sync_group % count]
        )
        return list(strategy.experimental_local_results(strategy.run(predict, args=(values,))))

    return predict_each


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a network says of clips, and what is true.

    Attributes:
        clip_ids: (clips,) bytes.
        target: (clips, classes) float32 of 0 and 1.
        score: (clips, classes) float32.
    """

    clip_ids: np.ndarray
    target: np.ndarray
    score: np.ndarray


def predict(
    predictor: Callable,
    data: str | Path,
    batch_size: int,
    quiet: bool = False,
    distribution: Distribution | None = None,
    **reading,
) -> Predictions:
    """Runs a predictor over all clips of a packed directory.

    Nothing but probabilities of clips is kept, and they are fetched from the device at the end.

    Args:
        predictor: of `compiled_predictor`.
        data: the directory.
        batch_size: clips on a device at a time.
        quiet: whether to show no progress.
        distribution: the predictor's. Workers share the clips; each must call this.
        reading: more arguments of ``tfrecords.dataset``: ``sample_rate``, ``damaged`` ...

    Returns:
        The predictions of all workers.
    """
    alone = Distribution(tf.distribute.get_strategy()) if distribution is None else distribution
    index = load_index(data)
    clips = len(index.select(reading.get("exclude", ()), reading.get("fraction", 1.0)))
    shared = {"workers": alone.workers, "worker": alone.worker} if alone.workers > 1 else {}
    records = iter(dataset(data, batch_size=batch_size, **shared, **reading))
    clip_ids, targets, scores = [], [], []
    with (
        tqdm(total=clips, unit="clip", desc="evaluate", disable=quiet, leave=False) as bar,
        readable_errors(),
    ):
        while batches := list(itertools.islice(records, alone.local_replicas)):
            waveforms = [batch["waveform"] for batch in batches]
            if alone.replicas == 1:
                scores.append(predictor(waveforms[0]))
            else:
                # Devices without a batch of their own at the end repeat the last one.
                spare = [waveforms[-1]] * (alone.local_replicas - len(waveforms))
                scores += predictor(waveforms + spare)[: len(waveforms)]
            targets += [batch["target"] for batch in batches]
            clip_ids += [batch["clip_id"] for batch in batches]
            bar.update(alone.workers * sum(len(batch["target"]) for batch in batches))
    if not targets and alone.workers == 1:
        raise ValueError(f"{data} has no record that can be read")
    empty = [np.zeros((0, index.num_classes), "float32")]
    joined = [np.concatenate(empty + [x.numpy() for x in each]) for each in (targets, scores)]
    target, score = (alone.gather(rows) for rows in joined)
    return Predictions(_gather_ids(clip_ids, index.clip_ids.dtype, alone), target, score)


def _gather_ids(clip_ids: list, kind: np.dtype, distribution: Distribution) -> np.ndarray:
    """Joins the ids of all workers, which exchange numbers only."""
    here = np.array([clip_id for batch in clip_ids for clip_id in batch.numpy()], kind)
    letters = here.view(np.uint8).reshape(len(here), kind.itemsize).astype(np.int32)
    everywhere = distribution.gather(letters).astype(np.uint8)
    return np.ascontiguousarray(everywhere).view(kind).reshape(-1)


def check_records(info: DatasetInfo, sample_rate: int, labels, num_classes: int, what: str) -> None:
    """Raises a ValueError if records do not fit a model's sample rate or classes."""
    if info.sample_rate < sample_rate:
        raise ValueError(
            f"{what} is sampled at {info.sample_rate} Hz but the model expects {sample_rate} Hz; "
            f"pack it again with --sample-rate {sample_rate}"
        )
    if labels and list(labels) != list(info.classes):
        pairs = enumerate(zip(labels, info.classes, strict=False))
        first = next(
            (f"; number {i} is {b!r}, the model's {a!r}" for i, (a, b) in pairs if a != b), ""
        )
        same = sorted(labels) == sorted(info.classes)
        but = (
            "the model's classes in another order"
            if same
            else (f"{len(info.classes)} classes that are not the model's {len(labels)}")
        )
        raise ValueError(
            f"{what} has {but}{first}; pack it again with --labels and the model's class list, "
            "which is in config.json of its run"
        )
    if len(info.classes) != num_classes:
        raise ValueError(
            f"{what} has {len(info.classes)} classes but the model has {num_classes} outputs"
        )


#: The columns of ``per_class.csv`` that every evaluation has.
COLUMNS = ("index", "label", "positives", "average_precision", "auc", "d_prime")


def write_report(
    output: Path,
    summary: metrics.Summary,
    labels: Sequence[str],
    extra: dict,
    columns: dict[str, Sequence] | None = None,
) -> None:
    """Writes ``metrics.json`` and ``per_class.csv`` (best classes first) into ``output``.

    Args:
        output: the directory.
        summary: the figures.
        labels: names of the classes.
        extra: more entries of ``metrics.json``.
        columns: more columns of ``per_class.csv`` by name, a value for each class. A figure that
            is None or NaN stays an empty cell, as those of the summary do.
    """
    output.mkdir(parents=True, exist_ok=True)
    text = to_json({**summary.as_dict(), **extra}, indent=2)
    (output / "metrics.json").write_text(text + "\n")
    auc = summary.auc
    d_prime = np.where(np.isnan(auc), np.nan, metrics.d_prime(np.nan_to_num(auc, nan=0.5)))
    own = (range(len(labels)), labels, summary.positives, summary.average_precision, auc, d_prime)
    table = {**dict(zip(COLUMNS, own, strict=True)), **(columns or {})}
    rows = list(zip(*table.values(), strict=True))
    order = np.argsort(-np.nan_to_num(summary.average_precision, nan=-1), kind="stable")
    with (output / "per_class.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows([_cell(value) for value in rows[number]] for number in order)


def _cell(value) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.6f}"
    return str(value)
