"""Settings of an evaluation, and its scores: predicted, and kept in ``scores.npz``."""

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from panns_tf.config import TrainConfig
from panns_tf.run import BEST, EVALUATION, find_model, is_run, run_of
from panns_tf.windows import Windows, aggregate, cut_windows
from tfrecords import Damage, load_index
from tfrecords.codecs import check_resample
from tfrecords.files import atomic, to_json
from tfrecords.flags import redeclare, setting
from tfrecords.text import one_line, some

FILE_NAME = "scores.npz"
_REQUIRED = ("labels", "model", "model_sha256", "index_sha256", "heard")
_evaluated = partial(setting, None, group="what is evaluated")
_report = partial(setting, group="what is reported")
_INPUT = "how clips are given to the network"


@dataclasses.dataclass(frozen=True)
class EvaluateSettings(Windows):
    """What is evaluated, how clips are given to the network, and what is reported."""

    model: Path | None = _evaluated(
        "a run directory (its final.keras, or best.keras while it is unfinished), a .keras file or "
        "a SavedModel"
    )
    data: Path | None = _evaluated("a directory of packed records")
    compare: list | None = _evaluated(
        "two or more to compare with the first; --model, if given, comes before them",
        nargs="+",
        parse=Path,
        metavar="RUN",
    )
    output: Path | None = _evaluated(
        "where to write", shown="evaluation/<data's name> beside the model, or comparison here"
    )
    batch_size: int = setting(32, "clips at a time", minimum=1, group=_INPUT)
    decimation: str = redeclare(TrainConfig, "decimation", "lowpass", group=_INPUT)
    damaged: str = redeclare(TrainConfig, "damaged", "raise", group=_INPUT)
    bootstrap: int = _report(1000, "resamples of the clips for intervals; 0 for none", minimum=0)
    training_clips: Path | None = _report(
        None,
        "CSV of each class's training clips: training_clips and index, display_name or label",
        shown="those of the run, or AudioSet's counts for AudioSet's classes",
    )
    label_quality: Path | None = _report(
        None, "AudioSet's qa_true_counts.csv, for metrics by label quality"
    )
    ontology: Path | None = _report(
        None, "JSON, for metrics by branch", shown="AudioSet's ontology"
    )
    mistakes: int = _report(12, "false alarms shown on the page, and as many misses", minimum=0)
    audio: bool = _report(True, "audio of the mistakes on the page")
    report: bool = _report(True, "write report.html or comparison.html")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bootstrap == 1:
            raise ValueError("--bootstrap must be 0, for no intervals, or at least 2; received 1")

    def as_dict(self) -> dict:
        """What decides the scores of a given model, as ``scores.npz`` states it."""
        sha256 = load_index(self.data).info.index_sha256
        return {"index_sha256": sha256, "decimation": self.decimation, **super().as_dict()}


@dataclasses.dataclass(frozen=True)
class Scores:
    clip_ids: np.ndarray  # (clips,)
    target: np.ndarray  # (clips, classes)
    score: np.ndarray  # the same
    meta: dict  # labels, and what the scores are of: model, records, windows and more

    @property
    def labels(self) -> list[str]:
        return self.meta["labels"]

    def ordered_as(self, other: "Scores", names: tuple[str, str]) -> "Scores":
        """These scores in the order of others' clips, which must be the same; names of both."""
        both = f"{names[0]} and {names[1]}"
        if self.labels != other.labels:
            differing = sorted(set(self.labels) ^ set(other.labels))
            raise ValueError(f"{both} have other classes, or another order: {some(differing)}")
        mine, theirs = (np.argsort(x.clip_ids, kind="stable") for x in (self, other))
        if not np.array_equal(self.clip_ids[mine], other.clip_ids[theirs]):
            only = np.setxor1d(self.clip_ids, other.clip_ids)
            raise ValueError(
                f"{both} were evaluated on other clips: {len(only)} only in one of them "
                f"({some(only)}); evaluate both on the same records with --data"
            )
        order = mine[np.argsort(theirs)]
        if clips := (self.target[order] != other.target).any(axis=1).sum():
            raise ValueError(f"{both} have other labels for {clips} clips; evaluate both on --data")
        return Scores(self.clip_ids[order], other.target, self.score[order], self.meta)


