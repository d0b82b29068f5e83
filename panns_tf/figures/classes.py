"""AP class by class, with training clips and label quality: the paper's Figures 3 and 12."""

import math
from collections.abc import Mapping, Sequence

from panns_tf.figures.chart import Chart, point
from panns_tf.figures.curves import run_notes
from panns_tf.figures.grouping import differing, group_runs, label_groups, sort_key
from panns_tf.run import Evaluation, Run
from panns_tf.style import MARKERS, Theme

ORDERS = ("clips", "ap", "name")
#: Classes of a single column; 527 classes make three, in a sheet of paper's proportions.
TALLEST = 60
#: Letters of a class's name that are drawn; AudioSet's longest has 59.
LONGEST_NAME = 64
#: Inches: height of a class, widths of the plots beside its name.
_ROW, _WIDTHS = 0.165, {"clips": 0.95, "ap": 2.5, "quality": 0.7}


def classes(
    runs: Sequence[Run],
    quality: Sequence[float] | None = None,
    order: str | None = None,
    top: int | None = None,
    bottom: int | None = None,
    evaluation: str | None = None,
    name: str = "classes",
) -> Chart:
    """Draws the AP of every class, for one or several systems.

    Args:
        runs: of `panns_tf.run.read_runs`; those that differ in their seed alone are one system,
            with its mean and range.
        quality: label quality of the classes in order, NaN where nothing was rated; by default
            that of ``per_class.csv``.
        order: ``"clips"``, most training clips first; ``"ap"``, of the first system, best first;
            or ``"name"``. By default by clips where they are known, else by AP.
        top, bottom: how many classes from the start and the end of this order; default all.
        evaluation: name of the folder within ``evaluation/``; by default the one that most runs
            have, one with intervals before others.
        name: of the files.

    Raises:
        ValueError: if no run was evaluated class by class, or they were on different clips.

    Source: Figures 3 and 12.
    """
    evaluations = _evaluations(runs, evaluation)
    notes = run_notes(runs)
    notes += [
        f"{run.name}: without per_class.csv; left out"
        for run in runs
        if run.path not in evaluations
    ]
    first = next(iter(evaluations.values())).classes
    clips, rated = _training_clips(runs, first), quality
    if rated is None:
        rated = [row.get("label_quality") for row in first.values()]
    if len(rated) != len(first):
        raise ValueError(f"label quality of {len(rated)} classes for {len(first)} classes")
    if set(clips.values()) == {None}:
        notes.append("training clips of the classes are unknown: no config.json states them")
    systems, interval = _systems([run for run in runs if run.path in evaluations], evaluations)
    by_class = {
        label: [
            {
                "class": label,
                "system": system,
                **results[label],
                "training_clips": None if clips[label] is None else int(clips[label]),
                "label_quality": None if value is None or math.isnan(value) else float(value),
            }
            for system, results in systems.items()
        ]
        for label, value in zip(first, rated, strict=True)
    }
    shown, gap = _ends(_ordered(by_class, order), top, bottom)
    by_class = {label: by_class[label] for label in shown}
    rows = [row for members in by_class.values() for row in members]
    undefined = {row["class"]: None for row in rows if row["average_precision"] is None}
    if undefined:
        listed = ", ".join(list(undefined)[:8]) + (", ..." if len(undefined) > 8 else "")
        notes.append(
            f"{len(undefined)} of {len(shown)} classes undefined, without a positive held-out "
            f"clip, and left empty: {listed}"
        )
    return Chart(name, rows, lambda theme: _draw(by_class, interval, gap, theme), notes)


def _evaluations(runs: Sequence[Run], name: str | None) -> dict:
    """The evaluations of a name by path of the run, all of the same classes and clips.

    Without a name it is that which most runs have; of several one with intervals.
    """
    having: dict[str, dict] = {}
    for run in runs:
        for each in run.evaluations:
            if each.classes:
                having.setdefault(each.name, {})[run.path] = each

    def rank(name: str) -> tuple:
        rows = [next(iter(each.classes.values())) for each in having[name].values()]
        return -len(rows), any(row.get("ap_low") is None for row in rows), name

    best = min(having, key=rank, default=None) if name is None else name
    if best not in having:
        wanted = f" named {name}" if name else ""
        raise ValueError(
            f"none of the {len(runs)} runs has an evaluation{wanted} with per_class.csv; make one "
            "with evaluate.py"
        )
    (path, first), *others = having[best].items()
    for other, evaluation in others:
        names = " and ".join(run.name for run in runs if run.path in (path, other))
        _require_same(names, first, evaluation)
    return having[best]


