"""AP class by class, with training clips and label quality: the paper's Figures 3 and 12."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from panns_tf.plots.chart import Chart
from panns_tf.plots.class_rows import draw_classes
from panns_tf.plots.lines import Point, point
from panns_tf.plots.runs import Evaluation, Run
from panns_tf.plots.settings import differing, group, names_of, order_of, shortest

ORDERS = ("clips", "ap", "name")
#: More classes than these need several columns.
MANY = 60


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """What is known of one class.

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
    """Classes and the systems that were evaluated on them.

    Attributes:
        systems: names.
        rows: of the classes, in the order they are drawn.
        interval: what the intervals are, for the caption; empty if there are none.
        notes: what a reader must know.
    """

    systems: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    interval: str
    notes: tuple[str, ...]


def classes(
    runs: Sequence[Run],
    quality: Sequence[float] | Mapping[str, float] | None = None,
    order: str | None = None,
    top: int | None = None,
    bottom: int | None = None,
    evaluation: str | None = None,
    name: str = "classes",
) -> Chart:
    """Draws the AP of every class, for one or several systems.

    Args:
        runs: of `panns_tf.plots.runs.read_runs`; those that differ in their seed alone are one
            system, with its mean and range.
        quality: label quality of the classes in their order, NaN where nothing was rated, or by
            label; by default what ``per_class.csv`` says.
        order: ``"clips"``, most training clips first; ``"ap"``, of the first system, best first;
            or ``"name"``. By default by clips where they are known, else by AP.
        top, bottom: how many classes from the start and the end of this order; default all.
        evaluation: name of the folder within ``evaluation/``; by default the one that all runs
            have, training's own before others unless only another one has intervals.
        name: of the files.

    Raises:
        ValueError: if no run was evaluated class by class, or they were on different clips.

    Source: Figures 3 and 12.
    """
    table = read_classes(runs, quality, evaluation)
    rows, order = ordered(table, order)
    shown, gap = _ends(rows, top, bottom)
    notes = list(table.notes)
    undefined = [row.label for row in shown if None in row.systems]
    if undefined:
        listed = ", ".join(undefined[:8]) + (", ..." if len(undefined) > 8 else "")
        notes.append(
            f"{len(undefined)} of {len(shown)} classes undefined, without a positive held-out "
            f"clip, and left empty: {listed}"
        )
    numbers = [row for item in shown for row in _numbers(item, table)]
    head = ("class", "training clips", "label quality", *(f"AP {s}" for s in table.systems))
    printed = [head, *(_printed(row) for row in shown)]
    return Chart(
        name,
        numbers,
        lambda theme: draw_classes(table, shown, gap, theme),
        printed,
        tuple(notes),
    )


def read_classes(
    runs: Sequence[Run],
    quality: Sequence[float] | Mapping[str, float] | None = None,
    evaluation: str | None = None,
) -> ClassTable:
    """Puts the evaluations of runs side by side.

    Raises:
        ValueError: if no run was evaluated class by class, or they were on different clips.
    """
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    notes += [f"{run.name}: {run.state}" for run in runs if not run.finished]
    names = [evaluation] if evaluation is not None else _shared_names(runs)
    found = [(run, _evaluation(run, names)) for run in runs]
    notes += [f"{run.name}: without per_class.csv; left out" for run, e in found if e is None]
    found = [(run, e) for run, e in found if e is not None]
    if not found:
        wanted = f" named {evaluation}" if evaluation else ""
        raise ValueError(
            f"none of the {len(runs)} runs has an evaluation{wanted} with per_class.csv; make one "
            "with evaluate.py"
        )
    first = found[0]
    for run, other in found[1:]:
        _require_same(first, (run, other))
    groups = group(run for run, _ in found)
    by_run = {id(run): e for run, e in found}
    told = differing([member.settings for member in groups])
    groups.sort(key=lambda member: order_of(member.settings, told))
    data = shortest(member.settings.get("data") for member in groups)
    systems, columns, kinds = [], [], set()
    for member, label in zip(groups, names_of(groups, told, data), strict=True):
        counted = member.finished
        systems.append(f"{label} ({member.count})" if member.count else label)
        column, kind = _column([by_run[id(run)].classes for run in counted])
        columns.append(column)
        kinds |= kind
    source, labels = first[1].classes, list(first[1].classes)
    clips = _clips([run for run, _ in found], source)
    if isinstance(quality, Mapping) or quality is None:
        rated = quality or {label: row.get("label_quality") for label, row in source.items()}
    else:
        if len(quality) != len(labels):
            raise ValueError(f"label quality of {len(quality)} classes for {len(labels)} classes")
        rated = dict(zip(labels, map(float, quality), strict=True))
    rows = tuple(
        ClassRow(label, clips.get(label), _finite(rated.get(label)), column)
        for label, column in zip(labels, zip(*columns, strict=True), strict=True)
    )
    if not clips:
        notes.append("training clips of the classes are unknown: no config.json states them")
    return ClassTable(tuple(systems), rows, " and ".join(sorted(kinds)), tuple(notes))


