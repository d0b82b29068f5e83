"""Training curves by what was varied: the paper's Figure 4."""

import dataclasses
from collections.abc import Iterable, Sequence

from panns_tf.plots.chart import Chart
from panns_tf.plots.held_out import require_same
from panns_tf.plots.lines import Line, mean_line, thinned
from panns_tf.plots.panels import Panel, draw_panels
from panns_tf.plots.runs import METRICS, SPLITS, Run
from panns_tf.plots.settings import (
    PANELS,
    Group,
    differing,
    freeze,
    group,
    names_of,
    order_of,
    panel_of,
    readable,
    shortest,
)

_NAMES = {"mAP": "mAP", "mAUC": "mAUC", "d_prime": "d-prime", "loss": "training loss"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """The groups of one panel, and the settings that name them."""

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
        runs: of `panns_tf.plots.runs.read_runs`.
        by: settings to compare; runs that differ from the others elsewhere are left out, and
            named. By default all settings in which the runs differ.
        metric: ``"mAP"``, ``"mAUC"``, ``"d_prime"`` or ``"loss"`` (of training).
        split: ``"held-out"`` or ``"training"``.
        panels: one panel for each kind of setting, as in Figure 4, each with the settings from
            which the others depart; by default if that takes in all runs.
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
    if metric == "loss":
        split = "training"
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    notes += [f"{run.name}: {run.state}" for run in runs if not run.finished]
    usable = [run for run in runs if run.curve(metric, split)]
    what = f"{_NAMES[metric]}{'' if metric == 'loss' else f' on {split} data'}"
    notes += [f"{run.name}: no {what}; left out" for run in runs if run not in usable]
    if not usable:
        raise ValueError(f"none of the {len(runs)} runs has {what}: {'; '.join(notes)}")
    notes += require_same(usable, evaluated=split == "held-out")
    choices, more = choose(group(usable), tuple(by), panels)
    notes += more
    drawn, rows, table = [], [], [("panel", "line", "runs", "step", _NAMES[metric], "range")]
    styles = _styles(choices)
    data = shortest(run.settings.get("data") for run in usable)
    for choice in choices:
        lines = []
        labels = names_of(choice.groups, choice.names, data)
        for member, label in zip(choice.groups, labels, strict=True):
            line = _line(member, label, metric, split)
            lines.append(line)
            rows += _rows(choice, line, member, metric, split)
            table.append(_summary(choice, line))
        style = tuple(styles[freeze(member.settings)] for member in choice.groups)
        y_label = what if len(choices) < 2 else _NAMES[metric]
        drawn.append(Panel(choice.title, tuple(lines), "steps", y_label, style, _count_steps))
    return Chart(name, rows, lambda theme: draw_panels(drawn, theme), table, tuple(notes))


def choose(
    groups: Sequence[Group], by: Sequence[str] = (), panels: bool | None = None
) -> tuple[list[Choice], list[str]]:
    """Decides which groups share a panel.

    Returns:
        The panels, and a line for each group that has no place.

    Raises:
        ValueError: for a setting that no run has.
    """
    names = differing([member.settings for member in groups])
    if by:
        _check(by, groups)
        return _along(groups, tuple(by))
    titles = list(dict.fromkeys(panel_of(name) for name in names))
    if panels is not False and len(titles) > 1:
        found, left = _star(groups, names)
        if found and (panels or not left):
            return found, [
                f"{_named(member)}: in no panel; it differs in several ways" for member in left
            ]
    title = " and ".join(titles) if len(titles) <= 2 else "all settings"
    ordered = sorted(groups, key=lambda member: order_of(member.settings, names))
    return [Choice(_capital(title), tuple(names), tuple(ordered))], []


def _check(by: Sequence[str], groups: Sequence[Group]) -> None:
    known = {name for member in groups for name in member.settings}
    unknown = [name for name in by if name not in known]
    if unknown:
        names = differing([member.settings for member in groups])
        raise ValueError(
            f"--by {unknown[0]}: no run has such a setting; the runs differ in "
            f"{', '.join(names) or 'their seed alone'}"
        )


def _apart(first: Group, second: Group) -> set[str]:
    return set(differing([first.settings, second.settings]))


def _along(groups: Sequence[Group], by: tuple[str, ...]) -> tuple[list[Choice], list[str]]:
    """The groups that differ from one of them in the named settings alone; the most there are."""
    sets = [[other for other in groups if _apart(one, other) <= set(by)] for one in groups]
    best = max(sets, key=len)
    notes = []
    for member in groups:
        if member not in best:
            elsewhere = sorted(_apart(best[0], member) - set(by))
            notes.append(f"{_named(member)}: left out, as it differs in {', '.join(elsewhere)} too")
    ordered = sorted(best, key=lambda member: order_of(member.settings, by))
    title = next((t for t, names in PANELS.items() if set(by) <= set(names)), None)
    title = title or " and ".join(readable(name) for name in by)
    return [Choice(_capital(title), by, tuple(ordered))], notes


def _star(groups: Sequence[Group], names: Sequence[str]) -> tuple[list[Choice], list[Group]]:
    """Panels around the settings from which most others depart in one way."""
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
    titles = [title for title in dict.fromkeys(panel_of(name) for name in names) if title in best]
    placed = [centre, *(member for members in best.values() for member in members)]
    found = []
    for title in titles:
        members = [centre, *best[title]]
        told = differing([member.settings for member in members])
        members.sort(key=lambda member: order_of(member.settings, told))
        found.append(Choice(_capital(title), tuple(told), tuple(members)))
    return found, [member for member in groups if member not in placed]


def _styles(choices: Sequence[Choice]) -> dict[tuple, int]:
    """A style for each group: that of the common one is the first, in every panel."""
    keys = [[freeze(member.settings) for member in choice.groups] for choice in choices]
    common = set.intersection(*map(set, keys)) if len(keys) > 1 else set()
    styles = dict.fromkeys(common, 0)
    for panel in keys:
        number = len(common)
        for key in panel:
            if key not in styles:
                styles[key] = number
                number += 1
    return styles


def _line(member: Group, label: str, metric: str, split: str) -> Line:
    counted = member.finished
    found = [run.curve(metric, split) for run in counted]
    found = [thinned(curve) if metric == "loss" else curve for curve in found]
    remarks = [member.count] if member.count else []
    unfinished = not counted[0].finished
    if unfinished:
        furthest = max(counted, key=lambda run: run.step)
        whole = furthest.config.get("steps", 0)
        remarks.append(
            f"unfinished, {100 * furthest.step / whole:.0f} %" if whole else "unfinished"
        )
    return Line(label, mean_line(found), ", ".join(remarks), unfinished)


def _rows(choice: Choice, line: Line, member: Group, metric: str, split: str) -> list[dict]:
    return [
        {
            "panel": choice.title,
            "line": line.label,
            "metric": metric,
            "split": split,
            "step": int(point.x),
            "mean": point.mean,
            "low": point.low,
            "high": point.high,
            "runs": point.count,
            "state": "unfinished" if line.cut_off else "finished",
        }
        for point in line.points
    ]


def _summary(choice: Choice, line: Line) -> tuple:
    last = line.points[-1] if line.points else None
    if last is None:
        return choice.title, line.label, 0, "", "no step in common", ""
    limits = f"{last.low:.4f} to {last.high:.4f}" if last.count > 1 else ""
    return choice.title, line.text, last.count, int(last.x), last.mean, limits


def _named(member: Group) -> str:
    return ", ".join(run.name for run in member.runs)


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:] if title else "Training"


def _count_steps(axes) -> None:
    """Ticks such as 200k."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x / 1000:g}k" if abs(x) >= 10_000 else f"{x:g}")
    )
    axes.set_xlim(left=0)
