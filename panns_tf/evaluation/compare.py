"""Runs compared with the first: differences on the same clips, with intervals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.evaluation.evaluate import evaluate
from panns_tf.evaluation.measures import LEVEL
from panns_tf.evaluation.options import EvalInput, ReportOptions
from panns_tf.evaluation.page import Chart, Column, Section, Table, render
from panns_tf.evaluation.scores import (
    Scores,
    cached_scores,
    default_output,
    load_scores,
    matching_scores,
    scores_file,
)
from panns_tf.metrics import bootstrap, summarise
from panns_tf.metrics.bootstrap import Estimate, number
from panns_tf.run import find_model, short_names
from panns_tf.style import LIGHT
from tfrecords.files import check_output_folder, write_csv

_METRICS = ("mAP", "mAUC", "d_prime")
#: What must agree for scores to be of the same clips, given to the model in the same way.
_SAME = ("index_sha256", "window", "hop", "aggregate", "decimation")


class Compared:
    """One run compared with the first, whose clips are in the same order.

    Attributes:
        summary, boot: metrics of the scores, and their replicates or None.
        intervals: of mAP, mAUC and d-prime; empty without replicates.
        differences, difference_intervals: to the first; empty for the first itself.
        class_difference: (classes,) of average precision, NaN where undefined; zeros for the first.
        class_interval: (classes, 2), NaN where unknown.
        better, worse: classes whose interval lies above 0, or below: bool (classes,).
    """

    def __init__(self, name: str, scores: Scores, replicates: int, first: "Compared | None" = None):
        self.name, self.scores = name, scores
        self.summary = summarise(scores.target, scores.score)
        self.boot = bootstrap(scores.target, scores.score, replicates) if replicates else None
        self.intervals = {key: self.boot.interval(key, LEVEL) for key in _METRICS if self.boot}
        self.differences: dict[str, float] = {}
        self.difference_intervals: dict[str, tuple[float, float]] = {}
        undefined = ~self.summary.defined
        self.class_difference = np.zeros(len(undefined))
        self.class_interval = np.full((len(undefined), 2), np.nan)
        if first is not None:
            mine, theirs = self.summary.as_dict(), first.summary.as_dict()
            # Two perfect rankings differ by nothing, though infinity less infinity is undefined.
            self.differences = {
                key: 0.0 if mine[key] == theirs[key] else mine[key] - theirs[key]
                for key in _METRICS
            }
            precision = self.summary.average_precision
            self.class_difference = precision - first.summary.average_precision
            if self.boot is not None:
                paired = self.boot.minus(first.boot)
                for key in ("mAP", "mAUC"):
                    self.difference_intervals[key] = paired.interval(key, LEVEL)
                self.class_interval = paired.class_interval("average_precision", LEVEL)
            self.class_interval[undefined] = self.class_difference[undefined] = np.nan
        self.better, self.worse = self.class_interval[:, 0] > 0, self.class_interval[:, 1] < 0


def compare(
    runs: Sequence[Path], records: EvalInput | None, output: Path, options: ReportOptions
) -> None:
    """Compares runs with the first, prints a table and writes the rest into a directory.

    Args:
        runs: run directories, models, or directories that hold ``scores.npz``.
        records: on which all are evaluated, or None for scores that are there.
        output: the directory.
        options: of evaluations that have to be made; ``bootstrap`` is also of the differences.

    Raises:
        ValueError: if scores are missing, or runs were evaluated on other clips or classes.
    """
    check_output_folder(output)
    names = run_names(runs)
    compared = compare_scores(names, scores_of(runs, records, options), options.bootstrap)
    for line in table(compared):
        print(line)
    output.mkdir(parents=True, exist_ok=True)
    written = [output / "comparison.csv"]
    _write_classes(written[0], compared)
    if options.report:
        written.append(output / "comparison.html")
        _write_page(written[1], compared)
    print(f"Written: {', '.join(map(str, written))}")


def run_names(runs: Sequence[Path]) -> list[str]:
    """Short names that tell runs apart; a number where one is given again."""
    names = short_names(list(runs))
    counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [
        name if count == 1 else f"{name} ({count})"
        for name, count in zip(names, counts, strict=True)
    ]


def scores_of(
    runs: Sequence[Path], records: EvalInput | None, options: ReportOptions
) -> list[Scores]:
    """Returns the scores of each run, for records or those that are there; as `compare`."""
    if records is not None:
        scores = [_scores_on_records(run, records, options) for run in runs]
    else:
        scores = _common_scores(runs)
    for each in scores:
        each.check_finite()
    return scores


def _common_scores(runs: Sequence[Path]) -> list[Scores]:
    def key(scores: Scores) -> tuple:
        return tuple(scores.meta.get(name) for name in _SAME)

    candidates = [cached_scores(run) for run in runs]
    common = set.intersection(*({key(scores) for scores in each} for each in candidates))
    if len(common) == 1 or all(len(each) == 1 for each in candidates):
        # One each may differ in clips or windows; the comparison names the difference.
        return [next(x for x in each if len(each) == 1 or key(x) in common) for each in candidates]
    raise ValueError(
        f"the runs have {len(common)} evaluations in common, not one; choose with --data and "
        "--window, or give the directories of their scores.npz"
    )


def _scores_on_records(run: Path, records: EvalInput, options: ReportOptions) -> Scores:
    if (file := scores_file(run)) is not None:
        scores = load_scores(file)
        if all(scores.meta.get(name) == value for name, value in records.as_dict().items()):
            return scores
        model = Path(str(scores.meta.get("model")))
        if not model.exists():
            raise ValueError(
                f"{file} holds scores of other records or windows than --data {records.data}, and "
                f"the model {model} that gave them is gone; leave --data out or give a model"
            )
        run = model
    model = find_model(run)
    output = default_output(run, records.data, records.windows)
    scores = matching_scores(output, model, records) if model.exists() else None
    if scores is not None:
        print(f"{run}: scores of {output} are used again")
        return scores
    print(f"{run}: evaluated on {records.data}")
    return evaluate(run, records, output, options)


def compare_scores(
    names: Sequence[str], scores: Sequence[Scores], replicates: int
) -> list[Compared]:
    """Evaluates scores of the same clips, in any order, and their differences to the first.

    Raises:
        ValueError: if clips, labels or classes differ.
    """
    compared: list[Compared] = []
    for name, each in zip(names, scores, strict=True):
        ordered = each.ordered_as(scores[0], (name, names[0]))
        compared.append(Compared(name, ordered, replicates, *compared[:1]))
    return compared


def notes(compared: Sequence[Compared]) -> list[str]:
    """What a reader must know of runs that are compared."""
    remarks = [
        f"unfinished: {run.name}, {run.scores.meta['unfinished']}"
        for run in compared
        if run.scores.meta.get("unfinished")
    ]
    inputs = {run.name: run.scores.meta.get("heard", "") for run in compared}
    if len(set(inputs.values())) > 1:
        each = ", ".join(f"{name} {how}" for name, how in inputs.items())
        remarks.append(f"the models were given the clips differently: {each}")
    left_out = int((~compared[0].summary.defined).sum())
    if left_out:
        remarks.append(f"{left_out} classes without positive or negative clips are left out")
    return remarks


def meaning(compared: Sequence[Compared]) -> str:
    """What the differences are, and what they are not."""
    first = compared[0]
    if first.boot is None:
        return f"Differences are to {first.name}, without intervals (--bootstrap 0)."
    classes = int(first.summary.defined.sum())
    return (
        f"Differences are to {first.name}; their {100 * LEVEL:.0f} % intervals come from "
        f"{len(first.boot.auc):,} resamples of the clips, drawn alike for all runs. A class counts "
        f"as better or worse where its interval leaves out 0; of {classes} classes that do not "
        f"differ about {classes * (1 - LEVEL):.3g} would by luck. How much another seed of "
        "training would change is not in them."
    )


def table(compared: Sequence[Compared]) -> list[str]:
    """The lines printed of a comparison."""
    width = max(len(run.name) for run in compared)
    clips, classes = compared[0].scores.score.shape
    lines = [f"{len(compared)} runs on {clips} clips, {classes} classes"]
    for run in compared:
        words = f"  {run.name:{width}}  mAP {run.summary.as_dict()['mAP']:.4f}"
        if run.intervals:
            words += " ({:.4f} to {:.4f})".format(*run.intervals["mAP"])
        if run.differences:
            words += f"  difference {run.differences['mAP']:+.4f}"
        if run.difference_intervals:
            words += " ({:+.4f} to {:+.4f})".format(*run.difference_intervals["mAP"])
            words += f"  classes better {run.better.sum()}, worse {run.worse.sum()}"
        lines.append(words)
    remarks = [f"  note: {note}" for note in notes(compared)]
    return [*lines, *remarks, f"  {meaning(compared)}"]


def class_order(compared: Sequence[Compared]) -> np.ndarray:
    """Classes by the second run's gain, largest first, undefined ones last."""
    gain = np.nan_to_num(compared[1].class_difference, nan=-np.inf)
    return np.argsort(-gain, kind="stable")


