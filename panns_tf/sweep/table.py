"""The table of a grid: Markdown for people, CSV for programs."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from panns_tf.sweep.grid import METRICS, Grid, Row
from panns_tf.sweep.runner import Plan, State
from tfrecords.files import write_atomic, write_csv
from tfrecords.text import markdown_table

_NAMES = {"mAP": "mAP", "mAUC": "mAUC", "d_prime": "d-prime"}
#: Up to so many pairs the sign-flip test tries every assignment of signs.
EXACT = 20


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: of the values.
        half: half the width of its 95 % interval by Student's t; None for one seed.
        count: seeds.
        p: for differences, two-sided, of a sign-flip permutation test of their mean against 0.
    """

    mean: float
    half: float | None
    count: int
    p: float

    @property
    def text(self) -> str:
        """The mean with its interval."""
        return f"{self.mean:.3f}" + (" (one seed)" if self.half is None else f" ± {self.half:.3f}")

    @property
    def signed(self) -> str:
        """A difference with its interval."""
        return f"{'+' if self.mean >= 0 else ''}{self.text}"

    @property
    def p_text(self) -> str:
        """p, but for a single seed."""
        if self.count == 1:
            return "-"
        return f"{self.p:.3f}" if self.p >= 0.0005 else f"{self.p:.1e}"


def estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of values with its interval and test; None of none."""
    count = len(values)
    if not count:
        return None
    mean = float(np.mean(values))
    if count == 1:
        return Estimate(mean, None, 1, 1.0)
    half = float(stats.t.ppf(0.975, count - 1) * stats.sem(values))
    test = stats.permutation_test(
        (np.asarray(values),),
        # An assignment must count as no farther than itself, although sums are rounded.
        lambda each, axis: np.round(np.mean(each, axis=axis), 12),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT,
        batch=2**14,
        rng=np.random.default_rng(0),
    )
    return Estimate(mean, half, count, float(test.pvalue))


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of the grid with the states of its runs, by seed."""

    row: Row
    states: Mapping[int, State]

    @property
    def finished(self) -> list[State]:
        return [state for state in self.states.values() if state.status == "finished"]

    def values(self, metric: str) -> dict[int, float]:
        """A metric by seed, of finished runs in which it is a number."""
        values = {seed: state.metrics.get(metric) for seed, state in self.states.items()}
        return {seed: float(value) for seed, value in values.items() if value is not None}

    def estimate(self, metric: str) -> Estimate | None:
        """The mean over seeds."""
        return estimate(list(self.values(metric).values()))


def difference(line: Line, other: Line, metric: str = "mAP") -> Estimate | None:
    """A row minus another, paired by seed."""
    return contrast([(1.0, line), (-1.0, other)], metric)


def contrast(weights: Sequence[tuple[float, Line]], metric: str) -> Estimate | None:
    """A weighted sum of rows, seed by seed; None without a seed that all of them have."""
    values = [(weight, line.values(metric)) for weight, line in weights]
    seeds = set.intersection(*(set(each) for _, each in values))
    return estimate([sum(w * each[seed] for w, each in values) for seed in sorted(seeds)])


def write_table(plan: Plan) -> str:
    """Writes ``table.md``, ``table.csv`` and ``runs.csv``; returns the first."""
    states = {(cell.row.slug, cell.seed): cell.state() for cell in plan.cells()}
    lines = [
        Line(row, {seed: states[row.slug, seed] for seed in plan.seeds}) for row in plan.grid.rows
    ]
    text = as_markdown(plan, lines)
    write_atomic(plan.output / "table.md", text)
    rows = table_rows(plan.grid, lines)
    write_csv(plan.output / "table.csv", list(rows[0]), rows)
    rows = run_rows(plan, states)
    write_csv(plan.output / "runs.csv", list(rows[0]), rows)
    return text


