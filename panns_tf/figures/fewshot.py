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


@dataclasses.dataclass(frozen=True)
class Panel:
    """The results of one task.

    Attributes:
        title: of the task.
        metric: of the values.
        curves: points by strategy; x is the number of clips of each class, infinity for all.
        published: the paper's results with all clips, by strategy, for the strategies drawn.
    """

    title: str
    metric: str
    curves: Mapping[str, list[Point]]
    published: Mapping[str, float]


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
    known = list(PUBLISHED)
    panels, rows = [], []
    table = [("task", "strategy", "clips of a class", "metric", "mean", "range", "seeds")]
    for task in sorted(results, key=lambda t: (known.index(t) if t in known else len(known), t)):
        metric, values = results[task]
        paper = PUBLISHED.get(task) if with_paper else None
        if paper and paper.metric != metric:
            notes.append(f"{task}: {metric} measured; the paper has {paper.metric}, not drawn")
            paper = None
        curves = {
            strategy: [
                point(n, list(values[strategy][n].values())) for n in sorted(values[strategy])
            ]
            for strategy in _in_order(values)
        }
        published = {s: v for s, v in (paper.results() if paper else {}).items() if s in curves}
        title = PUBLISHED[task].title if task in PUBLISHED else task
        panels.append(Panel(title, metric, curves, published))
        for strategy, points in curves.items():
            for each in points:
                count = ALL if each.x == math.inf else int(each.x)
                table.append((task, strategy, count, metric, each.mean, each.range, each.count))
                numbers = (each.mean, each.low, each.high, each.count)
                rows.append((task, strategy, count, metric, *numbers, "this project"))
            if strategy in published:
                numbers = (published[strategy], None, None, None)
                rows.append((task, strategy, ALL, metric, *numbers, "paper"))
    if any(panel.published for panel in panels):
        notes.append("hollow marks: the paper's results, with all clips")
    head = ("task", "strategy", "clips_per_class", "metric", "mean", "low", "high", "seeds")
    rows = [dict(zip((*head, "source"), row, strict=True)) for row in rows]
    return Chart(name, rows, lambda theme: _draw(panels, theme), table, tuple(notes))


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


def _draw(panels: Sequence[Panel], theme: Theme):
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    strategies = _in_order({strategy for panel in panels for strategy in panel.curves})
    order = [*STRATEGIES, *(s for s in strategies if s not in STRATEGIES)]
    styles = {strategy: series_style(order.index(strategy), theme) for strategy in strategies}
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    legend = 0.3 + 0.18 * math.ceil((len(strategies) + 1) / (2 * columns))
    figure = Figure((3.9 * columns, 2.7 * rows + legend), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel, styles, theme)
    for axes in grid[len(panels) :]:
        axes.remove()
    handles = [
        Line2D([], [], label=STRATEGIES.get(strategy, strategy), **style)
        for strategy, style in styles.items()
    ]
    if any(panel.published for panel in panels):
        hollow = {"ls": "none", "marker": "o", "mfc": theme.background, "color": theme.muted}
        handles.append(Line2D([], [], label="hollow: paper, all clips", ms=6, **hollow))
    place = {"loc": "outside lower center", "ncols": 2 * columns}
    figure.legend(handles=handles, handlelength=2.8, **place)
    return figure


def _draw_panel(axes, panel: Panel, styles: Mapping[str, dict], theme: Theme) -> None:
    counts = sorted({p.x for points in panel.curves.values() for p in points if p.x < math.inf})
    last = math.log2(counts[-1]) + 1 if counts else 0.0  # where all clips are drawn
    for strategy, points in panel.curves.items():
        moved = [
            dataclasses.replace(p, x=last if p.x == math.inf else math.log2(p.x)) for p in points
        ]
        draw_curve(axes, moved, strategy, styles[strategy])
        if strategy in panel.published:
            style = {**styles[strategy], "linestyle": "none", "mfc": theme.background, "ms": 6}
            axes.plot([last], [panel.published[strategy]], zorder=4, clip_on=False, **style)
    seeds = [p.count for points in panel.curves.values() for p in points]
    counted = f"{min(seeds)} to {max(seeds)}" if min(seeds) < max(seeds) else f"{max(seeds)}"
    title = panel.title if max(seeds) == 1 else f"{panel.title} ({counted} seeds)"
    axes.set(title=title, xlabel="training clips of each class", ylabel=panel.metric)
    ticks: list[tuple[float, str]] = []
    for count in counts:  # half a doubling apart or more
        if not ticks or math.log2(count) - ticks[-1][0] >= 0.5:
            ticks.append((math.log2(count), f"{count:g}"))
    if panel.published or any(p.x == math.inf for points in panel.curves.values() for p in points):
        ticks.append((last, ALL))
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
