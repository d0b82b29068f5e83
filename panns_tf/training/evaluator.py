"""Predictions of a model for packed records, their metrics, and the evaluations of a run."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from panns_tf import metrics
from panns_tf.config import TrainConfig
from panns_tf.models.network import Network
from panns_tf.training.data import readable_errors, reading, to_float
from panns_tf.training.distribution import Distribution
from tfrecords import DatasetInfo, dataset, load_index, read_black_list
from tfrecords.files import write_csv, write_json
from tfrecords.progress import Progress, logger


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions for clips, and their targets, 0 or 1."""

    clip_ids: np.ndarray  # (clips,) bytes
    target: np.ndarray  # (clips, classes) float32
    score: np.ndarray  # (clips, classes) float32


class RecordEvaluator:
    """Evaluates the network of a run on its held-out records, and on some training records.

    Each worker must do so at the same time. ``predictions`` and their ``summary`` are those of the
    last evaluation, for held-out clips.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        distribution: Distribution,
        on_damage: Callable | None = None,
    ):
        self._config, self._distribution = config, distribution
        self._reading = reading(config, network.arch.frontend.sample_rate)
        self._reading["on_damage"] = on_damage
        self._predictor = compiled_predictor(network)
        self._failed = False
        self.predictions: Predictions | None = None
        self.summary: metrics.Summary | None = None

    def __call__(self) -> dict[str, float]:
        """Returns held-out metrics, and those on training clips as ``training_mAP`` and so on."""
        self.predictions = self._predict(self._config.eval_data)
        self.summary = metrics.summarise(self.predictions.target, self.predictions.score)
        return {**self.summary.as_dict(), **self._training_metrics()}

    @property
    def eval_steps(self) -> int:
        """Updates between two evaluations; by default so many that these are below 3 % of work."""
        clips = load_index(self._config.eval_data).num_clips + self._training_clips
        return self._config.eval_steps or default_eval_steps(clips, self._config.batch_size)

    @property
    def _training_clips(self) -> int:
        """How many: no more than held-out ones, or they would take most of the time."""
        config = self._config
        return min(config.eval_training_clips, load_index(config.eval_data).num_clips)

    def _training_metrics(self) -> dict[str, float]:
        """Metrics on the same training clips each time, which show what is overfitted.

        Empty if none are asked for, or if they are too few to measure, which is logged once.
        """
        config = self._config
        if not self._training_clips:
            return {}
        exclude = read_black_list(config.exclude) if config.exclude else ()
        clips = len(load_index(config.data).select(exclude, config.fraction))
        # Clips of a smaller fraction lie within those of a larger one.
        fraction = config.fraction * min(1.0, self._training_clips / clips)
        try:
            predictions = self._predict(config.data, exclude=exclude, fraction=fraction)
            values = metrics.summarise(predictions.target, predictions.score).as_dict()
        except ValueError as error:
            if not self._failed:
                logger.info(f"No metrics on training clips: {error}")
            self._failed = True
            return {}
        return {f"training_{name}": values[name] for name in ("mAP", "mAUC", "d_prime")}

    def _predict(self, data: str, **selection) -> Predictions:
        batch_size = max(1, self._config.batch_size // self._distribution.replicas)
        options = {**selection, **self._reading}
        return predict(
            self._predictor, data, batch_size, distribution=self._distribution, **options
        )


def default_eval_steps(clips: int, batch_size: int) -> int:
    """The updates between two evaluations that keep these below 3 % of the work."""
    passes = 3 * batch_size  # of an update: one forward, and about two for the one backward
    share = 0.018  # with the metrics, which the host computes meanwhile, below 3 %
    reference = 2000
    return max(reference, -(-int(clips / (passes * share)) // 1000) * 1000)


def compiled_predictor(model: Callable) -> Callable:
    """Returns a compiled function from int16 waveforms to clipwise probabilities."""

    @tf.function(reduce_retracing=True)
    def predict_batch(waveform):
        return model(to_float(waveform))["clipwise_output"]

    return predict_batch


def predict(
    predictor: Callable,
    data: str | Path,
    batch_size: int,
    distribution: Distribution | None = None,
    **options,
) -> Predictions:
    """Runs a predictor, as `compiled_predictor` makes it, over all clips of a packed directory.

    Workers share the clips; each must call this, and has the predictions of all. Only these are
    kept, and fetched from the device at the end. ``options`` are those of ``tfrecords.dataset``.
    """
    devices = distribution or Distribution(tf.distribute.get_strategy())
    index = load_index(data)
    clips = len(index.select(options.get("exclude", ()), options.get("fraction", 1.0)))
    share = {"workers": devices.workers, "worker": devices.worker}
    records = iter(dataset(data, batch_size=batch_size, **share, **options))
    clip_ids, targets, scores = [], [], []
    with Progress(clips, "clip", "evaluate") as shown, readable_errors():
        while batches := list(itertools.islice(records, devices.local_replicas)):
            scores += devices.run(predictor, [batch["waveform"] for batch in batches])
            targets += [batch["target"] for batch in batches]
            clip_ids += [batch["clip_id"] for batch in batches]
            shown.update(devices.workers * sum(len(batch["target"]) for batch in batches))
    if not targets and devices.workers == 1:
        raise ValueError(f"{data} has no record that can be read")
    empty = [np.zeros((0, index.num_classes), "float32")]
    joined = [np.concatenate(empty + [x.numpy() for x in each]) for each in (targets, scores)]
    # Workers exchange numbers only, so ids go as their letters.
    kind = index.clip_ids.dtype
    ids = np.array([clip_id for batch in clip_ids for clip_id in batch.numpy()], kind)
    letters = ids.view(np.uint8).reshape(len(ids), kind.itemsize).astype(np.int32)
    target, score, letters = (devices.gather(rows) for rows in (*joined, letters))
    ids = np.ascontiguousarray(letters.astype(np.uint8)).view(kind).reshape(-1)
    return Predictions(ids, target, score)


def check_records(info: DatasetInfo, sample_rate: int, labels, num_classes: int, what: str) -> None:
    """Checks that records fit a model's sample rate and classes."""
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
        difference = f"{len(info.classes)} classes that are not the model's {len(labels)}"
        if sorted(labels) == sorted(info.classes):
            difference = "the model's classes in another order"
        raise ValueError(
            f"{what} has {difference}{first}; pack it again with --labels and the model's class "
            "list, which is in config.json of its run"
        )
    if len(info.classes) != num_classes:
        raise ValueError(
            f"{what} has {len(info.classes)} classes but the model has {num_classes} outputs"
        )


def write_report(
    output: Path,
    summary: metrics.Summary,
    labels: Sequence[str],
    extra: dict,
    columns: dict[str, Sequence] | None = None,
) -> None:
    """Writes ``metrics.json``, with ``extra`` entries, and ``per_class.csv``, best classes first.

    ``columns`` of the table hold a value for each class; what is None or NaN is an empty cell.
    """
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "metrics.json", {**summary.as_dict(), **extra})
    table = {
        "index": range(len(labels)),
        "label": labels,
        "positives": summary.positives,
        "average_precision": summary.average_precision,
        "auc": summary.auc,
        "d_prime": summary.d_prime,
        **(columns or {}),
    }
    rows = list(zip(*table.values(), strict=True))
    order = np.argsort(-np.nan_to_num(summary.average_precision, nan=-1), kind="stable")
    cells = [[_rounded(value) for value in rows[number]] for number in order]
    write_csv(output / "per_class.csv", list(table), cells)


def _rounded(value):
    is_number = isinstance(value, float | np.floating) and not np.isnan(value)
    return f"{value:.6f}" if is_number else value
