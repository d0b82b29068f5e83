"""Training curves by what was varied: the paper's Figure 4."""

import functools
import math
import statistics
from collections.abc import Mapping, Sequence

from panns_tf.figures.chart import Chart, draw_curve, grid_of_panels, mean_range
from panns_tf.figures.grouping import (
    Group,
    describe_data,
    differing,
    group_runs,
    in_order,
    label_groups,
    panel_of,
    partition,
)
from panns_tf.run import Run
from panns_tf.style import Theme, series_style

METRICS = {"mAP": "mAP", "mAUC": "mAUC", "d_prime": "d-prime", "loss": "training loss"}
#: Points of a curve that is logged every few steps.
_MOST_POINTS = 200


def curves(
    runs: Sequence[Run], by: str | None = None, metric: str = "mAP", name: str | None = None
) -> list[Chart]:
    """Draws a metric by step, a line for each setting with the mean and range of its seeds.

    Runs that differ in other settings than ``by``, joined by ``+``, are left out, and named.
    """
    evaluated, notes = metric != "loss", run_notes(runs)
    what = f"{METRICS[metric]} on held-out data" if evaluated else METRICS[metric]
    usable = [run for run in runs if run.curve(metric)]
    notes += [f"{run.name}: no {what}; left out" for run in runs if run not in usable]
    if not usable:
        raise ValueError(f"none of the {len(runs)} runs has {what}: {'; '.join(notes)}")
    first, *others = (members[0] for members in partition(usable, evaluated))
    if others:
        raise ValueError(
            f"{first.name} and {others[0].name} cannot share a panel, being of other classes or "
            f"clips, {describe_data(first)} and {describe_data(others[0])}; draw them in a figure "
            "each"
        )
    compared = by.replace(",", "+").split("+") if by else ()
    panels, left_out = choose_panels(group_runs(usable), compared)
    rows, printed = [], []
    drawn: dict[str, list[tuple[Group, list[dict]]]] = {}
    for title, groups in panels.items():
        for group, label in zip(groups, label_groups(groups), strict=True):
            head = {"panel": title, "line": label, "metric": metric}
            points = [{**head, **point} for point in _points(group, metric)]
            drawn.setdefault(title, []).append((group, points))
            rows += points
            printed.append({key: points[-1][key] for key in points[-1] if key != "metric"})
    draw = functools.partial(_draw, drawn, what if len(drawn) == 1 else METRICS[metric])
    file = name or {"mAP": "curves", "loss": "loss"}.get(metric, f"curves_{metric}")
    return [Chart(file, rows, draw, notes + left_out, printed)]


def run_notes(runs: Sequence[Run]) -> list[str]:
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    return notes + [f"{run.name}: {run.progress}" for run in runs if not run.finished]


def choose_panels(
    groups: Sequence[Group], by: Sequence[str]
) -> tuple[dict[str, list[Group]], list[str]]:
    """The groups of each panel by its title, and a line for each group that is in none.

    Panels are around the group from which most others depart in one way: in the settings ``by``, or
    without them in those of one panel of Figure 4. If these leave out groups, all share one.
    """
    names = differing(groups)
    for name in by:
        if not any(name in group.settings for group in groups):
            known = ", ".join(names) or "their seed alone"
            raise ValueError(f"--by {name}: no run has such a setting; the runs differ in {known}")
    titles = list(dict.fromkeys(map(panel_of, by or names)))
    joined = " and ".join(titles) if by or len(titles) < 3 else "all settings"
    title_of = dict.fromkeys(by, joined) if by else {name: panel_of(name) for name in names}

    def around(centre: Group) -> dict[str, list[Group]]:
        ways = [{title_of.get(n, n) for n in differing([centre, group])} for group in groups]
        return {
            title: [group for group, way in zip(groups, ways, strict=True) if way <= {title}]
            for title in dict.fromkeys(title_of.values())
        }

    centre = max(groups, key=lambda group: sum(map(len, around(group).values())))
    chosen = around(centre)
    left = [group for group in groups if not any(group in each for each in chosen.values())]
    if left and not by:
        chosen, left = {joined or "training": groups}, []
    notes = [
        f"{group.names}: in no panel, as it differs in {', '.join(differing([centre, group]))}"
        for group in left
    ]
    chosen = {title[:1].upper() + title[1:]: in_order(each) for title, each in chosen.items()}
    return chosen, notes


def _points(group: Group, metric: str) -> list[dict]:
    """Mean and range of a group's curves at every step that all of them have."""
    curves = [run.curve(metric) for run in group.counted]
    if metric == "loss":
        curves = [_thinned(curve) for curve in curves]
    steps = sorted(set.intersection(*map(set, curves)))
    if not steps:
        raise ValueError(f"{group.names} have no step in common")
    state = "finished" if group.finished else "unfinished"
    return [
        {"runs": len(curves), "step": step, **mean_range([c[step] for c in curves]), "state": state}
        for step in steps
    ]


def _thinned(curve: Mapping[int, float]) -> dict[int, float]:
    """Means over equal numbers of neighbouring points, each at the last one's step."""
    steps = sorted(curve)
    size = math.ceil(len(steps) / _MOST_POINTS)
    parts = [steps[i : i + size] for i in range(0, len(steps), size)]
    return {part[-1]: statistics.fmean(curve[step] for step in part) for part in parts}


def _legend(group: Group, label: str) -> str:
    """A label with the number of seeds, and how far the runs are if none is finished."""
    remarks = [group.seeds] if group.seeds else []
    if not group.finished:
        step, steps = max(run.step for run in group.runs), group.runs[0].config.get("steps")
        remarks.append(f"unfinished, {100 * step / steps:.0f} %" if steps else "unfinished")
    return f"{label} ({', '.join(remarks)})" if remarks else label


def _draw(panels: Mapping[str, list[tuple]], y_label: str, theme: Theme):
    from matplotlib.ticker import EngFormatter, MaxNLocator

    lines = {
        title: [(group, _legend(group, points[0]["line"]), points) for group, points in members]
        for title, members in panels.items()
    }
    longest = max(len(text) for members in lines.values() for _, text, _ in members)
    height = max(2.6, 0.5 + 0.165 * max(map(len, lines.values())))
    figure, grid = grid_of_panels(len(lines), 3.9 + 0.065 * longest, height)
    groups = [[group for group, *_ in members] for members in lines.values()]
    for axes, (title, members), own in zip(grid, lines.items(), groups, strict=True):
        # What all panels share has the first styles, in every panel.
        order = sorted(own, key=lambda group: not all(group in others for others in groups))
        # The legend is in the order in which the curves end.
        for group, text, points in sorted(members, key=lambda line: -line[2][-1]["mean"]):
            steps = [point["step"] for point in points]
            draw_curve(axes, steps, points, text, series_style(order.index(group), theme))
        axes.set(title=title, xlabel="steps", ylabel=y_label, xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # such as 10k
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=2.8)
    return figure
