"""The report of a transfer run: lines for the terminal, and a page."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from panns_tf.evaluation import page as blocks
from panns_tf.figures.fewshot import ALL, STRATEGIES
from panns_tf.metrics import average_precision
from panns_tf.metrics.bootstrap import Estimate as Interval
from panns_tf.metrics.bootstrap import number
from panns_tf.style import LIGHT
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.results import by_count, summary_of
from panns_tf.transfer.scores import (
    Estimate,
    FoldResult,
    class_scores,
    confusion,
    defined_classes,
    estimate,
    macro_f1,
    mean_chance,
)
from tfrecords.text import some, text_table

FILE_NAME = "report.html"
#: Rows of the table of mistakes.
_MISTAKES = 20
_MEANING = {
    "accuracy": "Share of clips whose label has the highest probability.",
    "mAP@3": "Mean over clips of 1 / rank of the label among the first three, else 0.",
    "mAP": "Mean over the classes of average precision.",
}


def report_lines(
    run: Experiment, results: Sequence[FoldResult], records: Sequence[dict]
) -> Iterator[str]:
    """The lines that the command prints at its end.

    Args:
        run: what was run.
        results: of all folds, seeds and numbers of clips.
        records: of all runs in the folder, for the table of strategies and numbers of clips.
    """
    weights = f" from {run.weights}" if run.weights else ""
    yield f"{run.title}: {run.arch}, {_strategy(run.strategy)}{weights}; {run.metric}"
    groups = by_count(results)
    count, shown = list(groups.items())[-1]
    if len(results) > 1 and len(groups) == 1:
        rows = [("fold", "seed", run.metric, "95 % interval", "training clips", "time")]
        for result in shown:
            one = estimate([result], run.metric)
            cells = result.fold, result.seed, number(one.value), _interval(one)
            rows.append((*cells, result.training_clips, duration(result.seconds)))
        yield from _aligned(rows)
    if len(groups) > 1 or count is not None:
        counts, rows = _by_strategy(summary_of(records))
        yield f"  {run.metric}, mean over folds (± standard deviation over seeds):"
        yield from _aligned([("clips of each class", *counts), *rows])
    whole = estimate(shown, run.metric)
    yield f"  {_mean_of(whole, count)}: {number(whole.value)} {_interval(whole)}"
    if len(results) == 1:
        yield f"  {shown[0].training_clips} training clips, {len(shown[0].clip_ids)} test clips"
    yield from (f"  {text}" for text in _spreads(whole))
    paper, why_not = run.paper(count)
    if paper is not None or why_not:
        yield f"  paper (Cnn14): {why_not if paper is None else number(paper)}"
    yield f"  chance: {number(mean_chance(run.metric, shown))}"
    yield from (f"note: {note}" for note in _notes(run, results))


def _strategy(name: str) -> str:
    return STRATEGIES.get(name, name)


def _aligned(rows: Sequence[Sequence]) -> Iterator[str]:
    yield from (f"    {line}" for line in text_table(rows).splitlines())


def _interval(one: Estimate) -> str:
    return "" if math.isnan(one.low) else f"({number(one.low)} to {number(one.high)})"


def _spreads(whole: Estimate) -> list[str]:
    spreads = {"folds": whole.fold_spread, "seeds": whole.seed_spread}
    known = {what: spread for what, spread in spreads.items() if not math.isnan(spread)}
    return [f"standard deviation over {what}: {number(value)}" for what, value in known.items()]


def _mean_of(whole: Estimate, count: int | None) -> str:
    parts = [f"{whole.folds} folds"] if whole.folds > 1 else []
    parts += [f"{whole.seeds} seeds"] if whole.seeds > 1 else []
    what = f"mean of {' and '.join(parts)}" if parts else "result"
    return what if count is None else f"{what}, {count} clip{'s' * (count > 1)} of a class"


def _notes(run: Experiment, results: Sequence[FoldResult]) -> list[str]:
    """What a reader must know of trainings, and of what has no value."""
    notes = []
    for result in results:
        place = f"fold {result.fold}: " if len(results) > 1 else ""
        notes += [f"{place}{note}" for note in result.notes]
    for count, group in by_count(results).items():
        place = "" if count is None else f"{count} clips of a class: "
        notes += [f"{place}{note}" for note in estimate(group, run.metric).notes]
    return list(dict.fromkeys(notes))


def _by_strategy(summary: Sequence[dict]) -> tuple[list[str], list[tuple[str, ...]]]:
    """The numbers of clips, the fewest first, and of each strategy its name and a text for each."""
    counts = {row["clips_per_class"] for row in summary}
    counts = sorted(counts, key=lambda count: math.inf if count == ALL else count)
    cells: dict[str, dict] = {}
    for row in summary:
        spread = "" if row["spread"] is None else f" ± {number(row['spread'])}"
        text = number(row["mean"]) + spread
        cells.setdefault(row["strategy"], {})[row["clips_per_class"]] = text
    rows = [
        (_strategy(name), *(texts.get(count, "") for count in counts))
        for name, texts in cells.items()
    ]
    return [str(count) for count in counts], rows


def duration(seconds: float) -> str:
    """A time for a person."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def write_page(
    output: Path, run: Experiment, results: Sequence[FoldResult], records: Sequence[dict]
) -> None:
    """Writes ``report.html``; arguments as of `report_lines`."""
    count, shown = list(by_count(results).items())[-1]
    first = [result for result in shown if result.seed == shown[0].seed]
    scope = [f"the {len(first)} folds together"] if len(first) > 1 else []
    scope += [f"seed {first[0].seed}"] if len(first) < len(shown) else []
    scope += [f"{count} training clips of each class"] if count is not None else []
    scope = [f"Of {'; '.join(scope)}."] if scope else []
    several = run.dataset.multi_label
    sections = [
        blocks.Section("Summary", _tiles(run, shown, count)),
        blocks.Section("Folds", [_folds(run, shown)]),
        blocks.Section("Strategies and clips", _strategies(run, records)),
        blocks.Section("Confusion", [] if several else [*scope, _confusion(run, first)]),
        blocks.Section("Classes", [*scope, _classes(run, first)]),
        blocks.Section("Mistakes", [*scope, _mistakes(run, first)]),
        blocks.Section("Settings", [dict(_settings(run))]),
    ]
    tested = len({clip for result in shown for clip in result.clip_ids})
    took = f"; {duration(run.seconds)} in all" if run.seconds is not None else ""
    classes = len(run.dataset.classes)
    blocks.render(
        output / FILE_NAME,
        f"{run.arch} on {run.title}",
        sections,
        kind="Transfer",
        lead=f"{_strategy(run.strategy)}: {tested:,} test clips, {classes} classes{took}.",
        notes=[*run.dataset.notes, *_notes(run, results)],
    )


