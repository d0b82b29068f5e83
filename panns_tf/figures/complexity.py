"""mAP against operations: the paper's Figure 5, with this project's own runs."""

from collections.abc import Sequence

from panns_tf.complexity import complexity as count_operations
from panns_tf.config import NETWORK_SETTINGS
from panns_tf.figures.chart import Chart, point
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
    rows = published_rows()
    sets = partition(usable)
    titles = [_AUDIOSET if _is_audioset(each[0]) else describe_data(each[0]) for each in sets]
    for i, (title, members) in enumerate(zip(titles, sets, strict=True)):
        title = title if titles.count(title) == 1 else f"{title}, set {i + 1}"
        own, left_out = _own_rows(members, title)
        rows += own
        notes += left_out
    printed = ("panel", "system", "operations", "mAP", "low", "high", "source", "remark")
    return Chart(name, rows, lambda theme: _draw(rows, theme), notes, printed)


def published_rows() -> list[dict]:
    """The networks of Figure 5: those of Table XII, without variants of the front end."""
    return [
        _row(_AUDIOSET, arch.name, _kind(arch), arch, arch.published_map)
        for arch in ARCHITECTURES.values()
        if arch.published_map is not None and arch.head == "clip" and family(arch.name) is arch
    ]


def _row(panel: str, system: str, kind: str, counted, value: float, **own) -> dict:
    return {
        "panel": panel,
        "system": system,
        "source": _OWN if kind == _OWN else "paper",
        "kind": kind,
        "seconds": SECONDS,
        "operations": counted.operations,
        "parameters": counted.parameters,
        "mAP": value,
        **{"low": None, "high": None, "runs": None, "remark": "", **own},
    }


def _kind(arch: Architecture) -> str:
    if "wavegram" in arch.inputs:
        return "Wavegram"
    if "waveform" in arch.inputs:
        return "one-dimensional"
    return {"cnn": "CNN", "resnet": "ResNet"}.get(arch.backbone, "MobileNet")


def _is_audioset(run: Run) -> bool:
    data = plain_path(run.config.get("eval_data"), run.path) or ""
    counts = [held_out_counts(run), *(evaluation.metrics for evaluation in run.evaluations)]
    clips = next((each["num_clips"] for each in counts if each.get("num_clips")), 0)
    return len(run.labels) == 527 and "eval" in data.lower() and int(clips) in AUDIOSET_CLIPS


def _own_rows(runs: Sequence[Run], title: str) -> tuple[list[dict], list[str]]:
    groups, rows, notes = group_runs(runs), [], []
    names = differing(groups)
    names = names if "arch" in names or not names else ["arch", *names]
    for group, label in zip(groups, label_groups(groups, names), strict=True):
        config = group.runs[0].config
        overrides = {key: config[key] for key in NETWORK_SETTINGS if config.get(key) is not None}
        classes = len(group.runs[0].labels)
        try:
            counted = count_operations(config["arch"], SECONDS, classes, **overrides)
        except (ValueError, KeyError) as error:
            notes += [f"{run.name}: left out: {error}" for run in group.runs]
            continue
        value = point(0, [run.final()[0] for run in group.counted])
        numbers = {"low": value.low, "high": value.high, "runs": value.count}
        remark = "" if group.counted[0].finished else "unfinished"
        rows.append(_row(title, label, _OWN, counted, value.mean, **numbers, remark=remark))
    return rows, notes


def _draw(rows: Sequence[dict], theme: Theme):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    titles = list(dict.fromkeys(row["panel"] for row in rows))
    columns = min(2, len(titles))
    lines = -(-len(titles) // columns)
    longest = max(len(_label(row)) for row in rows)
    figure = Figure((columns * (4.6 + 0.062 * longest), lines * 4.2), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, title in zip(grid, titles, strict=False):
        members = [row for row in rows if row["panel"] == title]
        for kind in _KINDS:  # a colour for each kind, a marker for each network of the kind
            of_kind = [row for row in members if row["kind"] == kind]
            for i, row in enumerate(sorted(of_kind, key=lambda row: -row["mAP"])):
                _draw_system(axes, row, i, theme)
        axes.set_title(title)
        axes.set_xlabel("10⁹ operations for a clip of 10 s (a multiply-add is two)")
        axes.set_ylabel("mAP")
        axes.set_xlim(0, 1.08 * max(row["operations"] for row in members) / 1e9)
        axes.margins(y=0.12)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), handletextpad=0.3)
    for axes in grid[len(titles) :]:
        axes.remove()
    return figure


def _label(row: dict) -> str:
    runs = f"{row['runs']} runs" if (row["runs"] or 1) > 1 else ""
    remarks = ", ".join(filter(None, (runs, row["remark"])))
    return f"{row['system']} ({remarks})" if remarks else row["system"]


def _draw_system(axes, row: dict, index: int, theme: Theme) -> None:
    own = row["kind"] == _OWN
    colour = theme.series[(index if own else _KINDS.index(row["kind"])) % len(theme.series)]
    x = row["operations"] / 1e9
    style = {"color": colour, "marker": MARKERS[index % len(MARKERS)], "ms": 6}
    if own:  # hollow and larger, so that they stand out among the published networks
        style |= {"ms": 8, "mfc": theme.background, "mew": 1.6, "zorder": 3}
        axes.plot([x, x], [row["low"], row["high"]], color=colour, lw=1)
    axes.plot([x], [row["mAP"]], ls="none", label=_label(row), **style)
