"""mAP against operations: the paper's Figure 5, with this project's own runs."""

from collections.abc import Sequence

from panns_tf.complexity import complexity as count_operations
from panns_tf.config import NETWORK_SETTINGS
from panns_tf.figures.chart import Chart, grid_of_panels, mean_range
from panns_tf.figures.curves import run_notes
from panns_tf.figures.grouping import (
    describe_data,
    group_runs,
    held_out,
    label_groups,
    partition,
)
from panns_tf.models.registry import find
from panns_tf.run import Run
from panns_tf.style import MARKERS, Theme
from tfrecords.commands import import_tensorflow_quietly

#: Clips of AudioSet's evaluation set: in the paper 18,887 were available, of 20,371 listed.
AUDIOSET_CLIPS = range(15_000, 20_372)
_AUDIOSET = "AudioSet evaluation set"
_OWN = "this project"
#: The networks of Figure 5, those of Table XII; kinds in the order of their colours.
_PUBLISHED = {
    "CNN": ("Cnn6", "Cnn10", "Cnn14"),
    "ResNet": ("ResNet22", "ResNet38", "ResNet54"),
    "MobileNet": ("MobileNetV1", "MobileNetV2"),
    "one-dimensional": ("DaiNet19", "LeeNet11", "LeeNet24", "Res1dNet31", "Res1dNet51"),
    "Wavegram": ("Wavegram_Cnn14", "Wavegram_Logmel_Cnn14"),
}


def complexity(runs: Sequence[Run] = (), name: str = "complexity") -> list[Chart]:
    """Draws the mAP of the paper's networks against their operations, and that of own runs.

    Runs on other data than AudioSet's evaluation set have a panel each. mAP are of Tables IV and
    XI, operations as Table XII counts them.
    """
    if runs:  # their operations are counted by Keras
        import_tensorflow_quietly()
    rows, notes = published_rows(), run_notes(runs)
    usable = [run for run in runs if run.final()[0] is not None]
    notes += [f"{run.name}: without evaluation; left out" for run in runs if run not in usable]
    sets = partition(usable)
    titles = [_AUDIOSET if _is_audioset(each[0]) else describe_data(each[0]) for each in sets]
    for i, (title, members) in enumerate(zip(titles, sets, strict=True), 1):
        title = title if titles.count(title) == 1 else f"{title}, set {i}"
        own, left_out = _own_rows(members, title)
        rows += own
        notes += left_out
    shown = ("panel", "system", "operations", "mAP", "low", "high", "source", "remark")
    printed = [{key: row[key] for key in shown} for row in rows]
    return [Chart(name, rows, lambda theme: _draw(rows, theme), notes, printed)]


def published_rows() -> list[dict]:
    """The networks of Figure 5."""
    return [
        _row(_AUDIOSET, name, "paper", kind, find(name), mAP=find(name).published_map)
        for kind, names in _PUBLISHED.items()
        for name in names
    ]


def _row(panel: str, system: str, source: str, kind: str, counted, **numbers) -> dict:
    return {
        **{"panel": panel, "system": system, "source": source, "kind": kind, "seconds": 10.0},
        **{"operations": counted.operations, "parameters": counted.parameters, "mAP": None},
        **{"low": None, "high": None, "runs": None, "remark": "", **numbers},
    }


def _is_audioset(run: Run) -> bool:
    evaluated = [each.metrics.get("num_clips") for each in run.evaluations]
    clips = next(filter(None, [held_out(run)[1], *evaluated]), 0)
    named = "eval" in (run.config.get("eval_data") or "").lower()
    return len(run.labels) == 527 and named and int(clips) in AUDIOSET_CLIPS


def _own_rows(runs: Sequence[Run], title: str) -> tuple[list[dict], list[str]]:
    groups, rows, notes = group_runs(runs), [], []
    for group, label in zip(groups, label_groups(groups, ["arch"]), strict=True):
        config = group.runs[0].config
        overrides = {key: config[key] for key in NETWORK_SETTINGS if config.get(key) is not None}
        classes = len(group.runs[0].labels)
        try:
            counted = count_operations(config["arch"], num_classes=classes, **overrides)
        except (ValueError, KeyError) as error:
            notes += [f"{run.name}: left out: {error}" for run in group.runs]
            continue
        numbers = mean_range([run.final()[0] for run in group.counted])
        numbers |= {"mAP": numbers.pop("mean"), "runs": len(group.counted)}
        numbers["remark"] = "" if group.finished else "unfinished"
        rows.append(_row(title, label, _OWN, _OWN, counted, **numbers))
    return rows, notes


def _draw(rows: Sequence[dict], theme: Theme):
    from matplotlib.ticker import MaxNLocator

    def label(row: dict) -> str:
        runs = f"{row['runs']} runs" if (row["runs"] or 1) > 1 else ""
        remarks = ", ".join(filter(None, (runs, row["remark"])))
        return f"{row['system']} ({remarks})" if remarks else row["system"]

    titles = list(dict.fromkeys(row["panel"] for row in rows))
    width = 4.6 + 0.062 * max(len(label(row)) for row in rows)
    figure, grid = grid_of_panels(len(titles), width, 4.2)
    for axes, title in zip(grid, titles, strict=True):
        members = [row for row in rows if row["panel"] == title]
        for number, kind in enumerate(
            [*_PUBLISHED, _OWN]
        ):  # a colour for a kind, a marker for each network
            of_kind = [row for row in members if row["kind"] == kind]
            for i, row in enumerate(sorted(of_kind, key=lambda row: -row["mAP"])):
                colour = theme.series[(i if kind == _OWN else number) % len(theme.series)]
                style = {"color": colour, "marker": MARKERS[i % len(MARKERS)], "ls": "none"}
                style |= {"ms": 6, "label": label(row)}
                x = row["operations"] / 1e9
                if kind == _OWN:  # hollow and larger, to stand out among the published networks
                    style |= {"ms": 8, "mfc": theme.background, "mew": 1.6, "zorder": 3}
                    axes.plot([x, x], [row["low"], row["high"]], color=colour, lw=1)
                axes.plot([x], [row["mAP"]], **style)
        axes.set(title=title, ylabel="mAP")
        axes.set_xlabel("10⁹ operations for a clip of 10 s (a multiply-add is two)")
        axes.set_xlim(0, 1.08 * max(row["operations"] for row in members) / 1e9)
        axes.margins(y=0.12)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), handletextpad=0.3)
    return figure
