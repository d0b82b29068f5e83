"""Training curves by what was varied: the paper's Figure 4."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from panns_tf.figures.chart import Chart, Point, draw_curve, mean_curve
from panns_tf.figures.grouping import (
    PANELS,
    Group,
    differing,
    group_runs,
    label_groups,
    panel_of,
    sort_key,
)
from panns_tf.figures.held_out import require_same
from panns_tf.run import Run
from panns_tf.style import Theme, series_style

METRICS = {"mAP": "mAP", "mAUC": "mAUC", "d_prime": "d-prime", "loss": "training loss"}
SPLITS = ("held-out", "training")
#: Points of a curve that is logged every few steps.
_MOST_POINTS = 200


@dataclasses.dataclass(frozen=True)
class Line:
    """The curve of one group.

    Attributes:
        group: of runs.
        label: in the numbers.
        points: means and ranges.
        state: ``"finished"`` or ``"unfinished"``.
        text: the label with a remark, in the legend.
    """

    group: Group
    label: str
    points: list[Point]
    state: str
    text: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """Groups that share axes, and the settings in which they differ."""

    title: str
    names: tuple[str, ...]
    groups: tuple[Group, ...]


def curves(
    runs: Sequence[Run],
    by: Iterable[str] = (),
    metric: str = "mAP",
    split: str = "held-out",
    panels: bool | None = None,
    name: str = "curves",
) -> Chart:
    """Draws a metric by step, a line for each setting with the mean and range of its seeds.

    Args:
        runs: of `panns_tf.run.read_runs`.
        by: settings to compare; runs that differ in others are left out, and named. By default
            all settings in which the runs differ.
        metric: one of `METRICS`; ``"loss"`` is of training.
        split: ``"held-out"`` or ``"training"``.
        panels: a panel for each kind of setting, as in Figure 4, with the settings from which
            the others depart in one way; by default if that takes in all runs.
        name: of the files.

    Raises:
        ValueError: if runs were evaluated on different clips or classes, or none has the metric.

    Source: Figure 4.
    """
    if metric not in METRICS or split not in SPLITS:
        raise ValueError(
            f"metric must be one of {', '.join(METRICS)} and split one of {', '.join(SPLITS)}; "
            f"received {metric} and {split}"
        )
    split = "training" if metric == "loss" else split
    key = metric if metric == "loss" or split == "held-out" else f"training_{metric}"
    what = METRICS[metric] + ("" if metric == "loss" else f" on {split} data")
    notes = run_notes(runs)
    usable = [run for run in runs if run.curve(key)]
    notes += [f"{run.name}: no {what}; left out" for run in runs if run not in usable]
    if not usable:
        raise ValueError(f"none of the {len(runs)} runs has {what}: {'; '.join(notes)}")
    require_same(usable, evaluated=split == "held-out")
    chosen, left_out = choose_panels(group_runs(usable), tuple(by), panels)
    drawn = [(panel.title, _lines(panel, key)) for panel in chosen]
    rows = [
        {
            "panel": title,
            "line": line.label,
            "metric": metric,
            "split": split,
            "step": int(point.x),
            "mean": point.mean,
            "low": point.low,
            "high": point.high,
            "runs": point.count,
            "state": line.state,
        }
        for title, lines in drawn
        for line in lines
        for point in line.points
    ]
    y_label = what if len(drawn) == 1 else METRICS[metric]
    notes += left_out
    shown = ("panel", "line", "runs", "step", "mean", "low", "high", "state")
    return Chart(name, rows, lambda t: _draw(drawn, y_label, t), notes, shown, ("panel", "line"))


def run_notes(runs: Sequence[Run]) -> list[str]:
    """What was damaged or is unfinished, a line each."""
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    return notes + [f"{run.name}: {run.progress}" for run in runs if not run.finished]


def choose_panels(
    groups: Sequence[Group], by: Sequence[str] = (), panels: bool | None = None
) -> tuple[list[Panel], list[str]]:
    """Decides which groups share a panel; see `curves`.

    Returns:
        The panels, and a line for each group that is in none.

    Raises:
        ValueError: for a setting that no run has.
    """
    names = differing(groups)
    if by:
        for name in by:
            if not any(name in group.settings for group in groups):
                raise ValueError(
                    f"--by {name}: no run has such a setting; the runs differ in "
                    f"{', '.join(names) or 'their seed alone'}"
                )
        return _compare(groups, tuple(by))
    titles = list(dict.fromkeys(map(panel_of, names)))
    if panels is not False and len(titles) > 1:
        found, left = _departures(groups, titles)
        if found and (panels or not left):
            return found, [f"{g.names}: in no panel; it differs in several ways" for g in left]
    title = " and ".join(titles) if len(titles) <= 2 else "all settings"
    return [_panel(title, tuple(names), groups)], []


def _panel(title: str, names: tuple[str, ...], groups: Sequence[Group]) -> Panel:
    ordered = sorted(groups, key=lambda group: sort_key(group, names))
    return Panel(title[:1].upper() + title[1:] or "Training", names, tuple(ordered))


def _apart(first: Group, second: Group) -> set[str]:
    return set(differing([first, second]))


def _compare(groups: Sequence[Group], by: tuple[str, ...]) -> tuple[list[Panel], list[str]]:
    """The largest set of groups that differ from one of them in the named settings alone."""
    sets = [[other for other in groups if _apart(one, other) <= set(by)] for one in groups]
    best = max(sets, key=len)
    notes = [
        f"{group.names}: left out, as it differs in "
        f"{', '.join(sorted(_apart(best[0], group) - set(by)))} too"
        for group in groups
        if group not in best
    ]
    title = next((title for title, names in PANELS.items() if set(by) <= set(names)), None)
    return [_panel(title or " and ".join(map(panel_of, by)), by, best)], notes


def _departures(groups: Sequence[Group], titles: Sequence[str]) -> tuple[list[Panel], list[Group]]:
    """Panels around the group from which most others depart in one way, and the others."""
    best: dict[str, list[Group]] = {}
    centre = groups[0]
    for one in groups:
        arms: dict[str, list[Group]] = {}
        for other in groups:
            kinds = {panel_of(name) for name in _apart(one, other)}
            if len(kinds) == 1:
                arms.setdefault(kinds.pop(), []).append(other)
        if sum(map(len, arms.values())) > sum(map(len, best.values())):
            best, centre = arms, one
    found = []
    for title in filter(best.get, titles):
        members = [centre, *best[title]]
        found.append(_panel(title, tuple(differing(members)), members))
    placed = [group for panel in found for group in panel.groups]
    return found, [group for group in groups if group not in placed]


def _lines(panel: Panel, key: str) -> list[Line]:
    lines = []
    for group, label in zip(panel.groups, label_groups(panel.groups, panel.names), strict=True):
        curves = [run.curve(key) for run in group.counted]
        curves = [_thinned(curve) if key == "loss" else curve for curve in curves]
        state = "finished" if group.counted[0].finished else "unfinished"
        text = group.describe(label)
        lines.append(Line(group, label, mean_curve(curves), state, text))
    return lines


def _thinned(curve: Mapping[int, float]) -> dict[int, float]:
    """Means over equal numbers of neighbouring points, each at the last one's step."""
    steps = sorted(curve)
    size = math.ceil(len(steps) / _MOST_POINTS)
    parts = [steps[i : i + size] for i in range(0, len(steps), size)]
    return {part[-1]: statistics.fmean(curve[step] for step in part) for part in parts}


