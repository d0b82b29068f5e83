"""The report of a transfer run: lines for the terminal, and a page."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from sklearn.metrics import ConfusionMatrixDisplay

from panns_tf.evaluation import page
from panns_tf.figures.fewshot import ALL, STRATEGIES, fewshot
from panns_tf.metrics import average_precision
from panns_tf.metrics.bootstrap import Estimate, number
from panns_tf.style import LIGHT
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.results import FEWSHOT, by_count, summary_of, write_results
from panns_tf.transfer.scores import (
    FoldResult,
    class_scores,
    defined_classes,
    estimate,
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
#: Kinds of the columns of the table of folds.
_FOLDS = ("text", "count", "bar", "count", "count", "text")
_INTERVALS = (
    "Intervals of 95 % are over the choice of test clips, given the trained networks; clips of one "
    "group are resampled together."
)


def write_report(output: Path, run: Experiment, results: Sequence[FoldResult]) -> list[str]:
    """Writes the files of a run's results beside those of earlier runs of the same task.

    ``results.json`` holds everything, ``predictions.csv`` a row for each test clip,
    ``fewshot.csv`` what `panns-tf plot fewshot` draws, ``report.html`` a page for people; with few
    clips of each class ``curves.png``, ``.svg`` and ``.csv`` are the figure. Returns the lines to
    print.
    """
    records = write_results(output, run, results)
    if any(record["clips_per_class"] != ALL and record["value"] is not None for record in records):
        for chart in fewshot([output / FEWSHOT], "curves", with_paper=not run.why_not):
            chart.save(output)
    report = Report(run, results, records)
    report.write_page(output / FILE_NAME)
    return list(report.lines())


class Report:
    """What is reported of a run: of its largest number of clips of each class the whole.

    Args:
        run: what was run.
        results: of all folds, seeds and numbers of clips.
        records: of all runs in the folder, for the table of strategies and numbers of clips.
    """

    def __init__(self, run: Experiment, results: Sequence[FoldResult], records: Sequence[dict]):
        self._run, self._strategy = run, STRATEGIES[run.strategy]
        groups = by_count(results)
        self._several_counts = len(groups) > 1
        self._count, self._shown = list(groups.items())[-1]
        self._whole = estimate(self._shown, run.metric)
        self._paper, self._why_not = run.paper(self._count)
        self._chance = mean_chance(run.metric, self._shown)
        self._summary = summary_of(records)
        self._first = [result for result in self._shown if result.seed == self._shown[0].seed]
        self._target, self._score = (
            np.concatenate([getattr(result, name) for result in self._first])
            for name in ("target", "score")
        )
        self._scores = class_scores(self._target, self._score)
        notes = []
        for result in results:
            place = f"fold {result.fold}: " if len(results) > 1 else ""
            notes += [f"{place}{note}" for note in result.notes]
        for count, group in groups.items():
            place = "" if count is None else f"{count} clips of a class: "
            notes += [f"{place}{note}" for note in estimate(group, run.metric).notes]
        self._notes = list(dict.fromkeys(notes))

    def lines(self) -> Iterator[str]:
        """The lines that the command prints at its end."""
        run, whole, shown = self._run, self._whole, self._shown
        weights = f" from {run.weights}" if run.weights else ""
        yield f"{run.title}: {run.arch}, {self._strategy}{weights}; {run.metric}"
        if len(shown) > 1 and not self._several_counts:
            rows = [[cell.text() if isinstance(cell, Estimate) else cell for cell in row]
                    for row in self._folds()]  # fmt: skip
            yield from (f"    {line}" for line in text_table(rows).splitlines())
        if self._several_counts or self._count is not None:
            yield f"  {run.metric}, mean over folds (± standard deviation over seeds):"
            yield from (
                f"    {line}" for line in text_table(_by_strategy(self._summary)).splitlines()
            )
        yield f"  {self._mean_of()}: {whole.text()}"
        if len(shown) == 1:
            yield f"  {shown[0].training_clips} training clips, {len(shown[0].clip_ids)} test clips"
        yield from (f"  {text}" for text in self._spreads())
        if self._paper is not None or self._why_not:
            yield f"  paper (Cnn14): {self._why_not or number(self._paper)}"
        yield f"  chance: {number(self._chance)}"
        yield from (f"note: {note}" for note in self._notes)

    def write_page(self, path: Path) -> None:
        """Writes ``report.html``."""
        run, classes, several = self._run, self._run.dataset.classes, self._run.dataset.multi_label
        folds = some([result.fold for result in self._first], 20)
        count = self._count or ALL
        scope = f"Fold {folds}; seed {self._shown[0].seed}; {count} training clips of each class."
        caption = f"{run.metric}: mean over folds, ± standard deviation over seeds"
        rows = _by_strategy(self._summary)
        strategies = _table(rows, ["text"] * len(rows[0]), caption=caption)
        names = {"Task": run.title, "Network": run.arch, "Strategy": self._strategy}
        settings = {**names, "Weights": run.weights or "random", **run.settings}
        tested = len({clip for result in self._shown for clip in result.clip_ids})
        took = f"; {duration(run.seconds)} in all" if run.seconds is not None else ""
        page.render(
            path,
            f"{run.arch} on {run.title}",
            [
                page.Section("Summary", self._tiles()),
                page.Section("Folds", [_table(self._folds(), _FOLDS)]),
                page.Section(
                    "Strategies and clips", [strategies] if len(self._summary) > 1 else []
                ),
                page.Section("Confusion", [] if several else [scope, self._confusion()]),
                page.Section("Classes", [scope, self._classes()]),
                page.Section("Mistakes", [scope, self._mistakes()]),
                page.Section("Settings", [settings]),
            ],
            kind="Transfer",
            lead=f"{self._strategy}: {tested:,} test clips, {len(classes)} classes{took}.",
            notes=[*run.dataset.notes, *self._notes],
        )

    def _mean_of(self) -> str:
        whole, count = self._whole, self._count
        parts = [f"{whole.folds} folds"] if whole.folds > 1 else []
        parts += [f"{whole.seeds} seeds"] if whole.seeds > 1 else []
        what = f"mean of {' and '.join(parts)}" if parts else "result"
        return what if count is None else f"{what}, {count} clip{'s' * (count > 1)} of a class"

    def _spreads(self) -> list[str]:
        spreads = {"folds": self._whole.fold_spread, "seeds": self._whole.seed_spread}
        return [
            f"standard deviation over {what}: {number(spread)}"
            for what, spread in spreads.items()
            if not math.isnan(spread)
        ]

    def _folds(self) -> list[tuple]:
        heading = ("fold", "seed", self._run.metric, "test clips", "training clips", "time")
        rows = []
        for result in self._shown:
            clips = len(result.clip_ids), result.training_clips
            found = estimate([result], self._run.metric)
            rows.append((result.fold, result.seed, found, *clips, duration(result.seconds)))
        return [heading, *rows]

    def _tiles(self) -> list:
        run = self._run
        meaning = [
            _MEANING[run.metric],
            *(f"{text}." for text in (self._mean_of(), *self._spreads())),
        ]
        tiles = [
            page.Tile(run.metric, self._whole, " ".join(meaning), key=run.metric),
            page.Tile("Chance", self._chance, "What random scores give.", key="chance"),
        ]
        if self._paper is not None:
            source = "Cnn14, the same strategy, clips and folds (Tables XIII to XVIII)."
            tiles.append(page.Tile("The paper", self._paper, source, key="paper"))
        if not run.dataset.multi_label:
            macro = float(np.nanmean(self._scores["f1"]))
            source = "Mean over the classes, all folds together."
            tiles.append(page.Tile("Macro F1", macro, source, key="macro_f1"))
        return [tiles, _INTERVALS + (f" The paper: {self._why_not}." if self._why_not else "")]

    def _confusion(self) -> page.Chart:
        matrix, classes = self._scores["confusion"], self._run.dataset.classes
        colour = LIGHT.series[0]
        colours = LinearSegmentedColormap.from_list("", [f"{colour}00", f"{colour}b0"])

        def draw(axes: Axes) -> None:
            ConfusionMatrixDisplay(matrix, display_labels=classes).plot(
                include_values=len(classes) <= 15,
                cmap=colours,
                xticks_rotation="vertical",
                ax=axes,
                colorbar=False,
                text_kw={"color": LIGHT.text},
            )

        inches = 2 + max(2.5, 0.2 * len(classes))
        alt = f"Confusion matrix: {np.trace(matrix)} of {matrix.sum()} clips on the diagonal"
        return page.Chart("", draw, alt, size=(inches, inches))

    def _classes(self) -> page.Table:
        classes, clips = self._run.dataset.classes, self._target.sum(axis=0).astype(int)
        if self._run.dataset.multi_label:
            ap = average_precision(self._target, self._score)
            ap = np.where(defined_classes(self._target), ap, np.nan)
            kinds = {"Class": "text", "AP": "bar", "Clips": "count"}
            rows = list(zip(classes, ap, clips, strict=True))
        else:
            matrix = self._scores["confusion"]
            wrong = matrix - np.diag(np.diag(matrix))
            others = [
                f"{classes[row.argmax()]} ({row.max()})" if row.any() else "" for row in wrong
            ]
            kinds = {"Class": "text", "F1": "bar", "Recall": "bar", "Precision": "number",
                     "Clips": "count", "Most often predicted instead": "text"}  # fmt: skip
            scores = [self._scores[key] for key in ("f1", "recall", "precision")]
            rows = list(zip(classes, *scores, clips, others, strict=True))
        rows.sort(key=lambda row: (math.isnan(row[1]), row[1]))
        return _table([kinds, *rows], kinds.values(), sortable=True, least="Clips")

    def _mistakes(self) -> page.Table:
        """The surest mistakes: wrong classes; with several labels, false alarms and misses."""
        classes, target, score = self._run.dataset.classes, self._target, self._score
        clips = [(clip, result.fold) for result in self._first for clip in result.clip_ids]
        error = np.abs(target - score)
        if not self._run.dataset.multi_label:
            wrong = (score == score.max(axis=1, keepdims=True)) & (target == 0)
            error = np.where(wrong, score, 0)
        rows = []
        for place in np.argsort(-error, axis=None, kind="stable")[:_MISTAKES].tolist():
            clip, label = divmod(place, len(classes))
            if error[clip, label] > 0:
                true = some([classes[n] for n in np.flatnonzero(target[clip])]) or "none"
                kind = "not predicted: " if target[clip, label] else ""
                rows.append((*clips[clip], true, kind + classes[label], float(score[clip, label])))
        heading = ("Clip", "Fold", "Labels", "Predicted", "Probability")
        caption = "" if rows else "None: every clip was recognised."
        return _table([heading, *rows], ["text"] * 4 + ["number"], caption=caption)


def _by_strategy(summary: Sequence[dict]) -> list[tuple[str, ...]]:
    """A row for each strategy, a column for each number of clips, and the heading."""
    cells: dict[str, dict] = {}
    for row in summary:
        spread = "" if math.isnan(row["spread"]) else f" ± {number(row['spread'])}"
        text = number(row["mean"]) + spread
        cells.setdefault(row["strategy"], {})[row["clips_per_class"]] = text
    counts = {count for texts in cells.values() for count in texts}
    counts = sorted(counts, key=lambda count: math.inf if count == ALL else count)
    rows = [
        (STRATEGIES[name], *(texts.get(count, "") for count in counts))
        for name, texts in cells.items()
    ]
    return [("clips of each class", *map(str, counts)), *rows]


def _table(rows: Sequence[Sequence], kinds: Iterable[str], **options) -> page.Table:
    """A table whose first row is its heading."""
    columns = [page.Column(name, kind) for name, kind in zip(rows[0], kinds, strict=True)]
    return page.Table(columns, rows[1:], **options)


def duration(seconds: float) -> str:
    """A time for a person."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
