"""Transfer with few clips of each class: the paper's Figures 6 to 11."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from panns_tf.figures.chart import Chart, draw_curve, grid_of_panels, mean_range
from panns_tf.style import Theme, series_style
from panns_tf.transfer.tasks import TASKS
from tfrecords.files import read_csv
from tfrecords.text import plain

COLUMNS = ("task", "strategy", "clips_per_class", "seed", "metric", "value")
ALL = "all"
_OWN, _PAPER = "this project", "paper"
#: Strategies of transfer with their names: the paper's four, and what it does not have.
STRATEGIES = {
    "scratch": "scratch",
    "freeze_l1": "Freeze_L1",
    "freeze_l3": "Freeze_L3",
    "finetune": "fine-tune",
    "linear_probe": "linear probe",
}
_TASKS = {task.name: task for task in TASKS}


def fewshot(
    paths: Iterable[str | Path], name: str = "fewshot", with_paper: bool = True
) -> list[Chart]:
    """Draws each strategy by its number of clips, a panel for each task, of CSV with `COLUMNS`."""
    metrics, results, notes = _read(paths)
    for task in metrics if with_paper else ():
        known = _TASKS.get(task)
        if known and known.results and known.metric != metrics[task]:
            other = f"the paper has {known.metric}, not drawn"
            notes.append(f"{task}: {metrics[task]} measured; {other}")
        elif known:
            for strategy, value in known.results.items():
                if value is not None and (task, strategy) in {key[:2] for key in results}:
                    results[task, strategy, math.inf, _PAPER] = {"": value}

    def place(key: tuple) -> tuple:
        task, strategy, clips, source = key
        order = [*_TASKS, task].index(task), task, [*STRATEGIES, strategy].index(strategy)
        return (*order, strategy, clips, source == _PAPER)

    rows = []
    for key in sorted(results, key=place):
        task, strategy, clips, source = key
        numbers = {**mean_range(results[key].values()), "seeds": len(results[key])}
        if source == _PAPER:
            numbers |= dict.fromkeys(("low", "high", "seeds"))
        about = {"task": task, "strategy": strategy}
        about |= {"clips_per_class": ALL if clips == math.inf else clips, "metric": metrics[task]}
        rows.append({**about, **numbers, "source": source})
    if any(row["source"] == _PAPER for row in rows):
        notes.append("hollow marks: the paper's results, with all clips")
    return [Chart(name, rows, lambda theme: _draw(rows, theme), notes)]


def _read(paths: Iterable[str | Path]) -> tuple[dict[str, str], dict[tuple, dict], list[str]]:
    """Metrics by task; values by task, strategy, clips and source, and seed; what was left out."""
    metrics: dict[str, str] = {}
    results: dict[tuple, dict[str, float]] = {}
    notes = []
    strategies = {plain(strategy): strategy for strategy in STRATEGIES}
    for path in map(Path, paths):
        for line, row in enumerate(read_csv(path, required=COLUMNS), 2):
            task, strategy, count, seed, metric, value = (row[name].strip() for name in COLUMNS)
            task = task.lower() if task.lower() in _TASKS else task
            strategy = strategies.get(plain(strategy), strategy)  # Fine-tune is finetune
            where = f"{path.name}, line {line}"
            try:
                number = float(value) if value else math.nan
                clips = math.inf if count.lower() == ALL else int(count)
            except ValueError:
                clips = 0
            if clips < 1:
                raise ValueError(
                    f"{where}: expected clips_per_class, a whole number above 0 or all, and value, "
                    f"a number; received {count!r} and {value!r}"
                )
            if not math.isfinite(number):
                notes.append(f"{where}: no value; left out")
                continue
            seeds = results.setdefault((task, strategy, clips, _OWN), {})
            if seed in seeds or metrics.setdefault(task, metric) != metric:
                raise ValueError(
                    f"{where}: a second value of {task}, {strategy}, {count} clips, seed {seed}, "
                    f"or of another metric than {metrics[task]}; put it into another file"
                )
            seeds[seed] = number
    if not results:
        files = ", ".join(map(str, paths)) or "any file"
        raise ValueError(f"no result in {files}; see plot fewshot --help")
    return metrics, results, notes


def _draw(rows: Sequence[dict], theme: Theme):
    from matplotlib.lines import Line2D

    tasks, strategies = (list(dict.fromkeys(row[key] for row in rows)) for key in COLUMNS[:2])
    order = list(dict.fromkeys([*STRATEGIES, *sorted(strategies)]))
    strategies.sort(key=order.index)
    styles = {strategy: series_style(order.index(strategy), theme) for strategy in strategies}
    columns = 2 * min(2, len(tasks))
    legend = 0.3 + 0.18 * math.ceil((len(strategies) + 1) / columns)
    figure, grid = grid_of_panels(len(tasks), 3.9, 2.7, legend)
    hollow = {"linestyle": "none", "ms": 6, "mfc": theme.background}
    for axes, task in zip(grid, tasks, strict=True):
        _draw_task(axes, [row for row in rows if row["task"] == task], styles, hollow)
    handles = [
        Line2D([], [], label=STRATEGIES.get(strategy, strategy), **style)
        for strategy, style in styles.items()
    ]
    if any(row["source"] == _PAPER for row in rows):
        style = {**hollow, "marker": "o", "color": theme.muted}
        handles.append(Line2D([], [], label="hollow: paper, all clips", **style))
    figure.legend(handles=handles, handlelength=2.8, loc="outside lower center", ncols=columns)
    return figure


def _draw_task(axes, rows: Sequence[dict], styles: dict[str, dict], hollow: dict) -> None:
    counts = sorted({row["clips_per_class"] for row in rows} - {ALL})
    places = {count: math.log2(count) for count in counts}
    places[ALL] = math.log2(counts[-1]) + 1 if counts else 0.0
    own = [row for row in rows if row["source"] == _OWN]
    for strategy, style in styles.items():
        members = [row for row in own if row["strategy"] == strategy]
        if members:
            x = [places[row["clips_per_class"]] for row in members]
            draw_curve(axes, x, members, strategy, style)
    for row in rows:
        if row["source"] == _PAPER:
            style = {**styles[row["strategy"]], **hollow, "zorder": 4, "clip_on": False}
            axes.plot([places[ALL]], [row["mean"]], **style)
    task = rows[0]["task"]
    title, seeds = _TASKS[task].title if task in _TASKS else task, {row["seeds"] for row in own}
    if max(seeds) > 1:
        title += f" ({' to '.join(map(str, sorted({min(seeds), max(seeds)})))} seeds)"
    axes.set(title=title, xlabel="training clips of each class", ylabel=rows[0]["metric"])
    ticks: list = []
    for count in counts:  # half a doubling apart or more
        if not ticks or places[count] - places[ticks[-1]] >= 0.5:
            ticks.append(count)
    if any(row["clips_per_class"] == ALL for row in rows):
        ticks.append(ALL)
    axes.set_xticks([places[count] for count in ticks], list(map(str, ticks)))
