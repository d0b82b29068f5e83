"""Runs side by side: their scores of the same clips, the differences, and how sure these are."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.commands import writable_folder
from panns_tf.evaluation.comparison_page import write_comparison_page
from panns_tf.evaluation.earlier import scores_of
from panns_tf.evaluation.evaluating import Wishes
from panns_tf.evaluation.measures import LEVEL
from panns_tf.evaluation.predicting import Hearing
from panns_tf.evaluation.scores import Scores, check_finite
from panns_tf.metrics import Bootstrap, Summary, bootstrap, summarise
from tfrecords.shards import write_atomic


@dataclasses.dataclass(frozen=True)
class Compared:
    """One run beside the first.

    Attributes:
        name: short, of its own.
        scores: with the clips in the order of the first run's.
        summary: of them.
        boot: replicates, or None.
        intervals: of mAP, mAUC and d-prime, by name; empty without replicates.
        differences: to the first, of the same; empty for the first.
        difference_intervals: of the differences.
        class_difference: (classes,) of average precision, NaN where undefined; zeros for the first.
        class_interval: (classes, 2), NaN where unknown.
    """

    name: str
    scores: Scores
    summary: Summary
    boot: Bootstrap | None
    intervals: dict[str, tuple[float, float]]
    differences: dict[str, float]
    difference_intervals: dict[str, tuple[float, float]]
    class_difference: np.ndarray
    class_interval: np.ndarray

    @property
    def better(self) -> np.ndarray:
        """Classes whose interval lies above 0: bool (classes,)."""
        return self.class_interval[:, 0] > 0

    @property
    def worse(self) -> np.ndarray:
        """Classes whose interval lies below 0: bool (classes,)."""
        return self.class_interval[:, 1] < 0


def compare(runs: Sequence[Path], hearing: Hearing | None, output: Path, wishes: Wishes) -> None:
    """Compares runs with the first, prints a table and writes the rest into a directory.

    Args:
        runs: run directories, models, or directories that hold ``scores.npz``.
        hearing: records that all are to be evaluated on, or None for scores there are.
        output: the directory.
        wishes: of evaluations that have to be made; ``bootstrap`` is also of the differences.

    Raises:
        ValueError: if scores are missing, or runs were evaluated on other clips or classes.
    """
    writable_folder(output)
    names = short_names(runs)
    scores = scores_of(runs, hearing, wishes)
    for each in scores:
        check_finite(each)
    found = side_by_side(names, scores, wishes.bootstrap)
    for line in table(found):
        print(line)
    output.mkdir(parents=True, exist_ok=True)
    written = [write_csv(output, found)]
    if wishes.report:
        written.append(write_comparison_page(output, found, notes(found), meaning(found)))
    print(f"Written: {', '.join(map(str, written))}")


def short_names(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell runs apart; a number where paths are the same."""
    parts = [run.absolute().parts for run in runs]
    # A file's name alone, best.keras, says little.
    inside = [run.is_file() or run.name == "saved_model" for run in runs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length - more :]) for part, more in zip(parts, inside, strict=True)]
        if len(set(names)) == len({*parts}):
            break
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered


def side_by_side(names: Sequence[str], scores: Sequence[Scores], replicates: int) -> list[Compared]:
    """Evaluates scores of the same clips, and their differences to the first.

    Args:
        names: of the runs.
        scores: of each, the clips in any order.
        replicates: of the bootstrap, drawn alike for all; 0 for no intervals.

    Raises:
        ValueError: if clips, labels or classes differ.
    """
    first = scores[0]
    found: list[Compared] = []
    for name, each in zip(names, scores, strict=True):
        ordered = each.ordered_as(first, (name, names[0]))
        summary = summarise(ordered.target, ordered.score)
        boot = bootstrap(ordered.target, ordered.score, replicates) if replicates else None
        base = found[0] if found else None
        found.append(_compared(name, ordered, summary, boot, base))
    return found


def _compared(
    name: str, scores: Scores, summary: Summary, boot: Bootstrap | None, first: Compared | None
) -> Compared:
    figures = ("mAP", "mAUC", "d_prime")
    intervals = {key: boot.interval(key, LEVEL) for key in figures} if boot else {}
    classes = len(summary.positives)
    differences, difference_intervals = {}, {}
    class_difference, class_interval = np.zeros(classes), np.full((classes, 2), np.nan)
    if first is not None:
        mine, theirs = summary.as_dict(), first.summary.as_dict()
        # Two perfect rankings differ by nothing, though infinity less infinity is undefined.
        differences = {
            key: 0.0 if mine[key] == theirs[key] else mine[key] - theirs[key] for key in figures
        }
        class_difference = summary.average_precision - first.summary.average_precision
        if boot is not None:
            paired = boot.minus(first.boot)
            difference_intervals = {key: paired.interval(key, LEVEL) for key in ("mAP", "mAUC")}
            class_interval = paired.class_interval("average_precision", LEVEL)
        class_interval[~summary.defined] = class_difference[~summary.defined] = np.nan
    return Compared(
        name,
        scores,
        summary,
        boot,
        intervals,
        differences,
        difference_intervals,
        class_difference,
        class_interval,
    )