def as_markdown(plan: Plan, lines: Sequence[Line]) -> str:
    """The table in the paper's form with published results beside, and what follows from it."""
    grid = plan.grid
    reference = next(line for line in lines if line.row == grid.reference)
    shown = [metric for metric in METRICS if any(metric in line.row.published for line in lines)]
    head = ["setting", *_NAMES.values(), *(f"published {_NAMES[metric]}" for metric in shown)]
    table = [[*head, "seeds", "mAP less reference", "p"]]
    for line in lines:
        finished, wanted = len(line.finished), len(line.states)
        published = [line.row.published.get(metric) for metric in shown]
        apart = None if line is reference else difference(line, reference)
        table.append(
            [
                line.row.label,
                *(_metric_text(line, metric) for metric in METRICS),
                *("" if value is None else f"{value:.3f}" for value in published),
                str(wanted) if finished == wanted else f"{finished} of {wanted}",
                "reference" if line is reference else apart.signed if apart else "",
                apart.p_text if apart else "",
            ]
        )
    pairs = [(a, b) for a, b in itertools.pairwise(_published(lines))]
    order = "Is the order of each two neighbouring rows the published one, by mAP?\n\n"
    parts = [
        f"# {grid.title or grid.name}",
        markdown_table(table),
        _caption(plan, lines, reference),
        _warnings(lines),
        order + "\n".join(f"- {_direction(a, b)}" for a, b in pairs) if pairs else "",
        _effects_text(grid, lines) if grid.factors else "",
        f"Seeds: {', '.join(map(str, plan.seeds))}. Intervals and p are of one comparison each, as "
        "if it were alone.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _metric_text(line: Line, metric: str) -> str:
    if not line.finished:
        return "none finished" if metric == METRICS[0] else ""
    found = line.estimate(metric)
    undefined = len(line.finished) - len(line.values(metric))
    if not undefined:
        return found.text
    what = "infinite" if metric == "d_prime" else "undefined"  # d-prime of a perfect ranking
    return f"{found.text}, {what} in {undefined} of {len(line.finished)}" if found else what


def _caption(plan: Plan, lines: Sequence[Line], reference: Line) -> str:
    most = max(len(line.finished) for line in lines)
    differences = [difference(line, reference) for line in lines if line is not reference]
    pairs = max((found.count for found in differences if found), default=0)
    if most == 0:
        text = "No run is finished."
    elif most == 1:
        text = "One seed: no interval, and no difference can be told from noise."
    else:
        text = (
            "Means over seeds ± half of their 95 % interval (Student's t). Differences to "
            f"{reference.row.label!r} are paired by seed; p: "
            f"{'exact ' if pairs <= EXACT else ''}sign-flip test, two-sided"
        )
        text += f"; {pairs} seeds cannot give less than {2 / 2**pairs:.3g}." if pairs > 1 else "."
    text += f"\nEvaluated on {plan.eval_data}"
    chances = [state.metrics["chance_mAP"] for line in lines for state in line.finished[:1]]
    text += f"; ranking at random gives mAP {chances[0]:.3f}." if chances else "."
    if plan.grid.source and any(line.row.published for line in lines):
        text += f"\nPublished: {plan.grid.source}."
    return f"{text}\n{plan.grid.shows}".rstrip()


def _warnings(lines: Sequence[Line]) -> str:
    """Runs without results, and classes that are left out of the means."""
    missing = [
        f"- {line.row.label}, seed {seed}: {state.text}"
        for line in lines
        for seed, state in line.states.items()
        if state.status != "finished"
    ]
    parts = ["Without results, and in no mean:\n\n" + "\n".join(missing)] if missing else []
    for state in (state for line in lines for state in line.finished):
        left_out, classes = (state.metrics.get(k) for k in ("classes_left_out", "num_classes"))
        if left_out:
            parts.append(
                f"{left_out} of {classes} classes have no held-out clip, or nothing else, and are "
                "left out of every mean."
            )
            break
    return "\n\n".join(parts)


def _published(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if "mAP" in line.row.published]


def _direction(first: Line, second: Line) -> str:
    """Whether two neighbouring rows are in the published order."""
    published = round(second.row.published["mAP"] - first.row.published["mAP"], 9)
    text = f"{first.row.label} to {second.row.label}: published {published:+.3f}"
    found = difference(second, first)
    if found is None:
        return f"{text}, not measured"
    if found.half is None:
        noise = "one seed, so it may be noise"
    else:
        beyond = abs(found.mean) > found.half
        noise = "beyond the seeds' noise" if beyond else "within the seeds' noise"
    if not published or not found.mean:
        verdict = "no direction to compare"
    else:
        same = (published > 0) == (found.mean > 0)
        verdict = "the same direction" if same else "the OTHER direction"
    return f"{text}, here {found.signed}: {verdict}, {noise} (p = {found.p_text})"


def effects(grid: Grid, lines: Sequence[Line], metric: str = "mAP") -> dict[str, Estimate | None]:
    """The effects of a grid's factors, and the interactions of each two of them.

    The effect of a level is how much more it gives than the first row's level, averaged over the
    levels of the other factors. The interaction of two is how much more the effect of one is with
    the other than without it.

    Returns:
        By name; empty if rows are missing.
    """
    cells = {tuple(line.row.settings[name] for name in grid.factors): line for line in lines}
    levels = [list(dict.fromkeys(each)) for each in zip(*cells, strict=True)]
    if math.prod(map(len, levels)) != len(cells):
        return {}

    def sign(cell: tuple, axis: int, level: object) -> int:
        return 1 if cell[axis] == level else -1 if cell[axis] == levels[axis][0] else 0

    def effect(*changes: tuple[int, object]) -> Estimate | None:
        signs = {cell: math.prod(sign(cell, *change) for change in changes) for cell in cells}
        # A difference of differences adds two rows and takes two away.
        share = sum(value > 0 for value in signs.values()) / len(changes)
        return contrast([(s / share, cells[cell]) for cell, s in signs.items() if s], metric)

    changes = [(axis, level) for axis, each in enumerate(levels) for level in each[1:]]
    found = {
        f"{grid.factors[axis]}: {_word(levels[axis][0])} to {_word(level)}": effect((axis, level))
        for axis, level in changes
    }
    for one, other in itertools.combinations(changes, 2):
        if one[0] != other[0]:
            names = [f"{grid.factors[axis]} {_word(level)}" for axis, level in (one, other)]
            found[f"interaction of {' and '.join(names)}"] = effect(one, other)
    return found


def _word(level: object) -> str:
    return ("off", "on")[level] if isinstance(level, bool) else str(level)


def _effects_text(grid: Grid, lines: Sequence[Line]) -> str:
    found = effects(grid, lines)
    if not found:
        return "Rows are missing, so the factors' effects are unknown."
    rows = [
        [name, each.signed, each.p_text, each.count]
        if each
        else [name, "no seed has all rows", "", 0]
        for name, each in found.items()
    ]
    return (
        "Effects on mAP, paired by seed: of a factor, averaged over the others; an interaction is "
        "how much more one brings with the other than without it.\n\n"
        + markdown_table([["effect", "mAP", "p", "seeds"], *rows])
    )


def table_rows(grid: Grid, lines: Sequence[Line]) -> list[dict]:
    """A row for every setting."""
    reference = next(line for line in lines if line.row == grid.reference)
    rows = []
    for line in lines:
        row = {"setting": line.row.label, "seeds": len(line.finished), "wanted": len(line.states)}
        for metric in METRICS:
            row |= _interval(metric, line.estimate(metric))
        for metric in METRICS:
            row[f"published_{metric}"] = line.row.published.get(metric)
        for metric in METRICS:
            found = None if line is reference else difference(line, reference, metric)
            row |= _interval(f"{metric}_difference", found)
            row[f"{metric}_difference_p"] = f"{found.p:.6g}" if found else None
        rows.append({**row, "reference": grid.reference.label})
    return rows


def _interval(name: str, found: Estimate | None) -> dict[str, str | None]:
    row = dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    if found:
        row[name] = f"{found.mean:.6f}"
    if found and found.half is not None:
        row[f"{name}_low"] = f"{found.mean - found.half:.6f}"
        row[f"{name}_high"] = f"{found.mean + found.half:.6f}"
    return row


def run_rows(plan: Plan, states: Mapping[tuple[str, int], State]) -> list[dict]:
    """A row for every run."""
    keys = (*METRICS, "chance_mAP", "num_clips", "num_classes", "classes_left_out")
    rows = []
    for cell in plan.cells():
        state = states[cell.row.slug, cell.seed]
        rows.append(
            {
                "setting": cell.row.label,
                "seed": cell.seed,
                "status": state.status,
                "step": state.step,
                "steps": state.steps,
                **{key: state.metrics.get(key) for key in keys},
                "seconds": f"{state.seconds:.1f}" if state.seconds else None,
                "said": state.message,
                "folder": cell.folder.relative_to(plan.output),
            }
        )
    return rows
