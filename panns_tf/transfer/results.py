"""Results of a transfer run on disk: of each training, and of all that a folder holds."""

import itertools
import json
import math
import operator
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from panns_tf.figures.fewshot import ALL, COLUMNS
from panns_tf.metrics import average_precision
from panns_tf.metrics.bootstrap import Estimate, mean_estimate
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.scores import FoldResult, class_scores, estimate, mean_chance
from tfrecords import files

RESULTS, FEWSHOT, PREDICTIONS = "results.json", "fewshot.csv", "predictions.csv"
PLAN = "plan.json"
_KEY = ("strategy", "clips_per_class", "seed")
_ARRAYS = ("target", "score")
#: What digests are of.
_DIGESTED = {
    "fingerprint": "the weights differ",
    "labelling": "the labels or splits differ",
    "sounds": "the sounds differ",
}


class ResultStore:
    """The results that an identity decided, a file each, so that a killed command continues."""

    def __init__(self, folder: Path, identity: dict, force: bool = False):
        self._folder, path = folder, folder / PLAN
        identity = json.loads(json.dumps(identity))  # tuples as lists, as a file gives them back
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        if path.is_file():
            _check_same(folder.parents[1], files.read_json(path), identity)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(path, identity)

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
        said = dict(vars(result))
        arrays = {key: said.pop(key) for key in _ARRAYS}
        with files.atomic(self._folder / f"{name}.npz") as file:
            np.savez_compressed(file, said=np.array(json.dumps(said)), **arrays)


def _check_same(output: Path, known: dict, identity: dict) -> None:
    changed = [
        _DIGESTED.get(name, f"{name} was {known.get(name)!r}, now {identity.get(name)!r}")
        for name in {**identity, **known}
        if known.get(name) != identity.get(name)
    ]
    if changed:
        raise ValueError(
            f"{output} holds results of other settings ({'; '.join(changed)[:300]}); choose "
            "another --output, or add --force"
        )


def _values(source, *names: str) -> dict:
    return {name: getattr(source, name) for name in names}


def _records(run: Experiment, results: Iterable[FoldResult]) -> Iterator[dict]:
    """What ``results.json`` holds of a run: an object for each number of clips and seed."""
    kinds = operator.attrgetter("clips_per_class", "seed")
    for (count, seed), group in itertools.groupby(results, kinds):
        folds = list(group)
        whole, (paper, why_not) = estimate(folds, run.metric), run.paper(count)
        record = {
            "task": run.dataset.name,
            **_values(run, "title", "arch", "strategy", "weights", "metric"),
            "clips_per_class": count or ALL,
            "seed": seed,
            **_values(whole, "value", "low", "high", "fold_spread"),
            "chance": mean_chance(run.metric, folds),
            "paper": paper,
            "project": None,
            "comparable": not run.why_not,
            "why_not": why_not or run.why_not,
            "folds": [_fold(run, result) for result in folds],
            **_values(run.dataset, "classes", "multi_label"),
            "notes": [*run.dataset.notes, *whole.notes],
            **_values(run, "settings", "seconds"),
        }
        yield files.finite(record)


def _fold(run: Experiment, result: FoldResult) -> dict:
    fold = {
        "fold": result.fold,
        **_values(estimate([result], run.metric), "value", "low", "high"),
        "tested_clips": len(result.clip_ids),
        **_values(result, "training_clips", "steps", "seconds", "notes"),
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
        records = files.read_json(path)["results"]
        _ = [record[name] for record in records for name in (*_KEY, *COLUMNS, "arch", "classes")]
    except (KeyError, TypeError):
        raise ValueError(f"{path} is damaged; remove it, or choose another --output") from None
    return records


def check_folder(folder: Path, run: Experiment, force: bool = False) -> None:
    """Raises ValueError for results that cannot be in one table with a run's, or removes them."""
    mine = {"task": run.dataset.name, **_values(run, "arch", "metric")}
    mine["classes"] = list(run.dataset.classes)
    for record in read_records(folder):
        theirs = {name: record[name] for name in mine}
        if not force:
            _check_same(folder, theirs, mine)
        elif theirs != mine:
            for name in (RESULTS, FEWSHOT, PREDICTIONS):
                (folder / name).unlink(missing_ok=True)


def _merged(old: Iterable[dict], new: Sequence[dict]) -> list[dict]:
    """Old and new rows; of those of the same strategy, number of clips and seed the new ones."""

    def key(row: dict) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in _KEY)

    replaced = set(map(key, new))
    return [*(row for row in old if key(row) not in replaced), *new]


def _summary(records: Iterable[dict]) -> list[dict]:
    """The mean over seeds of each strategy and number of clips."""
    groups: dict[tuple, list[float]] = {}
    for record in records:
        values = groups.setdefault((record["strategy"], record["clips_per_class"]), [])
        values += [record["value"]] if record["value"] is not None else []
    rows = []
    for (strategy, count), values in groups.items():
        mean = mean_estimate(values) if values else Estimate(math.nan)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        row = {"strategy": strategy, "clips_per_class": count, "mean": mean.value, "spread": spread}
        rows.append({**row, "low": mean.low, "high": mean.high, "seeds": len(values)})
    return rows


def write_results(
    folder: Path, run: Experiment, results: Sequence[FoldResult]
) -> tuple[list[dict], list[dict]]:
    """Adds to the folder's files; returns its summary, and the predictions of this run."""
    records = _merged(read_records(folder), list(_records(run, results)))
    content = {"results": records, "summary": _summary(records)}
    files.write_atomic(folder / RESULTS, files.to_json(content, ensure_ascii=False))
    files.write_csv(folder / FEWSHOT, COLUMNS, records)
    path, predictions = folder / PREDICTIONS, list(_predictions(run, results))
    rows = _merged(files.read_csv(path, _KEY) if path.is_file() else [], predictions)
    files.write_csv(path, list(rows[-1]), rows)
    return content["summary"], predictions


def _predictions(run: Experiment, results: Iterable[FoldResult]) -> Iterator[dict]:
    """A row for each test clip; the second probability is the lowest of the true labels."""
    classes = run.dataset.classes
    for result in results:
        for clip, target, score in zip(result.clip_ids, result.target, result.score, strict=True):
            true, best = np.flatnonzero(target), int(score.argmax())
            predicted = np.flatnonzero(score >= 0.5) if run.dataset.multi_label else [best]
            yield {
                "strategy": run.strategy,
                "clips_per_class": result.clips_per_class or ALL,
                **_values(result, "seed", "fold"),
                "clip_id": clip,
                "label": ";".join(classes[n] for n in true),
                "predicted": ";".join(classes[n] for n in predicted),
                "probability": float(score[best]),
                "probability_of_label": float(score[true].min()) if len(true) else None,
            }
