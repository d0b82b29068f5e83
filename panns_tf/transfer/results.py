"""Results of a transfer run on disk: of each training, and of all that a folder holds."""

import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from panns_tf.figures.fewshot import ALL, COLUMNS, STRATEGIES
from panns_tf.metrics import average_precision
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.scores import (
    FoldResult,
    class_scores,
    confusion,
    estimate,
    macro_f1,
    mean_chance,
    student_interval,
)
from tfrecords.files import atomic, finite, read_csv, write_atomic, write_csv, write_json

RESULTS, FEWSHOT, PREDICTIONS = "results.json", "fewshot.csv", "predictions.csv"
PLAN = "plan.json"
_KEY = ("strategy", "clips_per_class", "seed")
_PREDICTION_COLUMNS = (
    *("strategy", "clips_per_class", "seed", "fold", "clip_id", "label", "predicted"),
    *("probability", "probability_of_label"),
)
_ARRAYS = ("target", "score")
#: What digests are of.
_DIGESTED = {
    "fingerprint": "the weights",
    "labelling": "the labels or splits",
    "sounds": "the sounds",
}
#: What reading a file raises that is cut off, damaged or of another version.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)


class ResultStore:
    """The results of a run's trainings, a file each, so that a killed command continues.

    Args:
        folder: of the files.
        identity: what decides the results.
        force: whether results of other settings are given up.

    Raises:
        ValueError: if the folder holds results of other settings.
    """

    def __init__(self, folder: Path, identity: dict, force: bool = False):
        self._folder = folder
        identity = json.loads(json.dumps(identity))  # tuples as lists, as a file gives them back
        path = folder / PLAN
        if path.is_file() and not force:
            try:
                known = dict(json.loads(path.read_text()))
            except (ValueError, TypeError):
                known = {}
            changed = [
                _difference(name, known.get(name), identity.get(name))
                for name in sorted(known.keys() | identity.keys())
                if known.get(name) != identity.get(name)
            ]
            if changed:
                raise ValueError(
                    f"{folder.parents[1]} holds results of other settings "
                    f"({'; '.join(changed)[:300]}); choose another --output, or add --force"
                )
        for old in folder.glob("*.npz") if force else ():
            old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, identity)

    def get(self, name: str, clip_ids: Sequence[str]) -> FoldResult | None:
        """A finished training's result, or None if it is not there or of other clips."""
        try:
            with np.load(self._folder / f"{name}.npz") as file:
                arrays = {key: file[key] for key in _ARRAYS}
                said = json.loads(str(file["said"]))
            for key in ("clip_ids", "groups", "notes"):
                said[key] = tuple(said[key])
            result = FoldResult(**said, **arrays)
        except _UNREADABLE:
            return None
        return result if result.clip_ids == tuple(clip_ids) else None

    def put(self, name: str, result: FoldResult) -> None:
        """Writes a result."""
        said = {key: value for key, value in vars(result).items() if key not in _ARRAYS}
        arrays = {key: getattr(result, key) for key in _ARRAYS}
        with atomic(self._folder / f"{name}.npz") as file:
            np.savez_compressed(file, said=np.array(json.dumps(said)), **arrays)


def _difference(name: str, before, now) -> str:
    """How a setting differs; of a digest only that it does."""
    if any(re.fullmatch("[0-9a-f]{16,}", str(value)) for value in (before, now)):
        return f"{_DIGESTED.get(name, name)} differ"
    return f"{name} was {before!r}, now {now!r}"


def name_of(run: Experiment) -> str:
    """What results are kept under."""
    return run.task.name if run.task else run.title


def by_count(results: Iterable[FoldResult]) -> dict[int | None, list[FoldResult]]:
    """Groups results by the number of clips of each class, the fewest first, all last."""
    groups: dict[int | None, list[FoldResult]] = {}
    for result in results:
        groups.setdefault(result.clips_per_class, []).append(result)
    return dict(sorted(groups.items(), key=lambda pair: pair[0] or math.inf))


def records_of(run: Experiment, results: Sequence[FoldResult]) -> list[dict]:
    """What ``results.json`` holds of a run: an object for each number of clips and seed."""
    records = []
    for count, group in by_count(results).items():
        paper, why_not = run.paper(count)
        for seed in dict.fromkeys(result.seed for result in group):
            folds = [result for result in group if result.seed == seed]
            whole = estimate(folds, run.metric)
            record = {
                "task": name_of(run),
                "title": run.title,
                "arch": run.arch,
                "strategy": run.strategy,
                "weights": run.weights,
                "clips_per_class": count or ALL,
                "seed": seed,
                "metric": run.metric,
                "value": whole.value,
                "low": whole.low,
                "high": whole.high,
                "fold_spread": whole.fold_spread,
                "chance": mean_chance(run.metric, folds),
                "paper": paper,
                "project": None,
                "comparable": not run.why_not,
                "why_not": why_not or run.why_not,
                "folds": [_fold(run, result) for result in folds],
                "classes": list(run.dataset.classes),
                "multi_label": run.dataset.multi_label,
                "settings": {key: _plain(value) for key, value in run.settings.items()},
                "notes": [*run.dataset.notes, *whole.notes],
                "seconds": run.seconds,
            }
            records.append(finite(record))
    return records