def notes(found: Sequence[Compared]) -> list[str]:
    """What a reader must be told of runs that are compared."""
    said = [
        f"unfinished: {run.name}, {run.scores.meta['unfinished']}"
        for run in found
        if run.scores.meta.get("unfinished")
    ]
    heard = {run.name: run.scores.meta.get("heard", "") for run in found}
    if len(set(heard.values())) > 1:
        said.append(
            "the clips were heard differently: "
            + ", ".join(f"{name} {how}" for name, how in heard.items())
        )
    same: dict[str, str] = {}
    for run in found:
        digest = run.scores.meta.get("model_sha256")
        if (
            digest
            and digest in same
            and np.array_equal(
                run.scores.score, next(r.scores.score for r in found if r.name == same[digest])
            )
        ):
            said.append(f"the same model: {same[digest]} and {run.name}")
        same.setdefault(digest, run.name)
    said += [
        f"scores outside [0, 1]: {run.name}, {run.scores.score.min():.3g} to "
        f"{run.scores.score.max():.3g}; only their order counts here"
        for run in found
        if run.scores.score.min() < 0 or run.scores.score.max() > 1
    ]
    classes = int(found[0].summary.defined.sum())
    left_out = len(found[0].summary.positives) - classes
    if left_out:
        said.append(f"{left_out} classes without positive or negative clips are left out")
    return said


def meaning(found: Sequence[Compared]) -> str:
    """Says what the differences are, and what they are not."""
    first = found[0]
    if first.boot is None:
        return f"Differences are to {first.name}, without intervals (--bootstrap 0)."
    classes, percent = int(first.summary.defined.sum()), f"{100 * LEVEL:.0f} %"
    return (
        f"Differences are to {first.name}; their {percent} intervals come from "
        f"{len(first.boot.auc):,} resamples of the clips, drawn alike for all runs. A class counts "
        f"as better or worse where its interval leaves out 0; of {classes} classes that do not "
        f"differ about {classes * (1 - LEVEL):.3g} would by luck. How much another seed of "
        "training would change is not in them."
    )


def table(found: Sequence[Compared]) -> list[str]:
    """The lines for the person at the terminal."""
    width = max(len(run.name) for run in found)
    count = len(found[0].scores.score)
    lines = [f"{len(found)} runs on {count} clips, {len(found[0].scores.labels)} classes"]
    for number, run in enumerate(found):
        words = f"  {run.name:{width}}  mAP {run.summary.as_dict()['mAP']:.4f}"
        if run.intervals:
            words += " ({:.4f} to {:.4f})".format(*run.intervals["mAP"])
        if number:
            words += f"  difference {run.differences['mAP']:+.4f}"
        if run.difference_intervals:
            words += " ({:+.4f} to {:+.4f})".format(*run.difference_intervals["mAP"])
            words += f"  classes better {run.better.sum()}, worse {run.worse.sum()}"
        lines.append(words)
    return [*lines, *(f"  note: {note}" for note in notes(found)), f"  {meaning(found)}"]


def write_csv(output: Path, found: Sequence[Compared]) -> Path:
    """Writes ``comparison.csv``: the classes, and what each run has over the first.

    Columns: ``index``, ``label``, ``positives``; ``average_precision`` of each run; ``difference``,
    ``low`` and ``high`` of each but the first; a run's columns end in its name. Undefined figures
    are empty cells. Rows are those of the largest gain of the second run first.
    """
    columns: dict[str, Sequence] = {
        "index": range(len(found[0].scores.labels)),
        "label": found[0].scores.labels,
        "positives": found[0].summary.positives.tolist(),
    }
    for run in found:
        columns[f"average_precision {run.name}"] = run.summary.average_precision
    for run in found[1:]:
        columns[f"difference {run.name}"] = run.class_difference
        columns[f"low {run.name}"] = run.class_interval[:, 0]
        columns[f"high {run.name}"] = run.class_interval[:, 1]
    rows = list(zip(*columns.values(), strict=True))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for number in order_of(found):
        writer.writerow(_cell(value) for value in rows[number])
    path = output / "comparison.csv"
    write_atomic(path, text.getvalue().encode())
    return path


def order_of(found: Sequence[Compared]) -> np.ndarray:
    """Classes by the second run's gain, largest first, undefined ones last."""
    return np.argsort(-np.nan_to_num(found[1].class_difference, nan=-np.inf), kind="stable")


def _cell(value) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.6f}"
    return str(value)
