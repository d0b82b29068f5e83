"""The report of a transfer run: lines for the terminal, and a page."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import ConfusionMatrixDisplay
from tqdm import tqdm

from panns_tf.evaluation import page
from panns_tf.figures.fewshot import ALL, STRATEGIES, fewshot
from panns_tf.metrics import average_precision
from panns_tf.metrics.bootstrap import number
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.results import FEWSHOT, write_results
from panns_tf.transfer.scores import FoldResult, class_scores, estimate, mean_chance
from tfrecords.text import some

#: Rows of the table of mistakes.
_MISTAKES = 20
_MEANING = {
    "accuracy": "Share of clips whose label has the highest probability.",
    "mAP@3": "Mean over clips of 1 / rank of the label among the first three, else 0.",
    "mAP": "Mean over the classes of average precision.",
}
_INTERVALS = (
    "Intervals of 95 % are over the choice of test clips, given the trained networks; clips of one "
    "group are resampled together."
)
#: What columns hold besides texts.
_KINDS = {
    **dict.fromkeys(("Seed", "Test clips", "Training clips", "Clips"), "count"),
    **dict.fromkeys((*_MEANING, "AP", "F1", "Recall", "Precision"), "bar"),
    "Probability": "number",
}


def write_report(output: Path, run: Experiment, results: Sequence[FoldResult]) -> list[str]:
    """Writes the files of a run's results beside those of earlier runs; returns lines to print."""
    summary, predictions = write_results(output, run, results)
    if any(row["clips_per_class"] != ALL and row["seeds"] for row in summary):
        for chart in fewshot([output / FEWSHOT], "curves", with_paper=not run.why_not):
            chart.save(output)
    report = Report(run, results, summary)
    report.write_page(output / "report.html", predictions)
    return list(report.lines())


