"""Transfer with few clips of each class: the paper's Figures 6 to 11."""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from panns_tf.plots.chart import Chart
from panns_tf.plots.lines import Line, Point, point
from panns_tf.plots.panels import Panel, draw_panels
from panns_tf.plots.published import STRATEGIES, TASKS, published

COLUMNS = ("task", "strategy", "clips_per_class", "seed", "metric", "value")
ALL = "all"
#: Strategies that the paper does not have, after its four.
OTHERS = {"linear_probe": "linear probe"}
NAMES = {**STRATEGIES, **OTHERS}
#: Doublings of the number of clips between neighbouring ticks, at least.
_TICK_GAP = 0.5


def fewshot(paths: Iterable[str | Path], name: str = "fewshot", with_paper: bool = True) -> Chart:
    """Draws how well each strategy does with a growing number of clips: a panel for each task.

    Args:
        paths: of CSV files with the columns ``task,strategy,clips_per_class,seed,metric,value``,
            one row for each training; ``clips_per_class`` is a whole number or ``all``.
            Strategies are ``scratch``, ``finetune``, ``freeze_l1``, ``freeze_l3``,
            ``linear_probe``, or others.
        name: of the files.
        with_paper: whether to draw the paper's results, which are of its own clips and folds.

    Returns:
        Means and ranges over seeds. Hollow marks at ``all`` are the paper's.

    Raises:
        ValueError: for a damaged file, or a task with values of several metrics.

    Source: Figures 6 to 11, and Tables XIII to XVIII.
    """
    results, notes = read_results(paths)
    known = list(TASKS)
    tasks = sorted(results, key=lambda t: (known.index(t) if t in known else len(known), t))
    panels, rows = [], []
    table = [("task", "strategy", "clips of a class", "metric", "mean", "range", "seeds")]
    for task in tasks:
        metric, curves = results[task]
        paper = published(task)
        ends = paper.ends if with_paper and paper and paper.metric == metric else {}
        if with_paper and paper and paper.metric != metric:
            notes.append(f"{task}: {metric} measured; the paper has {paper.metric}, not drawn")
        counts = sorted({count for curve in curves.values() for count in curve} | {math.inf})
        whole = [count for count in counts if count < math.inf]
        last = math.log2(whole[-1]) + 1.0 if whole else 0.0
        lines, styles = [], []
        for strategy in _strategies(curves):
            made = tuple(
                point(count, list(seeds.values()))
                for count, seeds in sorted(curves[strategy].items())
            )
            end = ends.get(strategy)
            drawn = tuple(_moved(p, last) for p in made)
            shown = ((last, end),) if end is not None else ()
            label = name_of(strategy)
            fewest, most = min(p.count for p in made), max(p.count for p in made)
            seeds = f"{fewest} to {most}" if fewest < most else f"{most}"
            remark = f"{seeds} seeds" if most > 1 else ""
            lines.append(Line(label, drawn, remark, False, shown))
            styles.append(_style(strategy, curves))
            rows += [_row(task, strategy, metric, p, "this project") for p in made]
            if end is not None:
                rows.append(_row(task, strategy, metric, point(math.inf, [end]), "paper"))
            table += [_summary(task, strategy, metric, p) for p in made]
        title = paper.title if paper else task
        ticks = _ticks(whole, last)
        has_all = any(math.inf in curve for curve in curves.values()) or bool(ends)
        panels.append(
            Panel(
                title,
                tuple(lines),
                "training clips of each class",
                metric,
                tuple(styles),
                lambda axes, ticks=ticks, has_all=has_all: _count_clips(axes, ticks, has_all),
            )
        )
    footnote = ""
    if any(line.ends for panel in panels for line in panel.lines):
        footnote = "Hollow marks: the paper's results, with all clips."
        notes.append(footnote[0].lower() + footnote[1:-1])
    return Chart(
        name, rows, lambda theme: draw_panels(panels, theme, footnote), table, tuple(notes)
    )


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
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"{path} has no column {', '.join(missing)}; expected {','.join(COLUMNS)}"
                )
            for row in reader:
                _take(row, f"{path.name}, line {reader.line_num}", results, notes)
    if not results:
        raise ValueError(f"no result in {', '.join(map(str, paths))}")
    return results, notes


