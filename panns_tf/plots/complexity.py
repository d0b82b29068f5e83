"""mAP against operations: the paper's Figure 5, with this project's own runs."""

import dataclasses
from collections.abc import Sequence
from functools import cache

from panns_tf.plots.chart import Chart
from panns_tf.plots.held_out import data_of, partition
from panns_tf.plots.lines import Point, point
from panns_tf.plots.runs import Run
from panns_tf.plots.scatter import draw_names
from panns_tf.plots.settings import OVERRIDES, differing, group, names_of, place, shortest
from panns_tf.plots.style import MARKS, Theme

#: Seconds of the clip whose operations are counted, as in Table XII.
SECONDS = 10.0
#: Clips of AudioSet's evaluation set: in the paper 18,887 could be had, of 20,371 listed.
AUDIOSET_CLIPS = range(15_000, 20_372)
_PAPER = "AudioSet evaluation set"
#: Inches.
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 4.6, 3.6, 0.72, 0.6, 0.36, 0.25


@dataclasses.dataclass(frozen=True)
class System:
    """One mark: a network, its operations for a 10 s clip, its mAP over seeds."""

    panel: str
    name: str
    operations: int
    parameters: int
    value: Point
    kind: str
    remark: str = ""

    @property
    def own(self) -> bool:
        return self.kind == "this project"


def complexity(runs: Sequence[Run] = (), name: str = "complexity") -> Chart:
    """Draws the mAP of the paper's networks against their operations, and that of own runs.

    Runs evaluated on AudioSet's evaluation set stand among the published networks; those on
    other data have a panel of their own for each set of data.

    Args:
        runs: of `panns_tf.plots.runs.read_runs`; may be none.
        name: of the files.

    Source: Figure 5; mAP of Tables IV and XI, operations as Table XII counts them.
    """
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    notes += [f"{run.name}: {run.state}" for run in runs if not run.finished]
    systems = list(published())
    usable = []
    for run in runs:
        if run.final()[0] is None:
            notes.append(f"{run.name}: without evaluation; left out")
        else:
            usable.append(run)
    data = shortest(run.settings.get("data") for run in usable)
    sets = partition(usable)
    titles = [_title(members[0]) for members in sets]
    for i, members in enumerate(sets):
        title = titles[i] if titles.count(titles[i]) == 1 else f"{titles[i]}, set {i + 1}"
        found, more = _own(members, title, data)
        systems += found
        notes += more
    rows = [_row(system) for system in systems]
    table = [("panel", "system", "operations / 1e9", "mAP", "range", "source")]
    table += [_summary(system) for system in systems]
    return Chart(name, rows, lambda theme: _draw(systems, theme), table, tuple(notes))


@cache
def published() -> tuple[System, ...]:
    """The networks of Figure 5: those of Table XII, by this project's own count."""
    from panns_tf.complexity import complexity as count
    from panns_tf.models.registry import ARCHITECTURES
    from panns_tf.plots.settings import family

    found = []
    for row in ARCHITECTURES.values():
        if row.published_map is None or row.head != "clip" or family(row.name) is not row:
            continue  # variants of a network are Tables V to X
        counted = count(row.name, SECONDS)
        value = point(0, [row.published_map])
        found.append(
            System(_PAPER, row.name, counted.operations, counted.parameters, value, _kind(row))
        )
    return tuple(found)


def _kind(row) -> str:
    if "wavegram" in row.inputs:
        return "Wavegram"
    if "waveform" in row.inputs:
        return "one-dimensional"
    return {"cnn": "CNN", "resnet": "ResNet"}.get(row.body, "MobileNet")


_KINDS = ("CNN", "ResNet", "MobileNet", "one-dimensional", "Wavegram", "this project")


def _is_audioset(run: Run) -> bool:
    data = place(run.config.get("eval_data"), run.path) or ""
    clips = run.held_out.get("num_clips") or next(
        (e.metrics.get("num_clips") for e in run.evaluations if e.metrics.get("num_clips")), 0
    )
    return len(run.labels) == 527 and "eval" in data.lower() and int(clips) in AUDIOSET_CLIPS


def _title(run: Run) -> str:
    if _is_audioset(run):
        return _PAPER
    return data_of(run)