class Report:
    """What is reported of a run and, by the summary, of all runs in its folder."""

    def __init__(self, run: Experiment, results: Sequence[FoldResult], summary: Sequence[dict]):
        self._run, self._strategy, self._summary = run, STRATEGIES[run.strategy], summary
        # The last results are those of the largest number of clips of each class.
        count, seed = results[-1].clips_per_class, results[-1].seed
        self._shown = [result for result in results if result.clips_per_class == count]
        self._last = [result for result in self._shown if result.seed == seed]
        self._whole = estimate(self._shown, run.metric)
        self._paper, self._why_not = run.paper(count)
        self._chance = mean_chance(run.metric, self._shown)
        self._count = count or ALL
        whole = self._whole
        means = f"mean of folds ({whole.folds}) and seeds ({whole.seeds})"
        self._what = f"{means}, {self._count} clips of each class"
        spreads = number(whole.fold_spread), number(whole.seed_spread)
        self._spreads = "standard deviation over folds: {}; over seeds: {}".format(*spreads)
        self._target, self._score = (
            np.concatenate([getattr(result, name) for result in self._last])
            for name in ("target", "score")
        )
        self._scores = class_scores(self._target, self._score)
        notes = [f"fold {result.fold}: {note}" for result in results for note in result.notes]
        self._notes = list(dict.fromkeys([*notes, *self._whole.notes]))

    def lines(self) -> Iterator[str]:
        """The lines that the command prints at its end."""
        run = self._run
        weights = f" from {run.weights}" if run.weights else ""
        yield f"{run.title}: {run.arch}, {self._strategy}{weights}; {run.metric}"
        yield textwrap.indent(self._folds().text, "    ")
        if len(self._summary) > 1:
            yield f"  {self._strategies().caption}:"
            yield textwrap.indent(self._strategies().text, "    ")
        yield f"  {self._what}: {self._whole.text()}"
        yield f"  {self._spreads}"
        if self._paper is not None or self._why_not:
            yield f"  paper (Cnn14): {self._why_not or number(self._paper)}"
        yield f"  chance: {number(self._chance)}"
        yield from (f"note: {note}" for note in self._notes)

    def write_page(self, path: Path, predictions: Sequence[dict]) -> None:
        run, classes, several = self._run, self._run.dataset.classes, self._run.dataset.multi_label
        seed, folds = self._last[0].seed, some([result.fold for result in self._last], 20)
        scope = f"Fold {folds}; seed {seed}; {self._count} training clips of each class."
        names = {"Task": run.title, "Network": run.arch, "Strategy": self._strategy}
        settings = {**names, "Weights": run.weights or "random", **run.settings}
        clips = sum(len(result.clip_ids) for result in self._last)
        seconds = tqdm.format_interval(run.seconds or 0)
        page.render(
            path,
            f"{run.arch} on {run.title}",
            [
                page.Section("Summary", self._tiles()),
                page.Section("Folds", [self._folds()]),
                page.Section("Strategies and clips", [self._strategies()]),
                page.Section("Confusion", [] if several else [scope, self._confusion()]),
                page.Section("Classes", [scope, self._classes()]),
                page.Section("Mistakes", [scope, self._mistakes(predictions)]),
                page.Section("Settings", [settings]),
            ],
            kind="Transfer",
            lead=f"{self._strategy}: {clips:,} test clips, {len(classes)} classes; took {seconds}.",
            notes=[*run.dataset.notes, *self._notes],
        )

    def _folds(self) -> page.Table:
        rows = [("Fold", "Seed", self._run.metric, "Test clips", "Training clips", "Time")]
        for result in self._shown:
            found, clips = estimate([result], self._run.metric), len(result.clip_ids)
            seconds = tqdm.format_interval(result.seconds)
            rows.append((result.fold, result.seed, found, clips, result.training_clips, seconds))
        return _table(rows)

    def _strategies(self) -> page.Table:
        """A row for each strategy, a column for each number of clips."""
        cells: dict[str, dict] = {}
        for row in self._summary:
            spread = "" if math.isnan(row["spread"]) else f" ± {number(row['spread'])}"
            texts = cells.setdefault(STRATEGIES[row["strategy"]], {})
            texts[row["clips_per_class"]] = number(row["mean"]) + spread
        counts = {count for texts in cells.values() for count in texts}
        counts = sorted(counts, key=lambda count: math.inf if count == ALL else count)
        rows = [
            (name, *(texts.get(count, "") for count in counts)) for name, texts in cells.items()
        ]
        caption = f"{self._run.metric}, mean over folds (± standard deviation over seeds)"
        return _table([("Clips of each class", *map(str, counts)), *rows], caption=caption)

    def _tiles(self) -> list:
        metric = self._run.metric
        meaning = f"{_MEANING[metric]} {self._what}; {self._spreads}."
        tiles = [
            page.Tile(metric, self._whole, meaning, key=metric),
            page.Tile("Chance", self._chance, "What random scores give.", key="chance"),
        ]
        if self._paper is not None:
            source = "Cnn14, the same strategy, clips and folds (Tables XIII to XVIII)."
            tiles.append(page.Tile("The paper", self._paper, source, key="paper"))
        if not self._run.dataset.multi_label:
            macro = float(np.nanmean(self._scores["f1"]))
            tiles.append(page.Tile("Macro F1", macro, "Mean over the classes.", key="macro_f1"))
        return [tiles, _INTERVALS + (f" The paper: {self._why_not}." if self._why_not else "")]

    def _confusion(self) -> page.Chart:
        matrix, classes = self._scores["confusion"], self._run.dataset.classes
        options = {"include_values": len(classes) <= 15, "cmap": "Blues", "colorbar": False}

        def draw(axes: Axes) -> None:
            display = ConfusionMatrixDisplay(matrix, display_labels=classes)
            display.plot(ax=axes, xticks_rotation="vertical", **options)

        inches = 2 + max(2.5, 0.2 * len(classes))
        alt = f"Confusion matrix: {np.trace(matrix)} of {matrix.sum()} clips on the diagonal"
        return page.Chart("", draw, alt, size=(inches, inches))

    def _classes(self) -> page.Table:
        """A row for each class, the worst first."""
        classes, clips = self._run.dataset.classes, self._target.sum(axis=0).astype(int)
        if self._run.dataset.multi_label:
            columns = {"AP": average_precision(self._target, self._score), "Clips": clips}
        else:
            wrong = self._scores["confusion"] * (1 - np.eye(len(classes), dtype=int))
            others = [f"{classes[n.argmax()]} ({n.max()})" if n.any() else "" for n in wrong]
            names = ("f1", "recall", "precision")
            columns = {name.capitalize(): self._scores[name] for name in names}
            columns |= {"Clips": clips, "Most often instead": others}
        rows = list(zip(classes, *columns.values(), strict=True))
        rows.sort(key=lambda row: (math.isnan(row[1]), row[1]))
        return _table([("Class", *columns), *rows], sortable=True, least="Clips")

    def _mistakes(self, predictions: Sequence[dict]) -> page.Table:
        """The surest wrong predictions."""
        count = sum(len(result.clip_ids) for result in self._last)
        wrong = [row for row in predictions[-count:] if row["label"] != row["predicted"]]
        wrong.sort(key=lambda row: -row["probability"])
        names = ("clip_id", "fold", "label", "predicted", "probability")
        rows = [[row[name] for name in names] for row in wrong[:_MISTAKES]]
        heading = ("Clip", "Fold", "Labels", "Predicted", "Probability")
        return _table([heading, *rows], caption="" if rows else "Every clip was recognised.")


def _table(rows: Sequence[Sequence], **options) -> page.Table:
    """A table whose first row is its heading."""
    columns = [page.Column(name, _KINDS.get(name, "text")) for name in rows[0]]
    return page.Table(columns, rows[1:], **options)
