"""A model hears packed records: its scores, or those it gave before."""

import dataclasses
from pathlib import Path

from panns_tf.evaluation.runs import find_model, model_sha256, read_run, unfinished
from panns_tf.evaluation.scores import FILE_NAME, Scores, check_finite, load_scores
from panns_tf.evaluation.windows import Windows
from panns_tf.inference.loading import load_any
from panns_tf.training.evaluator import check_records, compiled_predictor, predict
from tfrecords import Damage, load_index
from tfrecords.decimate import check_decimation


@dataclasses.dataclass(frozen=True)
class Hearing:
    """How records are put before a model.

    Args:
        data: directory of packed records.
        windows: how clips are cut.
        batch_size: clips at a time.
        decimation: ``"lowpass"`` or ``"skip"``; see `tfrecords.decimate`.
        damaged: ``"raise"`` or ``"skip"``.
    """

    data: Path
    windows: Windows = dataclasses.field(default_factory=Windows)
    batch_size: int = 32
    decimation: str = "lowpass"
    damaged: str = "raise"

    def as_dict(self) -> dict:
        """What decides the scores of a given model, as `Scores.meta` states it."""
        return {
            "index_sha256": load_index(self.data).info.index_sha256,
            "decimation": self.decimation,
            **self.windows.as_dict(),
        }


def hear(model: Path, hearing: Hearing) -> Scores:
    """Lets a model hear all clips of packed records.

    Args:
        model: a run directory, a ``.keras`` file or a SavedModel.
        hearing: what is heard, and how.

    Raises:
        ValueError: if there is no model, the records do not fit it, or its scores are not finite.
    """
    info = load_index(hearing.data).info
    hearing.windows.starts(info.clip_samples, info.sample_rate)  # before what takes long
    found = find_model(model)
    network, described = load_any(found)
    rate = described["sample_rate"]
    check_records(
        info, rate, described["labels"], described["num_classes"], f"--data {hearing.data}"
    )
    check_decimation(info.sample_rate, rate, hearing.decimation)
    damage: list[Damage] = []
    predictions = predict(
        hearing.windows.around(compiled_predictor(network), rate),
        hearing.data,
        hearing.batch_size,
        sample_rate=rate,
        decimation=hearing.decimation,
        damaged=hearing.damaged,
        on_damage=damage.append,
    )
    meta = {
        "labels": list(info.classes),
        "network": described["network"],
        "sample_rate": rate,
        "model": described["path"],
        "model_sha256": model_sha256(found),
        "data": str(hearing.data),
        "clip_seconds": info.clip_seconds,
        "unfinished": unfinished(read_run(model), found),
        "damaged_clips": [str(one) for one in damage],
        **hearing.as_dict(),
    }
    scores = Scores(predictions.clip_ids, predictions.target > 0, predictions.score, meta)
    check_finite(scores)
    return scores


def matching_scores(directory: Path, model: Path, hearing: Hearing) -> Scores | None:
    """Returns the scores that a model has given to the same records in the same way, if any.

    Args:
        directory: of an earlier evaluation.
        model: as of `find_model`.
        hearing: what is to be heard.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return None
    try:
        scores = load_scores(path)
    except ValueError:
        return None  # they are made again
    wanted = {**hearing.as_dict(), "model_sha256": model_sha256(model)}
    if any(scores.meta.get(name) != value for name, value in wanted.items()):
        return None
    if scores.meta.get("damaged_clips") and hearing.damaged == "raise":
        return None
    return scores


def default_output(model: Path, data: Path, windows: Windows | None = None) -> Path:
    """Returns where an evaluation goes: ``evaluation/<data's name>`` beside the model.

    What would replace the evaluation of a run's own model on whole clips gets a longer name:
    that of another of the run's models, and windows.
    """
    beside = model if model.is_dir() else model.parent
    if (beside / "saved_model.pb").exists():
        beside = beside.parent
    name = data.resolve().name
    if model.suffix == ".keras" and (beside / "config.json").is_file() and model.is_file():
        own = find_model(beside)
        name += "" if own.samefile(model) else f"-{model.stem}"
    if windows is not None and windows.window is not None:
        name += f"-window{windows.window:g}-hop{windows.hop:g}-{windows.aggregate}"
    return beside / "evaluation" / name
