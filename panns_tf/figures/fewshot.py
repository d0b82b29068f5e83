"""Transfer with few clips of each class: the paper's Figures 6 to 11."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from panns_tf.figures.chart import Chart, Point, draw_curve, point
from panns_tf.style import Theme, series_style
from tfrecords.files import read_csv

COLUMNS = ("task", "strategy", "clips_per_class", "seed", "metric", "value")
ALL = "all"
_OWN = "this project"
#: Strategies of transfer with their names: the paper's four, and what it does not have.
STRATEGIES = {
    "scratch": "scratch",
    "freeze_l1": "Freeze_L1",
    "freeze_l3": "Freeze_L3",
    "finetune": "fine-tune",
    "linear_probe": "linear probe",
}


@dataclasses.dataclass(frozen=True)
class PublishedTask:
    """Results of the paper for one of its six tasks, with all training clips.

    Attributes:
        title: of the task.
        metric: in which the paper gives them.
        scratch, freeze_l1, freeze_l3, finetune: the results; None where the printed source is in
            doubt.
    """

    title: str
    metric: str
    scratch: float
    freeze_l1: float | None
    freeze_l3: float
    finetune: float

    def results(self) -> dict[str, float]:
        """The results that are known, by strategy."""
        values = {name: getattr(self, name, None) for name in STRATEGIES}
        return {name: value for name, value in values.items() if value is not None}


#: Tables XIII to XVIII.
PUBLISHED = {
    "esc50": PublishedTask("ESC-50", "accuracy", 0.833, 0.908, 0.918, 0.947),
    "dcase2019_task1": PublishedTask("DCASE 2019 task 1", "accuracy", 0.691, None, 0.607, 0.764),
    "dcase2018_task2": PublishedTask("DCASE 2018 task 2", "mAP@3", 0.902, 0.717, 0.768, 0.941),
    "msos": PublishedTask("MSoS", "accuracy", 0.760, 0.886, 0.930, 0.960),
    "gtzan": PublishedTask("GTZAN", "accuracy", 0.758, 0.827, 0.858, 0.915),
    "ravdess": PublishedTask("RAVDESS", "accuracy", 0.692, 0.397, 0.401, 0.721),
}


def fewshot(paths: Iterable[str | Path], name: str = "fewshot", with_paper: bool = True) -> Chart:
    """Draws how well each strategy does with a growing number of clips: a panel for each task.

    Args:
        paths: of CSV files with the columns ``task,strategy,clips_per_class,seed,metric,value``,
            a row for each training; ``clips_per_class`` is a whole number or ``all``. Strategies
            are those of `STRATEGIES`, or others.
        name: of the files.
        with_paper: whether to draw the paper's results, which are of its own clips and folds.

    Returns:
        Means and ranges over seeds. Hollow markers at ``all`` are the paper's.

    Raises:
        ValueError: for a damaged file, or a task with values of several metrics.

    Source: Figures 6 to 11, and Tables XIII to XVIII.
    """
    results, notes = read_results(paths)
    known, rows = list(PUBLISHED), []
    for task in sorted(results, key=lambda t: (known.index(t) if t in known else len(known), t)):
        metric, values = results[task]
        paper = PUBLISHED.get(task) if with_paper else None
        if paper and paper.metric != metric:
            notes.append(f"{task}: {metric} measured; the paper has {paper.metric}, not drawn")
            paper = None
        published = paper.results() if paper else {}
        for strategy in _in_order(values):
            key = {"task": task, "strategy": strategy}
            for clips, seeds in sorted(values[strategy].items()):
                mean = point(clips, list(seeds.values()))
                rows.append({**key, **_row(mean, metric, _OWN)})
            if strategy in published:
                numbers = Point(math.inf, published[strategy], None, None, None)
                rows.append({**key, **_row(numbers, metric, "paper")})
    if any(row["source"] == "paper" for row in rows):
        notes.append("hollow marks: the paper's results, with all clips")
    return Chart(name, rows, lambda theme: _draw(rows, theme), notes)


def _row(mean: Point, metric: str, source: str) -> dict:
    return {
        "clips_per_class": ALL if mean.x == math.inf else int(mean.x),
        "metric": metric,
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "seeds": mean.count,
        "source": source,
    }


def read_results(paths: Iterable[str | Path]) -> tuple[dict, list[str]]:
    """Reads result files.

    Returns:
        ``{task: (metric, {strategy: {clips: {seed: value}}})}``, all clips being infinity; and
        a line for each row without a value.

    Raises:
        ValueError: in one line, with the file and the line.
    """
    results: dict[str, tuple[str, dict]] = {}
    notes: list[str] = []
    for path in map(Path, paths):
        if not path.is_file():
            raise ValueError(f"no such file: {path}; expected CSV with {','.join(COLUMNS)}")
        for number, row in enumerate(read_csv(path, required=COLUMNS), 2):
            _add(row, f"{path.name}, line {number}", results, notes)
    if not results:
        raise ValueError(f"no result in {', '.join(map(str, paths))}")
    return results, notes


def _add(row: Mapping[str, str], where: str, results: dict, notes: list[str]) -> None:
    task, strategy, count, seed, metric, value = (row[name].strip() for name in COLUMNS)
    task = task.lower() if task.lower() in PUBLISHED else task
    # `fine-tune`, `Fine_tune` and `finetune` are one strategy.
    plain = re.sub("[^a-z0-9]", "", strategy.lower())
    strategy = {name.replace("_", ""): name for name in STRATEGIES}.get(plain, strategy)
    try:
        number = float(value) if value else math.nan
        clips = math.inf if count.lower() == ALL else int(count)
        if clips < 1:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{where}: expected clips_per_class, a whole number above 0 or all, and value, a "
            f"number; received {count!r} and {value!r}"
        ) from None
    if not math.isfinite(number):
        notes.append(f"{where}: no value; left out")
        return
    first, strategies = results.setdefault(task, (metric, {}))
    if metric != first:
        raise ValueError(
            f"{where}: {task} has values of {first} and of {metric}, which cannot share a panel; "
            "put one of them into another file"
        )
    seeds = strategies.setdefault(strategy, {}).setdefault(clips, {})
    if seed in seeds:
        raise ValueError(f"{where}: seed {seed} of {task}, {strategy}, {count} clips comes twice")
    seeds[seed] = number


def _in_order(strategies: Iterable[str]) -> list[str]:
    """Known strategies first, in the order of `STRATEGIES`."""
    known = list(STRATEGIES)
    return sorted(strategies, key=lambda s: (known.index(s) if s in known else len(known), s))


def _draw(rows: Sequence[dict], theme: Theme):
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    strategies = _in_order({row["strategy"] for row in rows})
    order = [*STRATEGIES, *(s for s in strategies if s not in STRATEGIES)]
    styles = {strategy: series_style(order.index(strategy), theme) for strategy in strategies}
    columns = min(2, len(tasks))
    lines = -(-len(tasks) // columns)
    legend = 0.3 + 0.18 * math.ceil((len(strategies) + 1) / (2 * columns))
    figure = Figure((3.9 * columns, 2.7 * lines + legend), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, task in zip(grid, tasks, strict=False):
        _draw_task(axes, [row for row in rows if row["task"] == task], styles, theme)
    for axes in grid[len(tasks) :]:
        axes.remove()
    handles = [
        Line2D([], [], label=STRATEGIES.get(strategy, strategy), **style)
        for strategy, style in styles.items()
    ]
    if any(row["source"] == "paper" for row in rows):
        hollow = {"ls": "none", "marker": "o", "mfc": theme.background, "color": theme.muted}
        handles.append(Line2D([], [], label="hollow: paper, all clips", ms=6, **hollow))
    place = {"loc": "outside lower center", "ncols": 2 * columns}
    figure.legend(handles=handles, handlelength=2.8, **place)
    return figure


def _draw_task(axes, rows: Sequence[dict], styles: Mapping[str, dict], theme: Theme) -> None:
    counts = sorted({row["clips_per_class"] for row in rows} - {ALL})
    places = {count: math.log2(count) for count in counts}
    places[ALL] = math.log2(counts[-1]) + 1 if counts else 0.0
    for strategy, style in styles.items():
        own = [row for row in rows if (row["strategy"], row["source"]) == (strategy, _OWN)]
        points = [
            Point(places[row["clips_per_class"]], row["mean"], row["low"], row["high"], 0)
            for row in own
        ]
        draw_curve(axes, points, strategy, style)
    for row in rows:
        if row["source"] != _OWN:
            style = {**styles[row["strategy"]], "linestyle": "none", "ms": 6}
            style |= {"mfc": theme.background, "zorder": 4, "clip_on": False}
            axes.plot([places[ALL]], [row["mean"]], **style)
    title = PUBLISHED[rows[0]["task"]].title if rows[0]["task"] in PUBLISHED else rows[0]["task"]
    seeds = [row["seeds"] for row in rows if row["source"] == _OWN]
    if max(seeds) > 1:
        counted = f"{max(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
        title += f" ({counted} seeds)"
    axes.set(title=title, xlabel="training clips of each class", ylabel=rows[0]["metric"])
    ticks: list[tuple[float, str]] = []
    for count in counts:  # half a doubling apart or more
        if not ticks or places[count] - ticks[-1][0] >= 0.5:
            ticks.append((places[count], f"{count}"))
    if any(row["clips_per_class"] == ALL for row in rows):
        ticks.append((places[ALL], ALL))
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