def _tiles(run: Experiment, shown: Sequence[FoldResult], count: int | None) -> list:
    whole = estimate(shown, run.metric)
    words = [_MEANING[run.metric], *(f"{text}." for text in (_mean_of(whole, count),))]
    meaning = " ".join([*words, *(f"{text}." for text in _spreads(whole))])
    found = Interval(whole.value, whole.low, whole.high)
    tiles = [blocks.Tile(run.metric, found, meaning, key=run.metric)]

    def add(name: str, value: float, meaning: str, key: str) -> None:
        tiles.append(blocks.Tile(name, value, meaning, key=key))

    paper, why_not = run.paper(count)
    if paper is not None:
        add("The paper", paper, "Cnn14, the same strategy, clips and folds (Tables XIII to "
            "XVIII).", "paper")  # fmt: skip
    add("Chance", mean_chance(run.metric, shown), "What random scores give.", "chance")
    if not run.dataset.multi_label:
        matrix = confusion([result for result in shown if result.seed == shown[0].seed])
        add("Macro F1", macro_f1(matrix), "Mean over the classes, all folds together.", "macro_f1")
    note = (
        "Intervals of 95 % are over the choice of test clips, given the trained networks; clips of "
        "one group are resampled together."
    )
    return [tiles, note + (f" The paper: {why_not}." if why_not else "")]


def _folds(run: Experiment, shown: Sequence[FoldResult]) -> blocks.Table:
    kinds = {"Fold": "text", "Seed": "count", run.metric: "bar", "Test clips": "count",
             "Training clips": "count", "Time": "text"}  # fmt: skip
    rows = []
    for result in shown:
        one = estimate([result], run.metric)
        cells = (
            result.fold,
            result.seed,
            Interval(one.value, one.low, one.high),
            len(result.clip_ids),
        )
        rows.append((*cells, result.training_clips, duration(result.seconds)))
    return blocks.Table([blocks.Column(*kind) for kind in kinds.items()], rows)