def _own(runs: Sequence[Run], title: str, data) -> tuple[list[System], list[str]]:
    from panns_tf.complexity import complexity as count

    groups, found, notes = group(runs), [], []
    names = differing([member.settings for member in groups])
    names = names if "arch" in names or not names else ["arch", *names]
    for member, label in zip(groups, names_of(groups, names, data), strict=True):
        config, members = member.runs[0].config, member.finished
        overrides = {key: config[key] for key in OVERRIDES if config.get(key) is not None}
        try:
            counted = count(config["arch"], SECONDS, len(member.runs[0].labels), **overrides)
        except (ValueError, KeyError) as error:
            notes += [f"{run.name}: left out: {error}" for run in member.runs]
            continue
        remarks = [member.count] if member.count else []
        remarks += [] if members[0].finished else ["unfinished"]
        found.append(
            System(
                title,
                label,
                counted.operations,
                counted.parameters,
                point(0, [run.final()[0] for run in members]),
                "this project",
                ", ".join(remarks),
            )
        )
    return found, notes


def _row(system: System) -> dict:
    return {
        "panel": system.panel,
        "system": system.name,
        "source": "this project" if system.own else "paper",
        "kind": system.kind,
        "seconds": SECONDS,
        "operations": system.operations,
        "parameters": system.parameters,
        "mAP": system.value.mean,
        "low": system.value.low if system.own else None,
        "high": system.value.high if system.own else None,
        "runs": system.value.count if system.own else None,
        "remark": system.remark,
    }


def _summary(system: System) -> tuple:
    value = system.value
    limits = f"{value.low:.4f} to {value.high:.4f}" if value.count > 1 else ""
    name = f"{system.name} ({system.remark})" if system.remark else system.name
    source = "this project" if system.own else "paper"
    giga = f"{system.operations / 1e9:.3f}"
    return system.panel, name, giga, round(value.mean, 4), limits, source


def _draw(systems: Sequence[System], theme: Theme):
    from matplotlib.figure import Figure

    titles = list(dict.fromkeys(system.panel for system in systems))
    columns = min(2, len(titles))
    rows = -(-len(titles) // columns)
    cell = (_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM)
    legend = 0.3
    width, height = columns * cell[0], rows * cell[1] + legend
    figure = Figure((width, height))
    for i, title in enumerate(titles):
        left = (i % columns) * cell[0] + _LEFT
        bottom = height - (i // columns + 1) * cell[1] + _BOTTOM
        axes = figure.add_axes((left / width, bottom / height, _WIDTH / width, _HEIGHT / height))
        members = [system for system in systems if system.panel == title]
        _panel(axes, members, title, theme)
    handles = [
        axes.plot([], [], ls="none", label=kind, **_mark(kind, theme))[0]
        for kind in _KINDS
        if any(system.kind == kind for system in systems)
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 0),
        ncols=6 if columns > 1 else 3,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.2,
        fontsize=8,
    )
    return figure


def _mark(kind: str, theme: Theme) -> dict:
    index = _KINDS.index(kind)
    if kind == "this project":
        return {"color": theme.text, "marker": "*", "ms": 12, "mfc": "none", "mew": 1.1}
    return {"color": theme.series[index], "marker": MARKS[index], "ms": 5.5}


def _panel(axes, systems: Sequence[System], title: str, theme: Theme) -> None:
    axes.set_title(title)
    axes.set_xlabel("operations for a 10 s clip, in 10⁹ (a multiplication and an addition are two)")
    axes.xaxis.label.set_size(8)
    axes.set_ylabel("mAP")
    points = [(system.operations / 1e9, system.value.mean) for system in systems]
    for system, (x, y) in zip(systems, points, strict=True):
        style = _mark(system.kind, theme)
        if system.value.count > 1:
            axes.plot([x, x], [system.value.low, system.value.high], color=style["color"], lw=1)
        axes.plot([x], [y], ls="none", zorder=3, **style)
    _limits(axes, systems)
    colours = [_mark(system.kind, theme)["color"] for system in systems]
    names = [f"{s.name} ({s.remark})" if s.remark else s.name for s in systems]
    draw_names(axes, points, names, colours, _WIDTH, _HEIGHT)


def _limits(axes, systems: Sequence[System]) -> None:
    """From no operations on, and with room for names around the marks."""
    from matplotlib.ticker import MaxNLocator

    most = max(system.operations for system in systems) / 1e9
    low = min(system.value.low for system in systems)
    high = max(system.value.high for system in systems)
    room = max(0.12 * (high - low), 0.01)
    axes.set_xlim(0, 1.15 * most)
    axes.set_ylim(max(0, low - room), high + room)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