def _require_same(names: str, first: Evaluation, second: Evaluation) -> None:
    a, b = first.classes, second.classes
    if list(a) != list(b):
        odd = sorted(set(a) ^ set(b))
        what = f"{len(a)} and {len(b)} classes"
        what += f"; {odd[0]!r} is in one alone" if odd else ", in another order"
        raise ValueError(f"{names} were evaluated on different classes: {what}")
    for label in a:
        counts = [each[label].get("positives") for each in (a, b)]
        if None not in counts and counts[0] != counts[1]:
            raise ValueError(
                f"{names} were evaluated on different clips: {label!r} has {counts[0]:g} and "
                f"{counts[1]:g} of them; choose with --evaluation NAME, or draw them in a figure "
                "each"
            )


def _training_clips(runs: Sequence[Run], source: Mapping) -> dict[str, float | None]:
    for run in runs:
        if run.training_clips:
            return dict(zip(run.labels, run.training_clips, strict=True))
    return {label: row.get("training_clips") for label, row in source.items()}


def _systems(runs: Sequence[Run], evaluations: Mapping) -> tuple[dict[str, dict], str]:
    """Results by system and class, and what their intervals are."""
    groups = group_runs(runs)
    names = differing(groups)
    groups.sort(key=lambda group: sort_key(group, names))
    systems, intervals = {}, set()
    for group, label in zip(groups, label_groups(groups, names), strict=True):
        tables = [evaluations[run.path].classes for run in group.counted]
        results = systems[f"{label} ({group.seeds})" if group.seeds else label] = {}
        for name, row in tables[0].items():
            values = [table[name]["average_precision"] for table in tables]
            values = [value for value in values if value is not None]
            mean = point(0, values) if values else None
            low, high = row.get("ap_low"), row.get("ap_high")
            if len(tables) > 1:
                intervals.add("ranges over seeds")
                low, high = (mean.low, mean.high) if mean else (None, None)
            elif None not in (low, high):
                intervals.add("95 % intervals")
            results[name] = {
                "average_precision": mean and mean.mean,
                "low": low if mean else None,
                "high": high if mean else None,
                "runs": mean.count if mean else 0,
            }
    return systems, " and ".join(sorted(intervals))


def _ordered(by_class: Mapping[str, list[dict]], order: str | None) -> list[str]:
    """The classes in an order; unknown and undefined ones come last."""
    known = any(rows[0]["training_clips"] is not None for rows in by_class.values())
    order = order or ("clips" if known else "ap")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {order!r}")
    if order == "name":
        return sorted(by_class, key=str.lower)
    key = {"clips": "training_clips", "ap": "average_precision"}[order]

    def size(label: str) -> float:
        value = by_class[label][0][key]
        return 1.0 if value is None else -value

    return sorted(by_class, key=size)


def _ends(rows: list, top: int | None, bottom: int | None) -> tuple[list, int | None]:
    """The first and the last rows, and the index of the gap between them."""
    for flag, value in (("--top", top), ("--bottom", bottom)):
        if value is not None and value < 0:
            raise ValueError(f"{flag} must not be negative; received {value}")
    if top is None and bottom is None:
        return rows, None
    top, bottom = top or 0, bottom or 0
    if top + bottom == 0:
        raise ValueError("--top and --bottom leave no class to draw")
    if top + bottom >= len(rows):
        return rows, None
    return rows[:top] + rows[len(rows) - bottom :], top if top and bottom else None