def ordered(table: ClassTable, order: str | None = None) -> tuple[list[ClassRow], str]:
    """The rows in an order, and its name; unknown and undefined ones come last."""
    known = any(row.training_clips is not None for row in table.rows)
    order = order or ("clips" if known else "ap")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {order!r}")
    if order == "name":
        return sorted(table.rows, key=lambda row: row.label.lower()), order

    def size(row: ClassRow) -> float:
        value = row.training_clips if order == "clips" else row.systems[0] and row.systems[0].mean
        return 1.0 if value is None else -value

    return sorted(table.rows, key=size), order


def _ends(rows: list, top: int | None, bottom: int | None) -> tuple[list, int | None]:
    """The first and the last rows, and the place of the gap between them."""
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


def _shared_names(runs: Sequence[Run]) -> list[str]:
    """Names of evaluations, the best to compare first."""
    having = [{e.name: e for e in run.evaluations if e.classes} for run in runs]
    having = [names for names in having if names]
    names = sorted({name for known in having for name in known})

    def rank(name: str) -> tuple:
        some = [known[name] for known in having if name in known]
        intervals = all(_has(e, "ap_low") for e in some)
        return -len(some), not intervals, name

    return sorted(names, key=rank)[:1]


def _has(evaluation: Evaluation, column: str) -> bool:
    return any(row.get(column) is not None for row in evaluation.classes.values())


def _evaluation(run: Run, names: Sequence[str]) -> Evaluation | None:
    return next((e for e in run.evaluations if e.name in names and e.classes), None)


def _require_same(first: tuple[Run, Evaluation], second: tuple[Run, Evaluation]) -> None:
    """Raises ValueError unless two evaluations are of the same classes and clips."""
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


def _column(tables: Sequence[Mapping]) -> tuple[list[Point | None], set[str]]:
    """AP of each class over seeds, and what its interval is."""
    column, kinds = [], set()
    for label in tables[0]:
        values = [table[label]["average_precision"] for table in tables]
        values = [value for value in values if value is not None]
        made = point(0, values) if values else None
        limits = [tables[0][label].get(key) for key in ("ap_low", "ap_high")]
        if made and len(tables) == 1 and None not in limits:
            made = dataclasses.replace(made, low=limits[0], high=limits[1])
            kinds.add("95 % intervals")
        elif made and len(tables) > 1:
            kinds.add("ranges over seeds")
        column.append(made)
    return column, kinds


def _clips(runs: Sequence[Run], source: Mapping) -> dict[str, int]:
    for run in runs:
        if run.training_clips:
            return dict(zip(run.labels, run.training_clips, strict=True))
    counts = {label: row.get("training_clips") for label, row in source.items()}
    return {label: int(count) for label, count in counts.items() if count is not None}


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)


def _numbers(row: ClassRow, table: ClassTable) -> list[dict]:
    return [
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
        for system, value in zip(table.systems, row.systems, strict=True)
    ]


def _printed(row: ClassRow) -> tuple:
    clips = "unknown" if row.training_clips is None else row.training_clips
    quality = "unknown" if row.label_quality is None else f"{row.label_quality:.2f}"
    return row.label, clips, quality, *(v.mean if v else "undefined" for v in row.systems)


def read_quality(path: str | Path, num_classes: int) -> list[float]:
    """Reads ``qa_true_counts.csv``; see `panns_tf.strata.read_label_quality`."""
    from panns_tf.strata import read_label_quality

    return [float(value) for value in read_label_quality(path, num_classes)]
