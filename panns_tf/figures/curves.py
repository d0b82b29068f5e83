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
    runs: Sequence[Run],
    by: str | None = None,
    metric: str = "mAP",
    split: str = "held-out",
    panels: bool | None = None,
    name: str | None = None,
) -> list[Chart]:
    """Draws a metric by step, a line for each setting with the mean and range of its seeds.

    Runs that differ in other settings than ``by``, joined by ``+``, are left out, and named.
    ``panels`` gives a panel to each kind of setting, as Figure 4 has it, around the settings from
    which the others depart in one way; None: if that takes in all runs.

    Raises:
        ValueError: if runs were evaluated on different clips or classes, or none has the metric.
    """
    key, what, file = metric, METRICS[metric], "loss"
    if metric == "loss":
        split = "training"
    else:
        what = f"{what} on {split} data"
        file = "curves" if metric == "mAP" else f"curves_{metric}"
        if split == "training":
            key, file = f"training_{metric}", f"{file}_training"
    notes = run_notes(runs)
    usable = [run for run in runs if run.curve(key)]
    notes += [f"{run.name}: no {what}; left out" for run in runs if run not in usable]
    if not usable:
        raise ValueError(f"none of the {len(runs)} runs has {what}: {'; '.join(notes)}")
    first, *others = (members[0] for members in partition(usable, split == "held-out"))
    if others:
        raise ValueError(
            f"{first.name} and {others[0].name} cannot share a panel, being of other classes or "
            f"clips, {describe_data(first)} and {describe_data(others[0])}; draw them in a figure "
            "each"
        )
    compared = by.replace(",", "+").split("+") if by else ()
    chosen, left_out = choose_panels(group_runs(usable), compared, panels)
    drawn: dict[str, list] = {}
    for title, groups in chosen.items():
        for group, label in zip(groups, label_groups(groups), strict=True):
            head = {"panel": title, "line": label, "metric": metric, "split": split}
            points = [{**head, **point} for point in _points(group, key)]
            drawn.setdefault(title, []).append((group, _legend(group, label), points))
    lines = [points for members in drawn.values() for *_, points in members]
    rows = [point for points in lines for point in points]
    shown = ("panel", "line", "runs", "step", "mean", "low", "high", "state")
    printed = [{key: points[-1][key] for key in shown} for points in lines]
    y_label = what if len(drawn) == 1 else METRICS[metric]
    draw = functools.partial(_draw, drawn, y_label)
    return [Chart(name or file, rows, draw, notes + left_out, printed)]


def run_notes(runs: Sequence[Run]) -> list[str]:
    """What was damaged or is unfinished, a line each."""
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    return notes + [f"{run.name}: {run.progress}" for run in runs if not run.finished]


def choose_panels(
    groups: Sequence[Group], by: Sequence[str] = (), panels: bool | None = None
) -> tuple[dict[str, list[Group]], list[str]]:
    """The groups of each panel by its title, and a line for each group that is in none.

    Panels are around the group from which most others depart in one way: in the settings ``by``, or
    without them in the settings of one panel of Figure 4.
    """
    names = differing(groups)
    for name in by:
        if not any(name in group.settings for group in groups):
            known = ", ".join(names) or "their seed alone"
            raise ValueError(f"--by {name}: no run has such a setting; the runs differ in {known}")
    titles = list(dict.fromkeys(map(panel_of, by or names)))
    joined = " and ".join(titles) if by or len(titles) < 3 else "all settings"
    titles = [joined] if by else titles

    def ways(one: Group, other: Group) -> set[str]:
        apart = differing([one, other])
        return {joined if n in by else n for n in apart} if by else set(map(panel_of, apart))

    def reach(one: Group) -> int:
        return sum(ways(one, other) in [{title} for title in titles] for other in groups)

    centre = max(groups, key=reach)
    chosen = {title: [g for g in groups if ways(centre, g) <= {title}] for title in titles}
    chosen = {title: members for title, members in chosen.items() if by or len(members) > 1}
    left = [group for group in groups if not any(group in each for each in chosen.values())]
    notes = [
        f"{group.names}: in no panel, as it differs in {', '.join(differing([centre, group]))}"
        for group in left
    ]
    if not by and (panels is False or not chosen or (left and not panels)):
        chosen, notes = {joined: groups}, []
    named = {title[:1].upper() + title[1:] or "Training": each for title, each in chosen.items()}
    return {title: in_order(members) for title, members in named.items()}, notes


def _points(group: Group, key: str) -> list[dict]:
    """Mean and range of a group's curves at every step that all of them have."""
    curves = [run.curve(key) for run in group.counted]
    if key == "loss":
        curves = [_thinned(curve) for curve in curves]
    steps = sorted(set.intersection(*map(set, curves)))
    if not steps:
        raise ValueError(f"{group.names} have no step in common")
    about = {"runs": len(curves), "state": "finished" if group.finished else "unfinished"}
    return [
        {"step": step, **mean_range([curve[step] for curve in curves]), **about} for step in steps
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

    longest = max(len(text) for members in panels.values() for _, text, _ in members)
    height = max(2.6, 0.5 + 0.165 * max(map(len, panels.values())))
    figure, grid = grid_of_panels(len(panels), 3.9 + 0.065 * longest, height)
    groups = [[group for group, *_ in members] for members in panels.values()]
    for axes, (title, members), own in zip(grid, panels.items(), groups, strict=True):
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