def _write_classes(path: Path, compared: Sequence[Compared]) -> None:
    """Writes ``comparison.csv``, a row a class; a run's columns end in its name."""
    names, columns = ["index", "label", "positives"], []
    for run in compared:
        names.append(f"average_precision {run.name}")
        columns.append(run.summary.average_precision)
    for run in compared[1:]:
        names += [f"{what} {run.name}" for what in ("difference", "low", "high")]
        columns += [run.class_difference, *run.class_interval.T]
    labels, positives = compared[0].scores.labels, compared[0].summary.positives
    rows = []
    for n in class_order(compared):
        numbers = ("" if np.isnan(column[n]) else f"{column[n]:.6f}" for column in columns)
        rows.append([n, labels[n], positives[n], *numbers])
    write_csv(path, names, rows)


def _write_page(path: Path, compared: Sequence[Compared]) -> None:
    clips, classes = compared[0].scores.score.shape
    others = ", ".join(run.name for run in compared[1:])
    title = f"{others} against {compared[0].name}" if len(compared) < 4 else f"{len(compared)} runs"
    data = Path(str(compared[0].scores.meta.get("data", ""))).name
    sections = [
        Section("Runs", [_run_table(compared), meaning(compared)]),
        Section("Class against class", [_chart(compared[0], run) for run in compared[1:]], True),
        Section("All classes", [_class_table(compared)]),
    ]
    lead = f"{clips:,} clips of {data}, {classes:,} classes."
    render(path, title, sections, kind="Comparison", lead=lead, notes=notes(compared))