def _fold(run: Experiment, result: FoldResult) -> dict:
    one = estimate([result], run.metric)
    fold = {
        "fold": result.fold,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "tested_clips": len(result.clip_ids),
        "training_clips": result.training_clips,
        "steps": result.steps,
        "seconds": result.seconds,
        "notes": list(result.notes),
    }
    if run.dataset.multi_label:
        return fold | {"average_precision": average_precision(result.target, result.score).tolist()}
    matrix = confusion([result])
    classes = class_scores(matrix)
    return fold | {
        "macro_f1": macro_f1(matrix),
        "recall": classes["recall"].tolist(),
        "f1": classes["f1"].tolist(),
        "confusion": matrix.tolist(),
    }


def _plain(value):
    return value if isinstance(value, int | float | bool | None | str) else str(value)


def read_records(folder: Path) -> list[dict]:
    """The records that earlier runs left in a folder; none if there is no file.

    Raises:
        ValueError: in one line, if it is damaged.
    """
    path = folder / RESULTS
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["results"]
        for record in records:
            _ = [record[name] for name in (*_KEY, *COLUMNS, "arch", "classes")]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}); remove it, or choose another --output"
        ) from None
    return records


def check_folder(folder: Path, run: Experiment) -> None:
    """Raises ValueError if a folder holds results that cannot be in one table with a run's."""
    mine = (name_of(run), run.arch, run.metric, list(run.dataset.classes))
    for record in read_records(folder):
        theirs = (record["task"], record["arch"], record["metric"], record["classes"])
        if theirs != mine:
            what = f"{record['title']}, {record['arch']}, {record['metric']}"
            wanted = f"{run.title}, {run.arch}, {run.metric}"
            if what == wanted:
                what, wanted = f"{what} with other classes", f"{wanted} with these"
            raise ValueError(
                f"{folder} holds results of {what}; received those of {wanted}: choose another "
                "--output"
            )


def remove_others(folder: Path, run: Experiment) -> None:
    """Removes results that cannot be in one table with a run's, if the folder holds such."""
    try:
        check_folder(folder, run)
    except ValueError:
        for name in (RESULTS, FEWSHOT, PREDICTIONS):
            (folder / name).unlink(missing_ok=True)


def merged(old: Iterable[dict], new: Sequence[dict]) -> list[dict]:
    """Old and new rows; of those of the same strategy, number of clips and seed the new ones."""
    replaced = {_key(row) for row in new}
    rows = [*(row for row in old if _key(row) not in replaced), *new]
    return sorted(rows, key=lambda row: _order(*_key(row)))


def _key(row: dict) -> tuple[str, str, str]:
    return tuple(str(row[name]) for name in _KEY)


def _order(strategy: str, count: str, seed: str) -> tuple:
    known = list(STRATEGIES)
    place = known.index(strategy) if strategy in known else len(known)
    return place, strategy, math.inf if count == ALL else int(count), int(seed)


def summary_of(records: Iterable[dict]) -> list[dict]:
    """The mean over seeds of each strategy and number of clips, in the order of the records."""
    groups: dict[tuple, list[float]] = {}
    for record in records:
        values = groups.setdefault((record["strategy"], record["clips_per_class"]), [])
        if record["value"] is not None:
            values.append(record["value"])
    rows = []
    for (strategy, count), values in groups.items():
        low, high = student_interval(values) or (None, None)
        rows.append(
            {
                "strategy": strategy,
                "clips_per_class": count,
                "mean": float(np.mean(values)) if values else None,
                "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "low": low,
                "high": high,
                "seeds": len(values),
            }
        )
    return rows


def write_results(folder: Path, run: Experiment, results: Sequence[FoldResult]) -> list[dict]:
    """Writes ``results.json``, ``fewshot.csv`` and ``predictions.csv``.

    Earlier results in these files stay, but for those of the same strategy, number of clips and
    seed.

    Returns:
        The records of all runs in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = merged(read_records(folder), records_of(run, results))
    content = {"results": records, "summary": summary_of(records)}
    write_atomic(folder / RESULTS, json.dumps(content, ensure_ascii=False, allow_nan=False))
    write_csv(folder / FEWSHOT, COLUMNS, records)
    path = folder / PREDICTIONS
    old = [row for row in read_csv(path) if set(_KEY) <= set(row)] if path.is_file() else []
    write_csv(path, _PREDICTION_COLUMNS, merged(old, list(_predictions(run, results))))
    return records


def _predictions(run: Experiment, results: Iterable[FoldResult]) -> Iterable[dict]:
    """A row for each test clip.

    Where clips have several labels these, and the predicted ones (a score of 0.5 or more), are
    joined by ``;``; the first probability is then the highest, the second the lowest of the true
    labels, empty if there is none.
    """
    for result in results:
        for clip, target, score in zip(result.clip_ids, result.target, result.score, strict=True):
            true, best = np.flatnonzero(target), int(score.argmax())
            predicted = np.flatnonzero(score >= 0.5) if run.dataset.multi_label else [best]
            yield {
                "strategy": run.strategy,
                "clips_per_class": result.clips_per_class or ALL,
                "seed": result.seed,
                "fold": result.fold,
                "clip_id": clip,
                "label": ";".join(run.dataset.classes[n] for n in true),
                "predicted": ";".join(run.dataset.classes[n] for n in predicted),
                "probability": float(score[best]),
                "probability_of_label": float(score[true].min()) if len(true) else None,
            }
