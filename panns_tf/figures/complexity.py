"""mAP against operations: the paper's Figure 5, with this project's own runs."""

import dataclasses
from collections.abc import Sequence
from functools import cache

from panns_tf.complexity import complexity as count_operations
from panns_tf.config import OVERRIDES
from panns_tf.figures.chart import Chart, Point, point
from panns_tf.figures.curves import run_notes
from panns_tf.figures.grouping import differing, family, group_runs, label_groups, plain_path
from panns_tf.figures.held_out import describe_data, held_out_counts, partition
from panns_tf.models.registry import ARCHITECTURES, Architecture
from panns_tf.run import Run
from panns_tf.style import MARKERS, Theme

#: Seconds of the clip whose operations are counted, as in Table XII.
SECONDS = 10.0
#: Clips of AudioSet's evaluation set: in the paper 18,887 were available, of 20,371 listed.
AUDIOSET_CLIPS = range(15_000, 20_372)
_AUDIOSET = "AudioSet evaluation set"
_OWN = "this project"
_KINDS = ("CNN", "ResNet", "MobileNet", "one-dimensional", "Wavegram", _OWN)


@dataclasses.dataclass(frozen=True)
class System:
    """One marker: a network, its operations for a clip of 10 s, its mAP over seeds."""

    panel: str
    name: str
    operations: int
    parameters: int
    value: Point
    kind: str
    remark: str = ""

    @property
    def text(self) -> str:
        """The name with its remark."""
        return f"{self.name} ({self.remark})" if self.remark else self.name


def complexity(runs: Sequence[Run] = (), name: str = "complexity") -> Chart:
    """Draws the mAP of the paper's networks against their operations, and that of own runs.

    Runs evaluated on AudioSet's evaluation set stand among the published networks; other data
    have a panel each.

    Args:
        runs: of `panns_tf.run.read_runs`; may be none.
        name: of the files.

    Source: Figure 5; mAP of Tables IV and XI, operations as Table XII counts them.
    """
    notes = run_notes(runs)
    usable = [run for run in runs if run.final()[0] is not None]
    notes += [f"{run.name}: without evaluation; left out" for run in runs if run not in usable]
    systems = list(published_systems())
    sets = partition(usable)
    titles = [_AUDIOSET if _is_audioset(each[0]) else describe_data(each[0]) for each in sets]
    for i, (title, members) in enumerate(zip(titles, sets, strict=True)):
        title = title if titles.count(title) == 1 else f"{title}, set {i + 1}"
        found, left_out = _own_systems(members, title)
        systems += found
        notes += left_out
    rows = [
        {
            "panel": system.panel,
            "system": system.name,
            "source": _OWN if system.kind == _OWN else "paper",
            "kind": system.kind,
            "seconds": SECONDS,
            "operations": system.operations,
            "parameters": system.parameters,
            "mAP": system.value.mean,
            "low": system.value.low if system.kind == _OWN else None,
            "high": system.value.high if system.kind == _OWN else None,
            "runs": system.value.count if system.kind == _OWN else None,
            "remark": system.remark,
        }
        for system in systems
    ]
    table = [("panel", "system", "operations / 1e9", "mAP", "range", "source")]
    for system, row in zip(systems, rows, strict=True):
        giga = f"{system.operations / 1e9:.3f}"
        value = system.value
        table.append((system.panel, system.text, giga, value.mean, value.range, row["source"]))
    return Chart(name, rows, lambda theme: _draw(systems, theme), table, tuple(notes))


@cache
def published_systems() -> tuple[System, ...]:
    """The networks of Figure 5: those of Table XII, without variants of the front end."""
    systems = []
    for arch in ARCHITECTURES.values():
        if arch.published_map is None or arch.head != "clip" or family(arch.name) is not arch:
            continue
        counted = count_operations(arch.name, SECONDS)
        value = point(0, [arch.published_map])
        numbers = counted.operations, counted.parameters
        systems.append(System(_AUDIOSET, arch.name, *numbers, value, _kind(arch)))
    return tuple(systems)


def _kind(arch: Architecture) -> str:
    if "wavegram" in arch.inputs:
        return "Wavegram"
    if "waveform" in arch.inputs:
        return "one-dimensional"
    return {"cnn": "CNN", "resnet": "ResNet"}.get(arch.body, "MobileNet")


def _is_audioset(run: Run) -> bool:
    data = plain_path(run.config.get("eval_data"), run.path) or ""
    counts = [held_out_counts(run), *(evaluation.metrics for evaluation in run.evaluations)]
    clips = next((each["num_clips"] for each in counts if each.get("num_clips")), 0)
    return len(run.labels) == 527 and "eval" in data.lower() and int(clips) in AUDIOSET_CLIPS


def _own_systems(runs: Sequence[Run], title: str) -> tuple[list[System], list[str]]:
    groups, systems, notes = group_runs(runs), [], []
    names = differing(groups)
    names = names if "arch" in names or not names else ["arch", *names]
    for group, label in zip(groups, label_groups(groups, names), strict=True):
        config = group.runs[0].config
        overrides = {key: config[key] for key in OVERRIDES if config.get(key) is not None}
        try:
            counted = count_operations(
                config["arch"], SECONDS, len(group.runs[0].labels), **overrides
            )
        except (ValueError, KeyError) as error:
            notes += [f"{run.name}: left out: {error}" for run in group.runs]
            continue
        unfinished = "" if group.counted[0].finished else "unfinished"
        remark = ", ".join(filter(None, (group.seeds, unfinished)))
        value = point(0, [run.final()[0] for run in group.counted])
        numbers = counted.operations, counted.parameters
        systems.append(System(title, label, *numbers, value, _OWN, remark))
    return systems, notes


def _draw(systems: Sequence[System], theme: Theme):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    titles = list(dict.fromkeys(system.panel for system in systems))
    columns = min(2, len(titles))
    rows = -(-len(titles) // columns)
    longest = max(len(system.text) for system in systems)
    figure = Figure((columns * (4.6 + 0.062 * longest), rows * 4.2), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, title in zip(grid, titles, strict=False):
        members = [system for system in systems if system.panel == title]
        for kind in _KINDS:  # a colour for each kind, a marker for each network of the kind
            of_kind = [system for system in members if system.kind == kind]
            for i, system in enumerate(sorted(of_kind, key=lambda each: -each.value.mean)):
                _draw_system(axes, system, i, theme)
        axes.set_title(title)
        axes.set_xlabel("10⁹ operations for a clip of 10 s (a multiply-add is two)")
        axes.set_ylabel("mAP")
        axes.set_xlim(0, 1.08 * max(system.operations for system in members) / 1e9)
        axes.margins(y=0.12)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), handletextpad=0.3)
    for axes in grid[len(titles) :]:
        axes.remove()
    return figure


def _draw_system(axes, system: System, index: int, theme: Theme) -> None:
    own = system.kind == _OWN
    colour = theme.series[(index if own else _KINDS.index(system.kind)) % len(theme.series)]
    x, value = system.operations / 1e9, system.value
    style = {"color": colour, "marker": MARKERS[index % len(MARKERS)], "ms": 6}
    if own:  # hollow and larger, so that they stand out among the published networks
        style |= {"ms": 8, "mfc": theme.background, "mew": 1.6, "zorder": 3}
    if value.count > 1:
        axes.plot([x, x], [value.low, value.high], color=colour, lw=1)
    axes.plot([x], [value.mean], ls="none", label=system.text, **style)
