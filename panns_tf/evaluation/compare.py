"""Runs compared with the first: differences on the same clips, with intervals."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from panns_tf.evaluation.evaluate import evaluate
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
from panns_tf.metrics import METRICS, Estimate, bootstrap, summarise
from panns_tf.metrics.bootstrap import LEVEL, number
from panns_tf.run import find_model, short_names
from panns_tf.style import LIGHT
from tfrecords.files import check_output_folder, write_atomic
from tfrecords.text import text_table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

#: What must agree for scores to be of the same clips, given to the model in the same way.
_SAME = ("index_sha256", "window", "hop", "aggregate", "decimation")
_SHOWN = [metric for metric in METRICS if metric.in_training]


def compare(
    runs: Sequence[Path], records: EvalInput | None, output: Path, options: ReportOptions
) -> None:
    """Compares runs with the first, prints a table and writes the rest into a directory.

    Runs are run directories, models, or directories that hold ``scores.npz``. Without records their
    scores that are there are compared; else they are evaluated on these, with the options.
    """
    check_output_folder(output)
    names = run_names(runs)
    if records is None:
        scores = _common_scores(runs)
    else:
        scores = [_scores_on_records(run, records, options) for run in runs]
    rows, classes = compare_scores(names, scores, options.bootstrap)
    remarks, words = notes(names, scores, classes), meaning(names[0], classes, options.bootstrap)
    for line in printed(rows, scores):
        print(line)
    print(*(f"  note: {note}" for note in remarks), f"  {words}", sep="\n")
    output.mkdir(parents=True, exist_ok=True)
    written = [output / "comparison.csv"]
    write_atomic(written[0], classes.to_csv(index_label="index", float_format="%.6f"))
    if options.report:
        written.append(output / "comparison.html")
        others = names[1:]
        title = (
            f"{', '.join(others)} against {names[0]}" if len(others) < 3 else f"{len(names)} runs"
        )
        clips, data = len(scores[0].clip_ids), Path(scores[0].meta.get("data", "")).name
        render(
            written[1],
            title,
            [
                Section("Runs", [_run_table(rows), words]),
                Section(
                    "Class against class", [_chart(classes, names[0], x) for x in others], True
                ),
                Section("All classes", [_class_table(classes, names)]),
            ],
            kind="Comparison",
            lead=f"{clips:,} clips of {data}, {len(classes):,} classes.",
            notes=remarks,
        )
    print(f"Written: {', '.join(map(str, written))}")


def compare_scores(
    names: Sequence[str], scores: Sequence[Scores], replicates: int
) -> tuple[list[dict], "DataFrame"]:
    """Metrics of scores of the same clips, in any order, and their differences to the first.

    Returns:
        Of each run its ``name``, estimates by key and, but for the first, the ``difference`` of its
        mAP and how many classes are clearly ``better`` and ``worse``; and a table of the classes,
        those in which the second run gains most first, as ``comparison.csv`` has it.
    """
    import pandas as pd

    scores = [
        each.ordered_as(scores[0], (name, names[0]))
        for name, each in zip(names, scores, strict=True)
    ]
    target = scores[0].target
    summaries = [summarise(target, each.score) for each in scores]
    boots = [bootstrap(target, each.score, replicates) if replicates else None for each in scores]
    first, *_ = summaries
    rows = [
        {"name": name} | {m.key: m.estimate(target, each.score, summary, boot) for m in _SHOWN}
        for name, each, summary, boot in zip(names, scores, summaries, boots, strict=True)
    ]
    classes = {"label": scores[0].labels, "positives": first.positives}
    for name, summary in zip(names, summaries, strict=True):
        classes[f"average_precision {name}"] = summary.average_precision
    for row, name, summary, boot in zip(rows, names, summaries, boots, strict=True):
        if name == names[0]:
            continue
        ends, low, high = (), np.nan, np.nan
        if boot is not None:
            paired = boot.minus(boots[0])
            ends = paired.interval("mAP")
            low, high = np.where(
                first.defined, paired.class_interval("average_precision").T, np.nan
            )
            row |= {"better": int((low > 0).sum()), "worse": int((high < 0).sum())}
        row["difference"] = Estimate(summary.mean("mAP") - first.mean("mAP"), *ends)
        gain = summary.average_precision - first.average_precision
        classes[f"difference {name}"] = np.where(first.defined, gain, np.nan)
        classes |= {f"low {name}": low, f"high {name}": high}
    order = {"by": f"difference {names[1]}", "ascending": False, "kind": "stable"}
    return rows, pd.DataFrame(classes).sort_values(**order)


def run_names(runs: Sequence[Path]) -> list[str]:
    """Short names that tell runs apart; a number where one is given again."""
    names = short_names(list(runs))
    counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
    pairs = zip(names, counts, strict=True)
    return [name if count == 1 else f"{name} ({count})" for name, count in pairs]


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
        if scores.meta.items() >= records.as_dict().items():
            return scores
        run = Path(scores.meta["model"])
        if not run.exists():
            raise ValueError(
                f"{file} holds scores of other records or windows than --data {records.data}, and "
                f"the model {run} that gave them is gone; leave --data out or give a model"
            )
    model, output = find_model(run), default_output(run, records.data, records.windows)
    scores = matching_scores(output, model, records) if model.exists() else None
    if scores is not None:
        print(f"{run}: scores of {output} are used again")
        return scores
    print(f"{run}: evaluated on {records.data}")
    return evaluate(run, records, output, options)


def notes(names: Sequence[str], scores: Sequence[Scores], classes: "DataFrame") -> list[str]:
    """What a reader must know of runs that are compared."""
    pairs = list(zip(names, (each.meta for each in scores), strict=True))
    remarks = [
        f"unfinished: {name}, {meta['unfinished']}"
        for name, meta in pairs
        if meta.get("unfinished")
    ]
    if len({meta["heard"] for _, meta in pairs}) > 1:
        each = ", ".join(f"{name} {meta['heard']}" for name, meta in pairs)
        remarks.append(f"the models were given the clips differently: {each}")
    if left_out := classes[f"difference {names[1]}"].isna().sum():
        remarks.append(f"{left_out} classes without positive or negative clips are left out")
    return remarks


def meaning(first: str, classes: "DataFrame", replicates: int) -> str:
    """What the differences are, and what they are not."""
    known = classes.filter(like="difference").iloc[:, 0].count()
    if not replicates:
        return f"Differences are to {first}, without intervals (--bootstrap 0)."
    return (
        f"Differences are to {first}; their {100 * LEVEL:.0f} % intervals come from {replicates:,} "
        "resamples of the clips, drawn alike for all runs. A class counts as better or worse where "
        f"its interval leaves out 0; of {known} classes that do not differ about "
        f"{known * (1 - LEVEL):.3g} would by luck. How much another seed of training would "
        "change is not in them."
    )


def printed(rows: Sequence[dict], scores: Sequence[Scores]) -> Iterator[str]:
    """The lines of a comparison."""
    clips, classes = scores[0].score.shape
    yield f"{len(rows)} runs on {clips} clips, {classes} classes"
    table = [("", "mAP", "difference", "classes better", "classes worse")]
    for row in rows:
        difference = row["difference"].text(4, signed=True) if "difference" in row else ""
        counts = row.get("better"), row.get("worse")
        table.append((row["name"], row["mAP"].text(4), difference, *counts))
    yield from (f"  {line}" for line in text_table(table).splitlines())


def _run_table(rows: Sequence[dict]) -> Table:
    columns = {
        "name": Column("Run"),
        **{m.key: Column(m.name, "bar" if m.share else "number", digits=4) for m in _SHOWN},
        "difference": Column("Difference of mAP", "difference", digits=4),
        "better": Column("Classes better", "count"),
        "worse": Column("Classes worse", "count"),
    }
    return Table(list(columns.values()), [[row.get(key) for key in columns] for row in rows])


def _clear(classes: "DataFrame", name: str) -> tuple["Series", "Series"]:
    """Which classes are clearly better, and clearly worse, than the first run's."""
    return classes[f"low {name}"] > 0, classes[f"high {name}"] < 0


