"""Runs compared with the first: differences on the same clips, with intervals."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from panns_tf.evaluation.evaluate import evaluate
from panns_tf.evaluation.page import Chart, Column, Section, Table, render
from panns_tf.evaluation.scores import (
    FILE_NAME,
    EvaluateSettings,
    Scores,
    default_output,
    evaluations_folder,
    load_scores,
    model_sha256,
)
from panns_tf.metrics import METRICS, Estimate, bootstrap
from panns_tf.metrics.bootstrap import LEVEL
from panns_tf.run import find_model, short_names
from panns_tf.style import LIGHT
from tfrecords.files import check_output_folder, write_atomic

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = [metric for metric in METRICS if metric.in_training]
_COLUMNS = (
    Column("Run"),
    *(Column(metric.name, "bar" if metric.share else "number", digits=4) for metric in _SHOWN),
    Column("Difference of mAP", "difference", digits=4),
    *(Column("Classes better", "count"), Column("Classes worse", "count")),
)


def compare(runs: Sequence[Path], settings: EvaluateSettings, output: Path) -> None:
    """Compares runs, or folders of ``scores.npz``, with the first; prints and writes the results.

    Runs are evaluated on the settings' data where they have not been; without data their only
    evaluations are compared.
    """
    check_output_folder(output)
    names, scores = short_names(runs), [_scores_of(run, settings) for run in runs]
    table, classes = compare_scores(names, scores, settings.bootstrap)
    (clips, _), first, others = scores[0].score.shape, names[0], names[1:]
    remarks, words = notes(names, scores, classes), meaning(first, classes, settings.bootstrap)
    print(f"{len(runs)} runs on {clips} clips, {len(classes)} classes")
    for line in [*table.text.splitlines(), *(f"note: {note}" for note in remarks), words]:
        print(f"  {line}")
    output.mkdir(parents=True, exist_ok=True)
    written = [output / "comparison.csv"]
    write_atomic(written[0], classes.to_csv(index_label="index", float_format="%.6f"))
    if settings.report:
        written.append(output / "comparison.html")
        render(
            written[1],
            f"{', '.join(others)} against {first}" if len(others) < 3 else f"{len(runs)} runs",
            [
                Section("Runs", [table, words]),
                Section("Class against class", [_chart(classes, first, x) for x in others], True),
                Section("All classes", [_class_table(classes, names)]),
            ],
            kind="Comparison",
            lead=f"{clips:,} clips of {scores[0].meta.get('data', '')}, {len(classes):,} classes.",
            notes=remarks,
        )
    print(f"Written: {', '.join(map(str, written))}")


def compare_scores(
    names: Sequence[str], scores: Sequence[Scores], replicates: int
) -> tuple[Table, "DataFrame"]:
    """A table of runs and one of classes, as in ``comparison.csv``, of scores of the same clips.

    Differences are to the first run, NaN where undefined; what the second gains most comes first.
    """
    import pandas as pd

    target = scores[0].target
    classes = pd.DataFrame({"label": scores[0].labels, "positives": target.sum(axis=0)})
    rows, boots = [], []
    for name, each in zip(names, scores, strict=True):
        score = each.ordered_as(scores[0], (name, names[0])).score
        boots.append(bootstrap(target, score, replicates))
        rows.append([name, *(metric.estimate(target, score, boots[-1]) for metric in _SHOWN)])
        classes[f"average_precision {name}"] = boots[-1].summary.average_precision
    rows[0] += [None, None, None]
    for name, row, boot in zip(names[1:], rows[1:], boots[1:], strict=True):
        paired = boot.minus(boots[0])
        gain = boot.summary.average_precision - boots[0].summary.average_precision
        low, high = paired.class_interval("average_precision").T
        for what, values in {"difference": gain, "low": low, "high": high}.items():
            classes[f"{what} {name}"] = np.where(boots[0].summary.defined, values, np.nan)
        verdicts = _verdict(classes, name)
        counts = [(verdicts == word).sum() for word in ("better", "worse")]
        row.append(Estimate(paired.estimate("mAP"), *paired.interval("mAP")))
        row += counts if replicates else [None, None]
    classes = classes.sort_values(f"difference {names[1]}", ascending=False, kind="stable")
    return Table(_COLUMNS, rows), classes


def _scores_of(run: Path, settings: EvaluateSettings) -> Scores:
    """Scores in the folder itself; else of the run's model for the data, or the only ones."""
    if (run / FILE_NAME).is_file():
        scores = load_scores(run / FILE_NAME)
        if settings.data is None or scores.meta.items() >= settings.as_dict().items():
            return scores
        run = Path(scores.meta["model"])  # evaluated anew
    model = find_model(run)
    if not model.exists():
        raise ValueError(
            f"{run} does not exist; expected a run directory, a model or a directory that holds "
            f"{FILE_NAME}, of the records of --data and windows if these are given"
        )
    if settings.data is None:
        folder, digest = evaluations_folder(run), model_sha256(model)
        every = [load_scores(file) for file in sorted(folder.glob(f"*/{FILE_NAME}"))]
        found = [scores for scores in every if scores.meta["model_sha256"] == digest]
        if len(found) != 1:
            raise ValueError(
                f"{folder} holds {len(found)} evaluations of the present model of {run}, not one; "
                "give the folder of one of them, or --data for all runs"
            )
        return found[0]
    output = default_output(run, settings)
    wanted = {**settings.as_dict(), "model_sha256": model_sha256(model)}
    with contextlib.suppress(ValueError):  # what is missing or damaged is made again
        scores = load_scores(output / FILE_NAME)
        damaged = scores.meta.get("damaged_clips") and settings.damaged == "raise"
        if scores.meta.items() >= wanted.items() and not damaged:
            print(f"{run}: scores of {output} are used again")
            return scores
    print(f"{run}: evaluated on {settings.data}")
    return evaluate(run, settings, output)


