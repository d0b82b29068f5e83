"""AP class by class, with training clips and label quality: the paper's Figures 3 and 12."""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from panns_tf.figures.chart import Chart, mean_range
from panns_tf.figures.curves import run_notes
from panns_tf.figures.grouping import group_runs, in_order, label_groups
from panns_tf.run import Run
from panns_tf.style import MARKERS, Theme
from tfrecords.text import some

#: Classes of a single column; 527 classes make three, in a sheet of paper's proportions.
TALLEST = 60
#: Of more classes, how many from each end make a figure that is read at a glance.
ENDS = 15
#: Letters of a class's name that are drawn; AudioSet's longest has 59.
LONGEST_NAME = 64
#: Between the first and the last classes of an order, and for what is cut off.
_GAP = "…"
#: The plots beside a class's name, with their width in inches.
_PARTS = {"training_clips": 0.95, "average_precision": 2.5, "label_quality": 0.7}


def classes(
    runs: Sequence[Run],
    label_quality: str | Path | None = None,
    top: int | None = None,
    bottom: int | None = None,
    name: str = "classes",
) -> list[Chart]:
    """Draws the AP of every class; runs that differ in their seed alone are one system.

    Of many classes two charts: the ends of their order, as Figure 3 has them, and all, as Figure
    12. The order is by clips where they are known, else by AP of the first system. AudioSet's file
    of label quality, if given, stands in for ``per_class.csv``.
    """
    evaluations = _evaluations(runs)
    used = [run for run in runs if run.path in evaluations]
    notes = run_notes(runs)
    notes += [f"{run.name}: without per_class.csv; left out" for run in runs if run not in used]
    first = evaluations[used[0].path]
    clips = {label: row.get("training_clips") for label, row in first.items()}
    for run in runs:
        if run.training_clips:
            clips = dict(zip(run.labels, run.training_clips, strict=True))
    known = any(count is not None for count in clips.values())
    if not known:
        notes.append("training clips of the classes are unknown: no config.json states them")
    quality = [row.get("label_quality") for row in first.values()]
    if label_quality:
        from panns_tf.metrics.class_groups import read_label_quality

        quality = [float(share) for share in read_label_quality(label_quality, len(first))]
    systems, interval = _systems(used, evaluations)
    by_class = {}
    for label, share in zip(first, quality, strict=True):
        about = {
            "training_clips": None if clips[label] is None else int(clips[label]),
            "label_quality": None if share is None or math.isnan(share) else share,
        }
        by_class[label] = [
            {"class": label, "system": system, **results[label], **about}
            for system, results in systems.items()
        ]

    def place(label: str) -> tuple:  # unknown and undefined ones come last
        value = by_class[label][0]["training_clips" if known else "average_precision"]
        return value is None, -(value or 0)

    ordered, charts = sorted(by_class, key=place), []
    if top is bottom is None and len(ordered) > TALLEST:
        shown = {name: _ends(ordered, ENDS, ENDS), f"{name}_all": ordered}
    else:
        shown = {name: ordered if top is bottom is None else _ends(ordered, top or 0, bottom or 0)}
    for file, labels in shown.items():
        rows = [row for label in labels if label != _GAP for row in by_class[label]]
        undefined = {row["class"]: None for row in rows if row["average_precision"] is None}
        remark = (
            f"{len(undefined)} of {len(rows) // len(systems)} classes undefined, without a "
            f"positive held-out clip, and left empty: {some(undefined, 8)}"
        )
        draw = functools.partial(_draw, by_class, labels, interval)
        charts.append(Chart(file, rows, draw, [*notes, remark] if undefined else notes))
    return charts


def _evaluations(runs: Sequence[Run]) -> dict[Path, Mapping]:
    """Classes by path of the run, of the evaluation that most runs have, with intervals rather."""
    having: dict[str, dict] = {}
    for run in runs:
        for each in run.evaluations:
            if each.classes:
                having.setdefault(each.name, {})[run.path] = each.classes
    if not having:
        raise ValueError(
            f"none of the {len(runs)} runs has an evaluation with per_class.csv; make one with "
            "evaluate.py"
        )

    def rank(name: str) -> tuple:
        rows = [next(iter(each.values())) for each in having[name].values()]
        return len(rows), all(row.get("ap_low") is not None for row in rows)

    chosen = having[max(sorted(having), key=rank)]
    counts = {
        run.name: {label: row.get("positives") for label, row in chosen[run.path].items()}
        for run in runs
        if run.path in chosen
    }
    first, one = next(iter(counts.items()))
    for other, two in counts.items():
        if one != two:
            odd = next(label for label in {**one, **two} if one.get(label) != two.get(label))
            raise ValueError(
                f"{first} and {other} were evaluated on different clips or classes, {odd!r} first; "
                "draw them in a figure each"
            )
    return chosen