def _draw(by_class: Mapping[str, list[dict]], interval: str, gap: int | None, theme: Theme):
    """Classes from top to bottom in as many columns as needed, each with up to three plots."""
    from matplotlib.figure import Figure

    first = [rows[0] for rows in by_class.values()]
    parts = ["ap"]
    if any(row["training_clips"] is not None for row in first):
        parts.insert(0, "clips")
    if any(row["label_quality"] is not None for row in first):
        parts.append("quality")
    lines = list(by_class)
    if gap is not None:
        lines.insert(gap, "…")
    count = 1 if len(lines) <= TALLEST else max(2, round(math.sqrt(len(lines) / 58)))
    tall = math.ceil(len(lines) / count)
    names = max(min(len(label), LONGEST_NAME) for label in lines) * 0.062
    legend = [row["system"] for row in next(iter(by_class.values()))] + [interval] * bool(interval)
    width = count * (names + 0.25 + sum(_WIDTHS[part] + 0.15 for part in parts))
    longest = max(map(len, legend)) * 0.068 + 0.6
    width, ncols = max(width, longest), max(1, min(len(legend), int(width / longest)))
    height = tall * _ROW + 0.6 + 0.18 * math.ceil(len(legend) / ncols)
    figure = Figure((width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.02, w_pad=0.03)
    widths = [_WIDTHS[part] for part in parts] * count
    grid = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    most = max(row["training_clips"] or 1 for row in first)
    for i, axes in enumerate(grid):
        part = parts[i % len(parts)]
        column = lines[i // len(parts) * tall :][:tall]
        axes.set_ylim(tall - 0.5, -0.5)  # of the last column too, so that rows are equally high
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", left=False, labelsize=7.5, labelcolor=theme.text)
        labels = [_shortened(label) for label in column]
        axes.set_yticks(range(len(column)), labels if i % len(parts) == 0 else [])
        placed = [
            (float(y), by_class[label]) for y, label in enumerate(column) if label in by_class
        ]
        if part == "clips":
            _draw_clips(axes, placed, most, theme)
        elif part == "ap":
            _draw_ap(axes, placed, interval, theme)
        else:
            _draw_quality(axes, placed, theme)
    # `grid` holds the axes of the first column first, so an AP plot is among its first two.
    handles, texts = grid[parts.index("ap")].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=ncols, handlelength=1.2)
    return figure


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_NAME else f"{label[: LONGEST_NAME - 1]}…"


def _remark(axes, x: float, y: float, text: str, theme: Theme) -> None:
    box = {"color": theme.background, "pad": 0.5}  # over the grid
    style = {"size": 6.5, "style": "italic", "color": theme.muted, "bbox": box}
    axes.text(x, y, text, va="center_baseline", **style)


def _draw_clips(axes, placed, most: int, theme: Theme) -> None:
    from matplotlib.ticker import EngFormatter

    least = 0.8  # so that a single clip has a bar
    axes.set_xscale("log")
    axes.set_xlim(least, 1.6 * max(most, 10))
    for y, (row, *_) in placed:
        clips = row["training_clips"]
        if clips:
            axes.barh(y, clips - least, 0.62, left=least, color=theme.bar)
        else:
            _remark(axes, 1.2, y, "unknown" if clips is None else "none", theme)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("training clips", fontsize=8)
    axes.minorticks_off()
    decades = int(math.log10(1.6 * max(most, 10)))
    ticks = [10**e for e in range(0, decades + 1, 1 if decades <= 3 else 2)]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # such as 10k


def _draw_ap(axes, placed, interval: str, theme: Theme) -> None:
    count = len(placed[0][1])
    spread = min(0.6, 0.3 * (count - 1))  # so that intervals do not cover each other
    for i in range(count):
        aside = spread * (i / (count - 1) - 0.5) if count > 1 else 0.0
        known = [(y + aside, rows[i]) for y, rows in placed]
        known = [(y, row) for y, row in known if row["average_precision"] is not None]
        y, colour = [place for place, _ in known], theme.series[i % len(theme.series)]
        limits = [(p, row["low"], row["high"]) for p, row in known if row["low"] is not None]
        if limits:
            axes.hlines(*zip(*limits, strict=True), color=colour, lw=0.9)
        style = {"marker": MARKERS[i % len(MARKERS)], "ms": 4.2 if count <= 2 else 3.4, "mew": 0.4}
        style |= {"color": colour, "mec": theme.background, "clip_on": False, "zorder": 3}
        x = [row["average_precision"] for _, row in known]
        axes.plot(x, y, ls="none", label=placed[0][1][i]["system"], **style)
    if interval:
        axes.plot([], [], color=theme.muted, lw=1, label=interval)
    for y, rows in placed:
        if all(row["average_precision"] is None for row in rows):
            _remark(axes, 0.01, y, "undefined", theme)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("average precision", fontsize=8)


def _draw_quality(axes, placed, theme: Theme) -> None:
    for y, (row, *_) in placed:
        if row["label_quality"] is None:
            _remark(axes, 0.03, y, "unrated", theme)
    known = [(row["label_quality"], y) for y, (row, *_) in placed]
    known = [(x, y) for x, y in known if x is not None]
    style = {"ms": 6, "mew": 1.6, "color": theme.muted, "clip_on": False}
    axes.plot([x for x, _ in known], [y for _, y in known], "|", **style)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("label quality", fontsize=8)
