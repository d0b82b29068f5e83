"""AP class by class, with training clips and label quality: the paper's Figures 3 and 12."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from panns_tf.figures.chart import Chart, Point, point
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


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """The results of one class.

    Attributes:
        label: of the class.
        training_clips: None where unknown.
        label_quality: share of the rated clips that were found true, 0 to 1; None if unrated.
        systems: AP of each system, with its interval; None where it is undefined.
    """

    label: str
    training_clips: int | None
    label_quality: float | None
    systems: tuple[Point | None, ...]


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """Systems evaluated on the same classes.

    Attributes:
        systems: names.
        rows: one a class.
        interval: what the intervals are; empty if there are none.
        notes: what a reader must know.
    """

    systems: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    interval: str
    notes: tuple[str, ...]


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
    table = read_classes(runs, quality, evaluation)
    rows, gap = _ends(_ordered(table, order), top, bottom)
    notes = list(table.notes)
    undefined = [row.label for row in rows if None in row.systems]
    if undefined:
        listed = ", ".join(undefined[:8]) + (", ..." if len(undefined) > 8 else "")
        notes.append(
            f"{len(undefined)} of {len(rows)} classes undefined, without a positive held-out clip, "
            f"and left empty: {listed}"
        )
    numbers = [
        {
            "class": row.label,
            "system": system,
            "average_precision": value and value.mean,
            "low": value.low if value and table.interval else None,
            "high": value.high if value and table.interval else None,
            "runs": value.count if value else 0,
            "training_clips": row.training_clips,
            "label_quality": row.label_quality,
        }
        for row in rows
        for system, value in zip(table.systems, row.systems, strict=True)
    ]
    summary = [("class", "training clips", "label quality", *(f"AP {s}" for s in table.systems))]
    for row in rows:
        clips = "unknown" if row.training_clips is None else row.training_clips
        rated = "unknown" if row.label_quality is None else f"{row.label_quality:.2f}"
        ap = (value.mean if value else math.nan for value in row.systems)
        summary.append((row.label, clips, rated, *ap))
    return Chart(name, numbers, lambda theme: _draw(table, rows, gap, theme), summary, tuple(notes))


def read_classes(
    runs: Sequence[Run], quality: Sequence[float] | None = None, evaluation: str | None = None
) -> ClassTable:
    """Puts the evaluations of runs side by side; see `classes`."""
    name = _common_evaluation(runs) if evaluation is None else evaluation
    found = [
        (run, each)
        for run in runs
        for each in run.evaluations
        if each.classes and each.name == name
    ]
    if not found:
        wanted = f" named {evaluation}" if evaluation else ""
        raise ValueError(
            f"none of the {len(runs)} runs has an evaluation{wanted} with per_class.csv; make one "
            "with evaluate.py"
        )
    for other in found[1:]:
        _require_same(found[0], other)
    evaluated = [run for run, _ in found]
    notes = run_notes(runs)
    notes += [f"{r.name}: without per_class.csv; left out" for r in runs if r not in evaluated]
    groups = group_runs(evaluated)
    names = differing(groups)
    groups.sort(key=lambda group: sort_key(group, names))
    tables = {run.path: each.classes for run, each in found}
    systems, columns, intervals = [], [], set()
    for group, label in zip(groups, label_groups(groups, names), strict=True):
        systems.append(f"{label} ({group.seeds})" if group.seeds else label)
        column, interval = _column([tables[run.path] for run in group.counted])
        columns.append(column)
        intervals |= {interval} - {""}
    source = found[0][1].classes
    clips = {label: row.get("training_clips") for label, row in source.items()}
    counted = next((run for run in evaluated if run.training_clips), None)
    if counted:
        clips = dict(zip(counted.labels, counted.training_clips, strict=True))
    elif set(clips.values()) == {None}:
        notes.append("training clips of the classes are unknown: no config.json states them")
    rated = [row.get("label_quality") for row in source.values()] if quality is None else quality
    if len(rated) != len(source):
        raise ValueError(f"label quality of {len(rated)} classes for {len(source)} classes")
    rows = tuple(
        ClassRow(
            label,
            None if clips.get(label) is None else int(clips[label]),
            None if value is None or math.isnan(value) else float(value),
            column,
        )
        for label, value, *column in zip(source, rated, *columns, strict=True)
    )
    return ClassTable(tuple(systems), rows, " and ".join(sorted(intervals)), tuple(notes))


def _common_evaluation(runs: Sequence[Run]) -> str | None:
    """The evaluation that most runs have; of several those with intervals, then by name."""
    having: dict[str, list[Evaluation]] = {}
    for run in runs:
        for evaluation in run.evaluations:
            if evaluation.classes:
                having.setdefault(evaluation.name, []).append(evaluation)

    def rank(name: str) -> tuple:
        rows = [next(iter(evaluation.classes.values())) for evaluation in having[name]]
        return -len(rows), any(row.get("ap_low") is None for row in rows), name

    return min(having, key=rank, default=None)


def _require_same(first: tuple[Run, Evaluation], second: tuple[Run, Evaluation]) -> None:
    (one, a), (two, b) = first, second
    if list(a.classes) != list(b.classes):
        odd = sorted(set(a.classes) ^ set(b.classes))
        what = f"{len(a.classes)} and {len(b.classes)} classes"
        what += f"; {odd[0]!r} is in one alone" if odd else ", in another order"
        raise ValueError(f"{one.name} and {two.name} were evaluated on different classes: {what}")
    for label in a.classes:
        counts = [e.classes[label].get("positives") for e in (a, b)]
        if None not in counts and counts[0] != counts[1]:
            raise ValueError(
                f"{one.name} and {two.name} were evaluated on different clips: {label!r} has "
                f"{counts[0]:g} and {counts[1]:g} of them; choose with --evaluation NAME, or draw "
                "them in a figure each"
            )


def _column(tables: Sequence[Mapping]) -> tuple[list[Point | None], str]:
    """AP of each class over seeds, and what its interval is."""
    column: list[Point | None] = []
    interval = "ranges over seeds" if len(tables) > 1 else ""
    for label, row in tables[0].items():
        values = [table[label]["average_precision"] for table in tables]
        values = [value for value in values if value is not None]
        column.append(point(0, values) if values else None)
        low, high = row.get("ap_low"), row.get("ap_high")
        if values and len(tables) == 1 and None not in (low, high):
            column[-1] = dataclasses.replace(column[-1], low=low, high=high)
            interval = "95 % intervals"
    return column, interval


def _ordered(table: ClassTable, order: str | None) -> list[ClassRow]:
    """The rows in an order; unknown and undefined ones come last."""
    known = any(row.training_clips is not None for row in table.rows)
    order = order or ("clips" if known else "ap")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {order!r}")
    if order == "name":
        return sorted(table.rows, key=lambda row: row.label.lower())

    def size(row: ClassRow) -> float:
        value = row.training_clips if order == "clips" else row.systems[0] and row.systems[0].mean
        return 1.0 if value is None else -value

    return sorted(table.rows, key=size)


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


def _draw(table: ClassTable, rows: Sequence[ClassRow], gap: int | None, theme: Theme):
    """Classes from top to bottom in as many columns as needed, each with up to three plots."""
    from matplotlib.figure import Figure

    parts = ["ap"]
    if any(row.training_clips is not None for row in rows):
        parts.insert(0, "clips")
    if any(row.label_quality is not None for row in rows):
        parts.append("quality")
    lines = list(rows) if gap is None else [*rows[:gap], None, *rows[gap:]]
    count = 1 if len(lines) <= TALLEST else max(2, round(math.sqrt(len(lines) / 58)))
    tall = math.ceil(len(lines) / count)
    names = max(min(len(row.label), LONGEST_NAME) for row in rows) * 0.062
    legend = max(1, len(table.systems) + bool(table.interval))
    width = count * (names + 0.25 + sum(_WIDTHS[part] + 0.15 for part in parts))
    longest = max(map(len, (*table.systems, table.interval))) * 0.068 + 0.6
    width, ncols = max(width, longest), max(1, min(legend, int(width / longest)))
    height = tall * _ROW + 0.6 + 0.18 * math.ceil(legend / ncols)
    figure = Figure((width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.02, w_pad=0.03)
    widths = [_WIDTHS[part] for part in parts] * count
    grid = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    most = max((row.training_clips or 1 for row in rows), default=1)
    for i, axes in enumerate(grid):
        part = parts[i % len(parts)]
        column = lines[i // len(parts) * tall :][:tall]
        axes.set_ylim(tall - 0.5, -0.5)  # of the last column too, so that rows are equally high
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", left=False, labelsize=7.5, labelcolor=theme.text)
        labels = [_shortened(row.label) if row else "…" for row in column]
        axes.set_yticks(range(len(column)), labels if i % len(parts) == 0 else [])
        placed = [(float(y), row) for y, row in enumerate(column) if row]
        if part == "clips":
            _draw_clips(axes, placed, most, theme)
        elif part == "ap":
            _draw_ap(axes, placed, table, theme)
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
    least = 0.8  # so that a single clip has a bar
    axes.set_xscale("log")
    axes.set(xlim=(least, 1.6 * max(most, 10)))
    known = [(y, row.training_clips - least) for y, row in placed if row.training_clips]
    axes.barh([y for y, _ in known], [n for _, n in known], 0.62, left=least, color=theme.bar)
    for y, row in placed:
        if not row.training_clips:
            _remark(axes, 1.2, y, "unknown" if row.training_clips is None else "none", theme)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("training clips", fontsize=8)
    axes.minorticks_off()
    decades = int(math.log10(1.6 * max(most, 10)))
    ticks = [10**e for e in range(0, decades + 1, 1 if decades <= 3 else 2)]
    axes.set_xticks(ticks, [str(t).replace("000000", "M").replace("000", "k") for t in ticks])


def _draw_ap(axes, placed, table: ClassTable, theme: Theme) -> None:
    count = len(table.systems)
    spread = min(0.6, 0.3 * (count - 1))  # so that intervals do not cover each other
    for i, system in enumerate(table.systems):
        colour = theme.series[i % len(theme.series)]
        aside = spread * (i / (count - 1) - 0.5) if count > 1 else 0.0
        known = [(y + aside, row.systems[i]) for y, row in placed if row.systems[i]]
        y = [place for place, _ in known]
        if table.interval:
            limits = [value.low for _, value in known], [value.high for _, value in known]
            axes.hlines(y, *limits, color=colour, lw=0.9)
        style = {"marker": MARKERS[i % len(MARKERS)], "ms": 4.2 if count <= 2 else 3.4, "mew": 0.4}
        style |= {"color": colour, "mec": theme.background, "clip_on": False, "zorder": 3}
        axes.plot([value.mean for _, value in known], y, ls="none", label=system, **style)
    if table.interval:
        axes.plot([], [], color=theme.muted, lw=1, label=table.interval)
    for y, row in placed:
        if not any(row.systems):
            _remark(axes, 0.01, y, "undefined", theme)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("average precision", fontsize=8)


def _draw_quality(axes, placed, theme: Theme) -> None:
    known = [(row.label_quality, y) for y, row in placed if row.label_quality is not None]
    x, y = [value for value, _ in known], [place for _, place in known]
    axes.plot(x, y, "|", ms=6, mew=1.6, color=theme.muted, clip_on=False)
    for place, row in placed:
        if row.label_quality is None:
            _remark(axes, 0.03, place, "unrated", theme)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("label quality", fontsize=8)