def _take(row: dict, where: str, results: dict, notes: list[str]) -> None:
    if any(row[name] is None for name in COLUMNS):
        notes.append(f"{where} is cut off and was left out")
        return
    task, strategy = row["task"].strip(), _strategy(row["strategy"])
    task = task.lower() if task.lower() in TASKS else task
    try:
        value = float(row["value"]) if row["value"].strip() else math.nan
        count = _clips(row["clips_per_class"])
    except ValueError:
        raise ValueError(
            f"{where}: expected clips_per_class, a whole number above 0 or all, and value, a "
            f"number; received {row['clips_per_class']!r} and {row['value']!r}"
        ) from None
    if not math.isfinite(value):
        notes.append(f"{where}: no value; left out")
        return
    metric, curves = results.setdefault(task, (row["metric"].strip(), {}))
    if metric != row["metric"].strip():
        raise ValueError(
            f"{where}: {task} has values of {metric} and of {row['metric'].strip()}, which cannot "
            "share a panel; put one of them into another file"
        )
    seeds = curves.setdefault(strategy, {}).setdefault(count, {})
    if row["seed"] in seeds:
        raise ValueError(
            f"{where}: seed {row['seed']} of {task}, {strategy}, {row['clips_per_class']} clips "
            "comes twice"
        )
    seeds[row["seed"]] = value


def _clips(text: str) -> float:
    if text.strip().lower() == ALL:
        return math.inf
    count = int(text)
    if count < 1:
        raise ValueError
    return float(count)


def _strategy(text: str) -> str:
    """`fine-tune`, `Fine_tune` and `finetune` are one strategy."""
    plain = re.sub("[^a-z0-9]", "", text.lower())
    return {re.sub("_", "", name): name for name in NAMES}.get(plain, text.strip())


def name_of(strategy: str) -> str:
    """A strategy as a person writes it."""
    return NAMES.get(strategy, strategy)


def _strategies(curves: dict) -> list[str]:
    known = [name for name in NAMES if name in curves]
    return known + sorted(set(curves) - set(known))


def _style(strategy: str, curves: dict) -> int:
    """The same in every panel."""
    known = list(NAMES)
    if strategy in known:
        return known.index(strategy)
    return len(known) + [s for s in _strategies(curves) if s not in known].index(strategy)


def _moved(value: Point, last: float) -> Point:
    x = last if value.x == math.inf else math.log2(value.x)
    return Point(x, value.mean, value.low, value.high, value.count)


def _ticks(whole: Sequence[float], last: float) -> list[tuple[float, str]]:
    """Powers of two within the range, or the counts if they are others; ``all`` at the end."""
    if not whole:
        return [(last, ALL)]
    low, high = math.floor(math.log2(whole[0])), math.ceil(math.log2(whole[-1]))
    powers = [2**e for e in range(low, high + 1) if whole[0] <= 2**e <= whole[-1]]
    ticks: list[tuple[float, str]] = []
    for count in powers if set(whole) <= set(powers) else whole:
        place = math.log2(count)
        if not ticks or place - ticks[-1][0] >= _TICK_GAP:
            ticks.append((place, f"{count:g}"))
    return [*ticks, (last, ALL)]


def _count_clips(axes, ticks: Sequence[tuple[float, str]], has_all: bool) -> None:
    shown = ticks if has_all else ticks[:-1]
    axes.set_xticks([place for place, _ in shown], [text for _, text in shown])


def _row(task: str, strategy: str, metric: str, value: Point, source: str) -> dict:
    own = source != "paper"
    return {
        "task": task,
        "strategy": strategy,
        "clips_per_class": ALL if value.x == math.inf else int(value.x),
        "metric": metric,
        "mean": value.mean,
        "low": value.low if own else None,
        "high": value.high if own else None,
        "seeds": value.count if own else None,
        "source": source,
    }


def _summary(task: str, strategy: str, metric: str, value: Point) -> tuple:
    count = ALL if value.x == math.inf else int(value.x)
    limits = f"{value.low:.4f} to {value.high:.4f}" if value.count > 1 else ""
    return task, strategy, count, metric, value.mean, limits, value.count