def _systems(runs: Sequence[Run], evaluations: Mapping) -> tuple[dict[str, dict], str]:
    """Results by system and class, and what their intervals are."""
    groups = in_order(group_runs(runs))
    systems, intervals = {}, set()
    for group, label in zip(groups, label_groups(groups), strict=True):
        tables = [evaluations[run.path] for run in group.counted]
        results = systems[f"{label} ({group.seeds})" if group.seeds else label] = {}
        for name, row in tables[0].items():
            values = [table[name]["average_precision"] for table in tables]
            values = [value for value in values if value is not None]
            found = mean_range(values) if values else dict.fromkeys(("mean", "low", "high"))
            if len(tables) == 1:
                found |= {end: row.get(f"ap_{end}") for end in ("low", "high")}
            if found["low"] is not None:
                intervals.add("ranges over seeds" if len(tables) > 1 else "95 % intervals")
            ap = found.pop("mean")
            results[name] = {"average_precision": ap, **found, "runs": len(values)}
    return systems, " and ".join(sorted(intervals))


def _ends(labels: list[str], top: int, bottom: int) -> list[str]:
    """The first and the last classes, with a gap between them."""
    if min(top, bottom) < 0 or top + bottom == 0:
        raise ValueError(f"--top and --bottom leave no class to draw; received {top} and {bottom}")
    gap = [_GAP] if 0 < top < len(labels) - bottom and bottom else []
    return labels[:top] + gap + labels[max(top, len(labels) - bottom) :]


def _draw(by_class: Mapping[str, list[dict]], lines: list[str], interval: str, theme: Theme):
    """Classes from top to bottom in as many columns as needed, each with up to three plots."""
    from matplotlib.figure import Figure

    rows = [by_class[label] for label in lines if label != _GAP]
    systems = [row["system"] for row in rows[0]]
    parts = [part for part in _PARTS if any(row[part] is not None for row, *_ in rows)]
    parts = parts if "average_precision" in parts else ["average_precision", *parts]
    count = max(1, round(math.sqrt(len(lines) / 58)))
    tall = math.ceil(len(lines) / count)
    most = max(row["training_clips"] or 0 for row, *_ in rows)
    names = 0.062 * max(min(len(label), LONGEST_NAME) for label in lines)
    widths = [_PARTS[part] for part in parts]
    width = max(count * (names + sum(widths) + 0.8), 0.068 * max(map(len, systems)) + 0.8)
    height = 0.165 * tall + 0.8 + 0.18 * (len(systems) + bool(interval))
    figure = Figure((width, height), layout="constrained")
    grid = figure.subplots(1, count * len(parts), squeeze=False, width_ratios=widths * count)[0]
    for i, axes in enumerate(grid):
        part, column = parts[i % len(parts)], lines[i // len(parts) * tall :][:tall]
        axes.set_ylim(tall - 0.5, -0.5)  # of the last column too, so that rows are equally high
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", left=False, labelsize=7.5, labelcolor=theme.text)
        labels = [
            label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + _GAP
            for label in column
        ]
        axes.set_yticks(range(len(column)), labels if part == parts[0] else [])
        axes.set_xlabel(part.replace("_", " "), fontsize=8)
        placed = [(y, by_class[label]) for y, label in enumerate(column) if label != _GAP]
        _draw_part(axes, placed, part, most, theme)
    handles = grid[parts.index("average_precision")].get_legend_handles_labels()
    title = f"lines: {interval}" if interval else None
    figure.legend(*handles, loc="outside lower center", title=title)
    return figure


def _draw_part(
    axes, placed: Sequence[tuple[int, list[dict]]], part: str, most: int, theme: Theme
) -> None:
    """Training clips as bars, AP of each system with its interval, label quality as marks."""
    import numpy as np
    from matplotlib.ticker import EngFormatter, LogLocator

    y = np.array([y for y, _ in placed])
    x = np.array([[row[part] for row in rows] for _, rows in placed], float).T
    if part == "training_clips":
        axes.hlines(y[x[0] > 0], 0.8, x[0][x[0] > 0], color=theme.bar, lw=7.4)
        axes.grid(axis="y", visible=False)
        axes.set_xscale("log")
        axes.set_xlim(0.8, 1.6 * max(10, most))
        axes.minorticks_off()
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # such as 10k
        return
    axes.set_xlim(0, 1)
    if part == "label_quality":
        axes.plot(x[0], y, "|", ms=6, mew=1.6, color=theme.muted, clip_on=False)
        return
    spread = min(0.6, 0.3 * (len(x) - 1))  # so that intervals do not cover each other
    for i, aside in enumerate(np.linspace(-spread / 2, spread / 2, len(x))):
        ends = np.array([[rows[i]["low"], rows[i]["high"]] for _, rows in placed], float).T
        style = {"color": theme.series[i % len(theme.series)], "marker": MARKERS[i % len(MARKERS)]}
        style |= {"ms": 4, "mec": theme.background, "mew": 0.4, "ls": "none", "clip_on": False}
        known = ~np.isnan(ends[0])
        axes.hlines((y + aside)[known], *ends[:, known], color=style["color"], lw=0.9)
        axes.plot(x[i], y + aside, label=placed[0][1][i]["system"], zorder=3, **style)