def _run_table(compared: Sequence[Compared]) -> Table:
    columns = [
        Column("Run"),
        Column("mAP", "bar", digits=4),
        Column("mAUC", "number", digits=4),
        Column("Difference of mAP", "difference", digits=4),
        Column("Classes better", "count"),
        Column("Classes worse", "count"),
    ]
    rows = []
    for run in compared:
        means = run.summary.as_dict()
        ap, difference = Estimate(means["mAP"], *run.intervals.get("mAP", ())), None
        if run.differences:
            ends = run.difference_intervals.get("mAP", ())
            difference = Estimate(run.differences["mAP"], *ends)
        counts = [None, None]
        if run.difference_intervals:
            counts = [run.better.sum(), run.worse.sum()]
        rows.append((run.name, ap, means["mAUC"], difference, *counts))
    return Table(columns, rows)


def _chart(first: Compared, run: Compared) -> Chart:
    used = first.summary.defined
    kinds = (
        ("could be luck", ~(run.better | run.worse), LIGHT.muted),
        ("better", run.better, LIGHT.series[0]),
        ("worse", run.worse, LIGHT.series[1]),
    )
    x, y = first.summary.average_precision, run.summary.average_precision

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        for label, which, color in kinds:
            at = used & which
            axes.scatter(x[at], y[at], s=18, alpha=0.7, color=color, label=label, gid=label)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set(xlabel=f"AP of {first.name}", ylabel=f"AP of {run.name}")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    tooltips = {
        label: [
            f"{first.scores.labels[n]}: {number(x[n])} and {number(y[n])}"
            for n in np.flatnonzero(used & which)
        ]
        for label, which, _ in kinds
    }
    alt = (
        f"Average precision of {used.sum()} classes, {run.name} against {first.name}: "
        f"{run.better.sum()} clearly better, {run.worse.sum()} clearly worse"
    )
    caption = f"Above the dotted line {run.name} is better."
    return Chart(run.name, draw, alt, caption, tooltips)


def _class_table(compared: Sequence[Compared]) -> Table:
    others = compared[1:]
    columns = [Column("Class"), Column("Positives", "count", "clips with the class")]
    columns += [Column(f"AP {run.name}", "number") for run in compared]
    values = [compared[0].scores.labels, compared[0].summary.positives]
    values += [run.summary.average_precision for run in compared]
    for run in others:
        hint = f"to {compared[0].name}"
        columns.append(Column(f"Difference {run.name}", "difference", hint))
        values.append(list(map(Estimate, run.class_difference, *run.class_interval.T)))
    order = class_order(compared)
    clear = np.any([run.better | run.worse for run in others], axis=0)
    rows = list(zip(*values, strict=True))
    return Table(
        columns,
        [rows[n] for n in order],
        sortable=True,
        least="Positives",
        only=("clear differences only", clear[order]),
    )