def _strategies(run: Experiment, records: Sequence[dict]) -> list[blocks.Table]:
    summary = summary_of(records)
    counts, rows = _by_strategy(summary)
    columns = [blocks.Column("Strategy"), *(blocks.Column(count) for count in counts)]
    caption = f"{run.metric} by training clips of each class: mean over folds, ± standard "
    table = blocks.Table(columns, rows, f"{caption}deviation over seeds")
    return [table] if len(summary) > 1 else []


def _confusion(run: Experiment, results: Sequence[FoldResult]) -> blocks.Chart:
    matrix = confusion(results)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    classes = run.dataset.classes

    def draw(axes: Axes) -> None:
        for true, predicted in zip(*matrix.nonzero(), strict=True):
            colour, alpha = (
                LIGHT.series[int(true != predicted)],
                0.2 + 0.6 * shares[true, predicted],
            )
            place = (predicted - 0.5, true - 0.5)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=colour, linewidth=0, alpha=alpha))
            if len(classes) <= 15:
                axes.text(predicted, true, matrix[true, predicted], ha="center", va="center")
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        axes.xaxis.tick_top()
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")

    inches = 2 + max(2.5, 0.2 * len(classes))
    right = f"Confusion matrix: {np.trace(matrix)} of {matrix.sum()} clips on the diagonal"
    caption = "A row is a label, a column the most probable class."
    return blocks.Chart("", draw, right, caption, size=(inches, inches))


def _classes(run: Experiment, results: Sequence[FoldResult]) -> blocks.Table:
    classes = run.dataset.classes
    if run.dataset.multi_label:
        target, score = (
            np.concatenate([getattr(result, name) for result in results])
            for name in ("target", "score")
        )
        ap = np.where(defined_classes(target), average_precision(target, score), np.nan)
        kinds = {"Class": "text", "AP": "bar", "Clips": "count"}
        rows = list(zip(classes, ap, target.sum(axis=0), strict=True))
    else:
        matrix = confusion(results)
        values = class_scores(matrix)
        wrong = matrix - np.diag(np.diag(matrix))
        others = [f"{classes[row.argmax()]} ({row.max()})" if row.any() else "" for row in wrong]
        kinds = {"Class": "text", "F1": "bar", "Recall": "bar", "Precision": "number",
                 "Clips": "count", "Most often predicted instead": "text"}  # fmt: skip
        columns = [values[key] for key in ("f1", "recall", "precision", "clips")]
        rows = list(zip(classes, *columns, others, strict=True))
    rows.sort(key=lambda row: (math.isnan(row[1]), row[1]))
    columns = [blocks.Column(*kind) for kind in kinds.items()]
    return blocks.Table(columns, rows, sortable=True, least="Clips")


def _mistakes(run: Experiment, results: Sequence[FoldResult]) -> blocks.Table:
    """The most certain mistakes: wrong classes; with several labels, false alarms and misses."""
    classes, found = run.dataset.classes, []
    for result in results:
        error = np.abs(result.target - result.score)
        if not run.dataset.multi_label:
            best = result.score.argmax(axis=1)
            wrong = np.arange(len(classes)) == best[:, None]
            error = np.where(wrong & (result.target == 0), result.score, 0)
        order = np.argsort(-error, axis=None, kind="stable")[:_MISTAKES]
        places = zip(*np.unravel_index(order, error.shape), strict=True)
        found += [(-error[place], result, *place) for place in places if error[place] > 0]
    rows = []
    for _, result, clip, label in sorted(found, key=lambda mistake: mistake[0])[:_MISTAKES]:
        true = [classes[n] for n in np.flatnonzero(result.target[clip])]
        kind = "not predicted: " if result.target[clip, label] else ""
        cells = result.clip_ids[clip], result.fold, some(true) or "none", kind + classes[label]
        rows.append((*cells, float(result.score[clip, label])))
    columns = [blocks.Column(name) for name in ("Clip", "Fold", "Labels", "Predicted")]
    columns.append(blocks.Column("Probability", "number"))
    return blocks.Table(columns, rows, "" if rows else "None: every clip was recognised.")


def _settings(run: Experiment) -> list[tuple[str, object]]:
    names = {"Task": run.title, "Network": run.arch, "Strategy": _strategy(run.strategy)}
    values = {**names, "Weights": run.weights or "random", **run.settings}
    return [(name, "–" if value is None else value) for name, value in values.items()]