def _draw(panels: Sequence[tuple[str, list[Line]]], y_label: str, theme: Theme):
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    longest = max(len(line.text) for _, lines in panels for line in lines)
    most = max(len(lines) for _, lines in panels)
    size = columns * (3.9 + 0.065 * longest), rows * max(2.6, 0.5 + 0.165 * most)
    figure = Figure(size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    styles = _styles([lines for _, lines in panels], theme)
    for axes, (title, lines) in zip(grid, panels, strict=False):
        # The legend is in the order in which the curves end.
        for line in sorted(lines, key=lambda line: -line.points[-1].mean if line.points else 0):
            draw_curve(axes, line.points, line.text, styles[id(line.group)])
            if line.state == "unfinished" and line.points:
                end = line.points[-1]
                axes.plot([end.x], [end.mean], "x", color=theme.text, ms=6, mew=1.4, zorder=4)
        axes.set(title=title, xlabel="steps", ylabel=y_label, xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}")
        )
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=2.8)
    for axes in grid[len(panels) :]:
        axes.remove()
    return figure


def _styles(panels: Sequence[Sequence[Line]], theme: Theme) -> dict[int, dict]:
    """A style for each group; what all panels share has the first, in every panel."""
    groups = [[id(line.group) for line in lines] for lines in panels]
    common = set.intersection(*map(set, groups)) if len(groups) > 1 else set()
    numbers = dict.fromkeys(common, 0)
    for members in groups:
        fresh = [member for member in members if member not in common]
        numbers |= {member: i + len(common) for i, member in enumerate(fresh)}
    return {member: series_style(number, theme) for member, number in numbers.items()}
