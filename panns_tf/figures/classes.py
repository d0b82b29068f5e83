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

#: The orders of classes, each with the column by which it is.
ORDERS = {"clips": "training_clips", "ap": "average_precision", "name": "class"}
#: Classes of a single column; 527 classes make three, in a sheet of paper's proportions.
TALLEST = 60
#: Of more classes, how many from each end make a figure that is read at a glance.
ENDS = 15
#: Letters of a class's name that are drawn; AudioSet's longest has 59.
LONGEST_NAME = 64
#: Between the first and the last classes of an order, and for what is cut off.
_GAP = "…"
#: The plots beside a class's name, with their width in inches and what missing values are called.
_PARTS = {
    "training_clips": (0.95, "unknown"),
    "average_precision": (2.5, "undefined"),
    "label_quality": (0.7, "unrated"),
}


def classes(
    runs: Sequence[Run],
    name: str = "classes",
    label_quality: str | Path | None = None,
    order: str | None = None,
    top: int | None = None,
    bottom: int | None = None,
    evaluation: str | None = None,
) -> list[Chart]:
    """Draws the AP of every class; runs that differ in their seed alone are one system.

    Of many classes two charts: the ends of their order, as Figure 3 has them, and all, as Figure
    12. Label quality is of ``per_class.csv`` unless AudioSet's file of it is given. The order is by
    clips where they are known, else by AP of the first system. Without a name the evaluation is
    the one that most runs have, one with intervals before others.
    """
    evaluations = _evaluations(runs, evaluation)
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
    column = ORDERS[order or ("clips" if known else "ap")]

    def place(label: str) -> tuple:  # unknown and undefined ones come last
        value = by_class[label][0][column]
        return value is None, value.lower() if column == "class" else -(value or 0)

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


def _evaluations(runs: Sequence[Run], name: str | None) -> dict[Path, Mapping]:
    """The classes of one evaluation by path of the run, all of the same classes and clips."""
    having: dict[str, dict] = {}
    for run in runs:
        for each in run.evaluations:
            if each.classes and name in (None, each.name):
                having.setdefault(each.name, {})[run.path] = each.classes
    if not having:
        wanted = f" named {name}" if name else ""
        raise ValueError(
            f"none of the {len(runs)} runs has an evaluation{wanted} with per_class.csv; make one "
            "with evaluate.py"
        )

    def rank(name: str) -> tuple:
        rows = [next(iter(each.values())) for each in having[name].values()]
        return len(rows), all(row.get("ap_low") is not None for row in rows)

    chosen = having[max(sorted(having), key=rank)]
    first, *others = (run for run in runs if run.path in chosen)
    for other in others:
        one, two = (
            {label: row.get("positives") for label, row in chosen[run.path].items()}
            for run in (first, other)
        )
        if one != two:
            odd = next(label for label in {**one, **two} if one.get(label) != two.get(label))
            raise ValueError(
                f"{first.name} and {other.name} were evaluated on different clips or classes, "
                f"{odd!r} first; choose with --evaluation NAME, or draw them in a figure each"
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
    from matplotlib.ticker import EngFormatter, LogLocator

    rows = [by_class[label] for label in lines if label != _GAP]
    parts = [
        part
        for part in _PARTS
        if part == "average_precision" or any(row[part] is not None for row, *_ in rows)
    ]
    count = 1 if len(lines) <= TALLEST else max(2, round(math.sqrt(len(lines) / 58)))
    tall = math.ceil(len(lines) / count)
    names = 0.062 * max(min(len(label), LONGEST_NAME) for label in lines)
    legend = [row["system"] for row in rows[0]] + [interval] * bool(interval)
    longest = max(map(len, legend)) * 0.068 + 0.6
    width = max(longest, count * (names + 0.25 + sum(_PARTS[part][0] + 0.15 for part in parts)))
    ncols = max(1, min(len(legend), int(width / longest)))
    height = 0.165 * tall + 0.6 + 0.18 * math.ceil(len(legend) / ncols)
    figure = Figure((width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.02, w_pad=0.03)
    widths = [_PARTS[part][0] for part in parts] * count
    grid = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    for i, axes in enumerate(grid):
        part = parts[i % len(parts)]
        column = lines[i // len(parts) * tall :][:tall]
        axes.set_ylim(tall - 0.5, -0.5)  # of the last column too, so that rows are equally high
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", left=False, labelsize=7.5, labelcolor=theme.text)
        labels = [
            label[: LONGEST_NAME - 1] + _GAP if len(label) > LONGEST_NAME else label
            for label in column
        ]
        axes.set_yticks(range(len(column)), labels if part == parts[0] else [])
        axes.set_xlabel(part.replace("_", " "), fontsize=8)
        if part == "training_clips":
            axes.grid(axis="y", visible=False)
            axes.set_xscale("log")
            axes.set_xlim(0.8, 1.6 * max(10, *(row[part] or 1 for row, *_ in rows)))
            axes.minorticks_off()
            axes.xaxis.set_major_locator(LogLocator(numticks=5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # such as 10k
        else:
            ticks = (0, 0.5, 1) if part == "label_quality" else (0, 0.25, 0.5, 0.75, 1)
            axes.set_xlim(0, 1)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        placed = [(y, by_class[label]) for y, label in enumerate(column) if label != _GAP]
        _draw_part(axes, placed, part, theme)
    # `grid` holds the axes of the first column first, so an AP plot is among its first two.
    axes = grid[parts.index("average_precision")]
    if interval:
        axes.plot([], [], color=theme.muted, lw=1, label=interval)
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=ncols, handlelength=1.2)
    return figure


def _draw_part(axes, placed: Sequence[tuple[int, list[dict]]], part: str, theme: Theme) -> None:
    """Training clips as bars, AP of each system with its interval, label quality as marks."""
    import numpy as np

    systems = placed[0][1][: None if part == "average_precision" else 1]
    spread = min(0.6, 0.3 * (len(systems) - 1))  # so that intervals do not cover each other
    for i, aside in enumerate(np.linspace(-spread / 2, spread / 2, len(systems))):
        y = np.array([y for y, _ in placed]) + aside
        x, low, high = (
            np.array([rows[i][key] for _, rows in placed], float) for key in (part, "low", "high")
        )
        if part == "training_clips":
            axes.hlines(y[x > 0], 0.8, x[x > 0], color=theme.bar, lw=7.4)
        elif part == "label_quality":
            axes.plot(x, y, "|", ms=6, mew=1.6, color=theme.muted, clip_on=False)
        else:
            style = {"color": theme.series[i % len(theme.series)], "zorder": 3, "clip_on": False}
            style |= {"marker": MARKERS[i % len(MARKERS)], "ms": 4.2 if len(systems) < 3 else 3.4}
            style |= {"mec": theme.background, "mew": 0.4, "label": systems[i]["system"]}
            known = ~np.isnan(low)
            axes.hlines(y[known], low[known], high[known], color=style["color"], lw=0.9)
            axes.plot(x, y, ls="none", **style)
    style = {"size": 6.5, "style": "italic", "color": theme.muted, "va": "center_baseline"}
    style["bbox"] = {"color": theme.background, "pad": 0.5}  # over the grid
    for y, rows in placed:
        values = {row[part] for row in rows} - {None}
        if not values or (part == "training_clips" and 0 in values):
            word = "none" if values else _PARTS[part][1]
            axes.text(0.03, y, word, transform=axes.get_yaxis_transform(), **style)
