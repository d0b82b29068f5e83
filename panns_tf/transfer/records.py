"""Results as tables in files, to which another run adds its own.

What is kept of each number of clips and seed of a strategy is replaced when it comes again.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from panns_tf.ablation.statistics import estimate
from panns_tf.commands import write_whole
from panns_tf.metrics import average_precision
from panns_tf.plots.chart import as_csv
from panns_tf.plots.fewshot import ALL, COLUMNS
from panns_tf.plots.published import STRATEGIES
from panns_tf.training.callbacks import finite
from panns_tf.transfer.beside import beside
from panns_tf.transfer.certainty import figure, interval, overall
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo
from panns_tf.transfer.scoring import by_class, confusion

RESULTS, FEWSHOT, PREDICTIONS = "results.json", "fewshot.csv", "predictions.csv"
_KEY = ("strategy", "clips_per_class", "seed")
#: From this score on a class counts as predicted where clips may have several.
THRESHOLD = 0.5


def by_count(results: Iterable[FoldResult]) -> dict[int | None, list[FoldResult]]:
    """Groups results by the number of clips of each class, the fewest first, all last."""
    groups: dict[int | None, list[FoldResult]] = {}
    for result in results:
        groups.setdefault(result.clips_per_class, []).append(result)
    return dict(sorted(groups.items(), key=lambda pair: pair[0] or math.inf))


def records_of(run: RunInfo, results: Sequence[FoldResult]) -> list[dict]:
    """Everything of a run as JSON takes it: an object for each number of clips and seed."""
    found = []
    for count, group in by_count(results).items():
        for seed in dict.fromkeys(result.seed for result in group):
            folds = [result for result in group if result.seed == seed]
            whole, other = overall(folds, run.metric), beside(run, folds)
            record = {
                "task": run.name,
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
                "chance": other.chance,
                "paper": other.paper,
                "project": other.project.value if other.project else None,
                "comparable": run.comparable,
                "why_not": other.why_not or run.why_not,
                "folds": [_fold(run, result) for result in folds],
                "classes": list(run.classes),
                "multi_label": run.multi_label,
                "settings": {key: _plain(value) for key, value in run.settings.items()},
                "notes": [*run.notes, *whole.notes],
                "seconds": run.seconds,
            }
            found.append(finite(record))
    return found


def _fold(run: RunInfo, result: FoldResult) -> dict:
    low, high = interval(result, run.metric)
    fold = {
        "fold": result.fold,
        "value": figure(result, run.metric),
        "low": low,
        "high": high,
        "tested_clips": len(result.clip_ids),
        "training_clips": result.training_clips,
        "steps": result.steps,
        "seconds": result.seconds,
        "notes": list(result.notes),
    }
    if run.multi_label:
        return fold | {"average_precision": average_precision(result.target, result.score).tolist()}
    matrix = confusion(result.target, result.score)
    classes = by_class(matrix)
    return fold | {
        "macro_f1": classes.macro_f1,
        "recall": classes.recall.tolist(),
        "f1": classes.f1.tolist(),
        "confusion": matrix.tolist(),
    }


def _plain(value):
    return value if isinstance(value, int | float | bool | None | str) else str(value)


def read_records(folder: Path) -> list[dict]:
    """Reads what earlier runs left in a folder; nothing if there is none.

    Raises:
        ValueError: in one line, if it is damaged.
    """
    path = folder / RESULTS
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["results"]
        for record in found:
            _ = [record[name] for name in (*_KEY, *COLUMNS, "arch", "classes")]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}); remove it, or choose another --output"
        ) from None
    return found


def check_folder(folder: Path, run: RunInfo) -> None:
    """Raises ValueError if a folder holds results that a run's cannot stand beside.

    To be called before work is done whose results could not be written.
    """
    mine = (run.name, run.arch, run.metric, list(run.classes))
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


def forget(folder: Path, run: RunInfo) -> None:
    """Removes results that a run's cannot stand beside, if the folder holds such."""
    try:
        check_folder(folder, run)
    except ValueError:
        for name in (RESULTS, FEWSHOT, PREDICTIONS):
            (folder / name).unlink(missing_ok=True)


def merged(old: Iterable[dict], new: Sequence[dict]) -> list[dict]:
    """Old and new rows; of those of the same strategy, number of clips and seed the new ones."""
    taken = {_key(row) for row in new}
    rows = [*(row for row in old if _key(row) not in taken), *new]
    return sorted(rows, key=lambda row: _order(_key(row)))


def _key(row: dict) -> tuple[str, str, str]:
    return tuple(str(row[name]) for name in _KEY)


def _order(key: tuple[str, str, str]) -> tuple:
    strategy, count, seed = key
    known = list(STRATEGIES)
    place = known.index(strategy) if strategy in known else len(known)
    return place, strategy, math.inf if count == ALL else int(count), int(seed)


def summary_of(records: Iterable[dict]) -> list[dict]:
    """The mean over seeds of each strategy and number of clips, in the order of the records.

    The interval is Student's t over seeds; None for one seed.
    """
    groups: dict[tuple, list[float]] = {}
    for record in records:
        values = groups.setdefault((record["strategy"], record["clips_per_class"]), [])
        if record["value"] is not None:
            values.append(record["value"])
    rows = []
    for (strategy, count), values in groups.items():
        found = estimate(values)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        rows.append(
            {
                "strategy": strategy,
                "clips_per_class": count,
                "mean": found.mean if found else None,
                "spread": spread,
                "low": found.low if found else None,
                "high": found.high if found else None,
                "seeds": len(values),
            }
        )
    return rows


def write_records(folder: Path, records: Sequence[dict]) -> list[Path]:
    """Writes ``results.json`` and ``fewshot.csv``; returns their paths."""
    content = {"results": list(records), "summary": summary_of(records)}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    write_whole(folder / RESULTS, text.encode())
    rows = [{name: record[name] for name in COLUMNS} for record in records]
    write_whole(folder / FEWSHOT, as_csv(rows).encode())
    return [folder / RESULTS, folder / FEWSHOT]


def predictions_of(run: RunInfo, results: Iterable[FoldResult]) -> list[dict]:
    """A row for each tested clip.

    Where clips have several labels these, and the predicted ones (a score of 0.5 or more), are
    joined by ``;``; the first probability is then the highest, the second the lowest of the true
    labels, empty if there is none.
    """
    rows = []
    for result in results:
        for clip, target, score in zip(result.clip_ids, result.target, result.score, strict=True):
            true, best = np.flatnonzero(target), int(score.argmax())
            called = np.flatnonzero(score >= THRESHOLD) if run.multi_label else [best]
            rows.append(
                {
                    "strategy": run.strategy,
                    "clips_per_class": result.clips_per_class or ALL,
                    "seed": result.seed,
                    "fold": result.fold,
                    "clip_id": clip,
                    "label": ";".join(run.classes[n] for n in true),
                    "predicted": ";".join(run.classes[n] for n in called),
                    "probability": float(score[best]),
                    "probability_of_label": float(score[true].min()) if len(true) else None,
                }
            )
    return rows


def write_predictions(folder: Path, rows: Sequence[dict]) -> Path:
    """Writes ``predictions.csv``, with the rows of earlier runs that these do not replace."""
    path, old = folder / PREDICTIONS, []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            old = [row for row in csv.DictReader(file) if set(_KEY) <= set(row)]
    write_whole(path, as_csv(merged(old, rows)).encode())
    return path