def _chart(classes: "DataFrame", first: str, name: str) -> Chart:
    better, worse = _clear(classes, name)
    known = classes[f"difference {name}"].notna()
    groups = {
        "could be luck": (classes[known & ~better & ~worse], LIGHT.muted),
        "better": (classes[better], LIGHT.series[0]),
        "worse": (classes[worse], LIGHT.series[1]),
    }
    axis_names = [f"average_precision {each}" for each in (first, name)]

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        for label, (group, color) in groups.items():
            x, y = (group[each] for each in axis_names)
            axes.scatter(x, y, 18, color, alpha=0.7, label=label, gid=label)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set(xlabel=f"AP of {first}", ylabel=f"AP of {name}")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    tooltips = {
        label: [
            f"{label}: {number(x)} and {number(y)}"
            for label, x, y in zip(
                group["label"], *(group[each] for each in axis_names), strict=True
            )
        ]
        for label, (group, _) in groups.items()
    }
    alt = f"Average precision of {name} against {first}: {better.sum()} classes clearly better, "
    caption = f"Above the dotted line {name} is better."
    return Chart(name, draw, f"{alt}{worse.sum()} clearly worse", caption, tooltips)


def _class_table(classes: "DataFrame", names: Sequence[str]) -> Table:
    columns = {
        Column("Class"): classes["label"],
        Column("Positives", "count", "clips with the class"): classes["positives"],
    }
    for name in names:
        columns[Column(f"AP {name}", "number")] = classes[f"average_precision {name}"]
    for name in names[1:]:
        found = (classes[f"{what} {name}"] for what in ("difference", "low", "high"))
        column = Column(f"Difference {name}", "difference", f"to {names[0]}")
        columns[column] = list(map(Estimate, *found))
    clear = np.any([which for name in names[1:] for which in _clear(classes, name)], axis=0)
    rows = list(zip(*columns.values(), strict=True))
    only = ("clear differences only", clear)
    return Table(list(columns), rows, sortable=True, least="Positives", only=only)