def notes(names: Sequence[str], scores: Sequence[Scores], classes: "DataFrame") -> list[str]:
    """What a reader must know of runs that are compared."""
    unfinished = {
        name: each.meta.get("unfinished") for name, each in zip(names, scores, strict=True)
    }
    remarks = [f"unfinished: {name}, {what}" for name, what in unfinished.items() if what]
    heard = [each.meta["heard"] for each in scores]
    if len(set(heard)) > 1:
        each = ", ".join(map(" ".join, zip(names, heard, strict=True)))
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


def _verdict(classes: "DataFrame", name: str) -> np.ndarray:
    """In words, of each class, whether the interval of its difference leaves out 0."""
    sides = [classes[f"low {name}"] > 0, classes[f"high {name}"] < 0]
    return np.select(sides, ["better", "worse"], "could be luck")


def _chart(classes: "DataFrame", first: str, name: str) -> Chart:
    colours = {"could be luck": LIGHT.muted, "better": LIGHT.series[0], "worse": LIGHT.series[1]}
    known = classes[classes[f"difference {name}"].notna()]
    x, y = (f"average_precision {each}" for each in (first, name))

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        for verdict, group in known.groupby(_verdict(known, name)):
            axes.scatter(group[x], group[y], 18, colours[verdict], alpha=0.7, label=verdict)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set(xlabel=f"AP of {first}", ylabel=f"AP of {name}")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    alt = f"Average precision of {len(known)} classes, {name} against {first}"
    return Chart(name, draw, alt, f"Above the dotted line {name} is better.")


def _class_table(classes: "DataFrame", names: Sequence[str]) -> Table:
    positives = Column("Positives", "count", "clips with the class")
    columns = {Column("Class"): classes["label"], positives: classes["positives"]}
    for name in names:
        columns[Column(f"AP {name}", "number")] = classes[f"average_precision {name}"]
    for name in names[1:]:
        found = (classes[f"{what} {name}"] for what in ("difference", "low", "high"))
        column = Column(f"Difference {name}", "difference", f"to {names[0]}")
        columns[column], verdicts = map(Estimate, *found), _verdict(classes, name)
        columns[Column(f"{name} is", hint="whether the interval leaves out 0")] = verdicts
    rows = list(zip(*columns.values(), strict=True))
    return Table(list(columns), rows, sortable=True, least="Positives")
