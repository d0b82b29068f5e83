"""Results of a transfer run on disk: of each training, and of all that a folder holds."""

import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from panns_tf.figures.fewshot import ALL, COLUMNS, STRATEGIES
from panns_tf.metrics import average_precision
from panns_tf.metrics.bootstrap import Estimate, mean_estimate
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.scores import FoldResult, class_scores, estimate, mean_chance
from tfrecords.files import (
    atomic,
    finite,
    read_csv,
    read_json,
    to_json,
    write_atomic,
    write_csv,
    write_json,
)

RESULTS, FEWSHOT, PREDICTIONS = "results.json", "fewshot.csv", "predictions.csv"
PLAN = "plan.json"
_KEY = ("strategy", "clips_per_class", "seed")
_PREDICTION_COLUMNS = (
    *(*_KEY, "fold", "clip_id", "label", "predicted"),
    *("probability", "probability_of_label"),
)
_ARRAYS = ("target", "score")
#: What digests are of.
_DIGESTED = {
    "fingerprint": "the weights",
    "labelling": "the labels or splits",
    "sounds": "the sounds",
}


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
        known = read_json(path) if path.is_file() and not force else identity
        changed = [
            f"{_DIGESTED[name]} differ"
            if name in _DIGESTED
            else f"{name} was {known.get(name)!r}, now {identity.get(name)!r}"
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
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None  # none yet, or damaged
        return FoldResult(**said, **arrays) if said["clip_ids"] == list(clip_ids) else None

    def put(self, name: str, result: FoldResult) -> None:
        """Writes a result."""
        said = {key: value for key, value in vars(result).items() if key not in _ARRAYS}
        arrays = {key: getattr(result, key) for key in _ARRAYS}
        with atomic(self._folder / f"{name}.npz") as file:
            np.savez_compressed(file, said=np.array(json.dumps(said)), **arrays)


def by_count(results: Iterable[FoldResult]) -> dict[int | None, list[FoldResult]]:
    """Groups results by the number of clips of each class, the fewest first, all last."""
    groups: dict[int | None, list[FoldResult]] = {}
    for result in sorted(results, key=lambda result: result.clips_per_class or math.inf):
        groups.setdefault(result.clips_per_class, []).append(result)
    return groups


def _records(run: Experiment, results: Sequence[FoldResult]) -> Iterator[dict]:
    """What ``results.json`` holds of a run: an object for each number of clips and seed."""
    for count, group in by_count(results).items():
        paper, why_not = run.paper(count)
        for seed in dict.fromkeys(result.seed for result in group):
            folds = [result for result in group if result.seed == seed]
            whole = estimate(folds, run.metric)
            record = {
                "task": run.dataset.name,
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
                "classes": run.dataset.classes,
                "multi_label": run.dataset.multi_label,
                "settings": run.settings,
                "notes": [*run.dataset.notes, *whole.notes],
                "seconds": run.seconds,
            }
            yield finite(record)


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
        "notes": result.notes,
    }
    if run.dataset.multi_label:
        return {**fold, "average_precision": average_precision(result.target, result.score)}
    scores = class_scores(result.target, result.score)
    kept = {name: scores[name] for name in ("recall", "f1", "confusion")}
    return {**fold, "macro_f1": np.nanmean(scores["f1"]), **kept}


def read_records(folder: Path) -> list[dict]:
    """The records that earlier runs left in a folder; ValueError if they are damaged."""
    path = folder / RESULTS
    if not path.is_file():
        return []
    try:
        records = read_json(path)["results"]
        _ = [record[name] for record in records for name in (*_KEY, *COLUMNS, "arch", "classes")]
    except (KeyError, TypeError):
        raise ValueError(f"{path} is damaged; remove it, or choose another --output") from None
    return records


def check_folder(folder: Path, run: Experiment) -> None:
    """Raises ValueError if a folder holds results that cannot be in one table with a run's."""
    mine = {"task": run.dataset.name, "arch": run.arch, "metric": run.metric,
            "classes": list(run.dataset.classes)}  # fmt: skip
    for record in read_records(folder):
        other = [name for name, value in mine.items() if record[name] != value]
        if other:
            raise ValueError(
                f"{folder} holds results of {record['task']}, {record['arch']}, "
                f"{record['metric']}; received another {', '.join(other)}: choose another --output"
            )


def remove_others(folder: Path, run: Experiment) -> None:
    """Removes results that cannot be in one table with a run's, if the folder holds such."""
    try:
        check_folder(folder, run)
    except ValueError:
        for name in (RESULTS, FEWSHOT, PREDICTIONS):
            (folder / name).unlink(missing_ok=True)


def _merged(old: Iterable[dict], new: Sequence[dict]) -> list[dict]:
    """Old and new rows; of those of the same strategy, number of clips and seed the new ones."""

    def key(row: dict) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in _KEY)

    def order(row: dict) -> tuple:
        strategy, count, seed = key(row)
        return known.index(strategy), math.inf if count == ALL else int(count), int(seed)

    known, replaced = list(STRATEGIES), {key(row) for row in new}
    return sorted([*(row for row in old if key(row) not in replaced), *new], key=order)


def summary_of(records: Iterable[dict]) -> list[dict]:
    """The mean over seeds of each strategy and number of clips, in the order of the records."""
    groups: dict[tuple, list[float]] = {}
    for record in records:
        values = groups.setdefault((record["strategy"], record["clips_per_class"]), [])
        if record["value"] is not None:
            values.append(record["value"])
    rows = []
    for (strategy, count), values in groups.items():
        mean = mean_estimate(values) if values else Estimate(math.nan)
        spread = np.std(values, ddof=1) if len(values) > 1 else math.nan
        row = {"strategy": strategy, "clips_per_class": count, "mean": mean.value, "spread": spread}
        rows.append({**row, "low": mean.low, "high": mean.high, "seeds": len(values)})
    return rows


def write_results(folder: Path, run: Experiment, results: Sequence[FoldResult]) -> list[dict]:
    """Writes ``results.json``, ``fewshot.csv`` and ``predictions.csv``.

    Earlier results in these files stay, but for those of the same strategy, number of clips and
    seed. Returns the records of all runs in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = _merged(read_records(folder), list(_records(run, results)))
    content = {"results": records, "summary": summary_of(records)}
    write_atomic(folder / RESULTS, to_json(content, ensure_ascii=False))
    write_csv(folder / FEWSHOT, COLUMNS, records)
    path = folder / PREDICTIONS
    old = read_csv(path, _KEY) if path.is_file() else []
    write_csv(path, _PREDICTION_COLUMNS, _merged(old, list(_predictions(run, results))))
    return records


def _predictions(run: Experiment, results: Iterable[FoldResult]) -> Iterator[dict]:
    """A row for each test clip.

    Where clips have several labels these, and the predicted ones (a score of 0.5 or more), are
    joined by ``;``; the first probability is then the highest, the second the lowest of the true
    labels, empty if there is none.
    """
    classes = run.dataset.classes
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
                "label": ";".join(classes[n] for n in true),
                "predicted": ";".join(classes[n] for n in predicted),
                "probability": float(score[best]),
                "probability_of_label": float(score[true].min()) if len(true) else None,
            }