def predict_scores(model: Path, settings: EvaluateSettings) -> Scores:
    """Runs a run directory's model, a ``.keras`` file or a SavedModel on all clips."""
    from panns_tf.export.check import load_predictor
    from panns_tf.training.evaluator import check_records, compiled_predictor, predict

    info, file = load_index(settings.data).info, find_model(model)
    network, about = load_predictor(file)
    rate, what = about["sample_rate"], f"--data {settings.data}"
    check_records(info, rate, about["labels"], about["num_classes"], what)
    check_resample(info.sample_rate, rate, settings.decimation)
    damage: list[Damage] = []
    predictions = predict(
        windowed(compiled_predictor(network), settings, rate),
        settings.data,
        settings.batch_size,
        sample_rate=rate,
        resample=settings.decimation,
        on_corrupt=settings.damaged,
        on_damage=damage.append,
    )
    meta = {
        "labels": list(info.classes),
        "network": about["network"],
        "sample_rate": rate,
        "model": about["path"],
        "model_sha256": model_sha256(file),
        "data": str(settings.data),
        "clip_seconds": info.clip_seconds,
        "unfinished": _unfinished(model, file),
        "damaged_clips": [str(one) for one in damage],
        "heard": settings.describe(info.clip_seconds),
        **settings.as_dict(),
    }
    return Scores(predictions.clip_ids, predictions.target > 0, predictions.score, meta)


def windowed(predictor: Callable, windows: Windows, sample_rate: int) -> Callable:
    """A predictor of TensorFlow's waveforms (batch, samples) from one of their windows."""
    import tensorflow as tf

    cut = windows.samples(sample_rate)
    if cut is None:
        return predictor

    def predict(waveform: tf.Tensor) -> tf.Tensor:
        parts = cut_windows(waveform.numpy(), *cut)  # (windows, batch, samples)
        scores = [predictor(tf.constant(part)).numpy() for part in parts]
        return tf.constant(aggregate(np.stack(scores), windows.aggregate))

    return predict


def _unfinished(model: Path, file: Path) -> str | None:
    """The remark on a model whose run has not ended, or None."""
    run = run_of(model)
    if run is None or run.finished:
        return None
    of_best = f" of step {run.best_step}" if file.name == BEST and run.best_step else ""
    steps = run.config.get("steps", "unknown")
    return f"step {run.step} of {steps}; {file.name}{of_best} is evaluated"


def model_sha256(path: Path) -> str:
    """The SHA-256 of a model's file, or of all files of a SavedModel with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def save_scores(directory: Path, scores: Scores) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {"clip_id": scores.clip_ids, "target": scores.target, "score": scores.score}
    with atomic(directory / FILE_NAME) as file:
        np.savez_compressed(file, **arrays, meta=to_json(scores.meta))
    return directory / FILE_NAME


def load_scores(path: Path) -> Scores:
    """Reads a ``scores.npz``; ValueError if it is damaged or holds something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(str(file["meta"]))
            scores = Scores(file["clip_id"], file["target"], file["score"], meta)
        if missing := [name for name in _REQUIRED if name not in meta]:
            raise ValueError(f"its meta lacks {', '.join(missing)}")
        shape = (len(scores.clip_ids), len(meta["labels"]))
        kinds = [(x.dtype.kind, x.shape) for x in (scores.clip_ids, scores.target, scores.score)]
        if kinds != [("S", shape[:1]), ("b", shape), ("f", shape)]:
            raise ValueError(f"clip_id, target and score are of kinds and shapes {kinds}")
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        why = one_line(error)
        raise ValueError(f"{path} cannot be read ({why}); run evaluate.py again") from error
    return scores


def evaluations_folder(model: Path) -> Path:
    """Where the evaluations of a model or a run are, each in a folder."""
    folder = model if model.is_dir() else model.parent
    return (folder.parent if (folder / "saved_model.pb").exists() else folder) / EVALUATION


def default_output(model: Path, settings: EvaluateSettings) -> Path:
    """Where an evaluation goes: a folder for the data, for a run's best model, and for windows."""
    folder, name = evaluations_folder(model), settings.data.resolve().name
    if model.suffix == ".keras" and is_run(folder.parent) and model.is_file():
        name += "" if find_model(folder.parent).samefile(model) else f"-{model.stem}"
    if settings.window is not None:
        name += f"-window{settings.window:g}-hop{settings.hop:g}-{settings.aggregate}"
    return folder / name
