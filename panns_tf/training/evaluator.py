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
from panns_tf.training.data import from_int16, readable_errors, reading, selection
from panns_tf.training.distribution import Distribution
from tfrecords import DatasetInfo, dataset, load_index
from tfrecords.files import write_csv, write_json
from tfrecords.progress import Progress, logger


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions for clips, and their targets, 0 or 1."""

    clip_ids: np.ndarray  # (clips,) bytes
    target: np.ndarray  # (clips, classes) float32
    score: np.ndarray  # (clips, classes) float32


class RecordEvaluator:
    """Evaluates a run's network on its held-out and some training records, all workers at once;
    ``predictions`` and ``summary`` are the last ones, of held-out clips, ``eval_steps`` the updates
    between two evaluations.
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
        held_out = load_index(config.eval_data).num_clips
        # No more than held-out ones, or they would take most of the time.
        training = min(config.eval_training_clips, held_out)
        default = default_eval_steps(held_out + training, config.batch_size)
        self.eval_steps = config.eval_steps or default
        self._training_clips: dict = {}
        if training:
            self._training_clips = selection(config)
            clips = len(load_index(config.data).select(**self._training_clips))
            # The same ones each time: clips of a smaller fraction lie within those of a larger.
            self._training_clips["fraction"] *= min(1.0, training / clips)
        self.predictions: Predictions | None = None
        self.summary: metrics.Summary | None = None

    def __call__(self) -> dict[str, float]:
        """Returns held-out metrics, and those on training clips as ``training_mAP`` and so on."""
        self.predictions, self.summary = self._measure(self._config.eval_data)
        values = self.summary.as_dict()
        if self._training_clips:
            try:
                _, training = self._measure(self._config.data, **self._training_clips)
                values |= {f"training_{m}": training.mean(m) for m in ("mAP", "mAUC", "d_prime")}
            except ValueError as error:
                logger.info(f"No metrics on training clips: {error}")
                self._training_clips = {}
        return values

    def _measure(self, data: str, **selection) -> tuple[Predictions, metrics.Summary]:
        devices = self._distribution
        batch_size = max(1, self._config.batch_size // devices.replicas)
        options = {**selection, **self._reading}
        found = predict(self._predictor, data, batch_size, distribution=devices, **options)
        return found, metrics.summarise(found.target, found.score)


def default_eval_steps(clips: int, batch_size: int) -> int:
    """Updates between evaluations that keep these below 3 % of the work; the reference's 2000."""
    passes = 3 * batch_size  # of an update: one forward, and about two for the one backward
    share = 0.018  # with the metrics, which the host computes meanwhile, below 3 %
    return max(2000, -(-int(clips / (passes * share)) // 1000) * 1000)


def compiled_predictor(model: Callable) -> Callable:
    """Returns a compiled function from int16 waveforms to clipwise probabilities."""

    @tf.function(reduce_retracing=True)
    def predict_batch(waveform):
        return model(from_int16(waveform))["clipwise_output"]

    return predict_batch


def predict(
    predictor: Callable,
    data: str | Path,
    batch_size: int,
    distribution: Distribution | None = None,
    **options,
) -> Predictions:
    """Runs a `compiled_predictor` over all clips of a packed directory; ``options`` are those of
    ``tfrecords.dataset``. Workers share the clips; each must call this, and has all predictions,
    which stay on the device until the end.
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
    labels, classes = list(labels or ()), list(info.classes)
    if len(classes) != num_classes or (labels and labels != classes):
        pairs = enumerate(zip(labels, classes, strict=False))
        first = [f"; number {i} is {b!r}, the model's {a!r}" for i, (a, b) in pairs if a != b][:1]
        difference = f"{len(classes)} classes that are not the model's {num_classes}"
        if sorted(labels) == sorted(classes):
            difference = "the model's classes in another order"
        raise ValueError(
            f"{what} has {difference}{''.join(first)}; pack it again with --labels and the model's "
            "class list, which is in config.json of its run"
        )


def write_report(
    output: Path,
    summary: metrics.Summary,
    labels: Sequence[str],
    extra: dict,
    columns: dict[str, Sequence] | None = None,
) -> None:
    """Writes ``metrics.json``, with ``extra`` entries, and ``per_class.csv``, best classes first;
    ``columns`` of it hold a value for each class, None or NaN for an empty cell.
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
