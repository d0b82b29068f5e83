"""The table of a grid: Markdown for people, CSV for programs."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from panns_tf.metrics.bootstrap import mean_estimate
from panns_tf.sweep.grid import METRICS, Grid
from panns_tf.sweep.runner import Plan
from tfrecords.files import write_atomic, write_csv
from tfrecords.text import markdown_table

#: Up to so many pairs the sign-flip test tries every assignment of signs.
EXACT = 20


def write_table(plan: Plan) -> str:
    """Writes ``table.md``, ``table.csv`` and ``runs.csv``; returns the first."""
    runs = [cell.state() for cell in plan.cells()]
    write_csv(plan.output / "runs.csv", list(runs[0]), runs)
    # By seed and row, NaN where a run is not finished or a metric has no value.
    values = {
        metric: np.array([run[metric] for run in runs], float).reshape(len(plan.seeds), -1)
        for metric in METRICS
    }
    grid = plan.grid
    table, rows, pairs = _rows(plan, runs, values)
    write_csv(plan.output / "table.csv", list(rows[0]), rows)
    most = max(row["seeds"] for row in rows)
    parts = [
        f"# {grid.title or grid.name}",
        markdown_table(table),
        _caption(plan, runs, most, pairs),
        _warnings(plan, runs),
        _order_text(grid, values["mAP"]),
        _effects_text(grid, values["mAP"]) if grid.factors else "",
        f"Seeds: {', '.join(map(str, plan.seeds))}. Intervals and p are of one comparison each, as "
        "if it were alone.",
    ]
    text = "\n\n".join(filter(None, parts)) + "\n"
    write_atomic(plan.output / "table.md", text)
    return text


def _rows(plan: Plan, runs: Sequence[dict], values: Mapping) -> tuple[list, list[dict], int]:
    """The table for people, with its heading, and for programs; pairs in a comparison at most."""
    grid, wanted = plan.grid, len(plan.seeds)
    reference = grid.rows.index(grid.reference)
    less = {metric: table - table[:, [reference]] for metric, table in values.items()}
    for differences in less.values():
        differences[:, reference] = np.nan
    shown = [metric for metric in METRICS if any(metric in row.published for row in grid.rows)]
    head = ["setting", *METRICS.values(), *(f"published {METRICS[metric]}" for metric in shown)]
    table, rows = [[*head, "seeds", "mAP less reference", "p"]], []
    for i, row in enumerate(grid.rows):
        finished = sum(r["status"] == "finished" for r in runs if r["setting"] == row.label)
        published = [row.published.get(metric) for metric in shown]
        difference = less["mAP"][:, i]
        table.append(
            [
                row.label,
                *(_metric_text(metric, values[metric][:, i], finished) for metric in METRICS),
                *("" if value is None else f"{value:.3f}" for value in published),
                str(wanted) if finished == wanted else f"{finished} of {wanted}",
                "reference" if i == reference else _mean_text(difference, "+"),
                _p_text(difference),
            ]
        )
        cells = {"setting": row.label, "seeds": finished, "wanted": wanted}
        for metric in METRICS:
            cells |= _interval(metric, values[metric][:, i])
        cells |= {f"published_{metric}": row.published.get(metric) for metric in METRICS}
        for metric in METRICS:
            differences = known(less[metric][:, i])
            cells |= _interval(f"{metric}_difference", differences)
            p = sign_flip_p(differences) if len(differences) > 1 else 1.0
            cells[f"{metric}_difference_p"] = f"{p:.6g}" if len(differences) else None
        rows.append({**cells, "reference": grid.reference.label})
    return table, rows, max(len(known(differences)) for differences in less["mAP"].T)


def known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p of a permutation test of the signs, for a mean of 0."""
    test = stats.permutation_test(
        (differences,),
        # An assignment must count as no farther than itself, although sums are rounded.
        lambda each, axis: np.round(np.mean(each, axis=axis), 12),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT,
        batch=2**14,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def _mean_text(values: np.ndarray, sign: str = "") -> str:
    """The mean with half the width of its interval; empty without a value."""
    if not len(known(values)):
        return ""
    mean = mean_estimate(known(values))
    half = f"± {mean.high - mean.value:.3f}" if mean.ends else "(one seed)"
    return f"{mean.value:{sign}.3f} {half}"


def _p_text(differences: np.ndarray) -> str:
    if len(known(differences)) < 2:
        return "-" * len(known(differences))
    p = sign_flip_p(known(differences))
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.1e}"


def _interval(name: str, values: np.ndarray) -> dict[str, str | None]:
    found = dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    if len(known(values)):
        mean = mean_estimate(known(values))
        found |= zip(found, [f"{x:.6f}" for x in (mean.value, *mean.ends)], strict=False)
    return found


def _metric_text(metric: str, values: np.ndarray, finished: int) -> str:
    if not finished:
        return "none finished" if metric == "mAP" else ""
    what = "infinite" if metric == "d_prime" else "undefined"  # d-prime of a perfect ranking
    missing = finished - len(known(values))
    remark = f"{what} in {missing} of {finished}" if missing else ""
    return ", ".join(filter(None, (_mean_text(values), remark))) if missing < finished else what


def _caption(plan: Plan, runs: Sequence[dict], most: int, pairs: int) -> str:
    grid = plan.grid
    text = "One seed: no interval, and no difference can be told from noise."
    if most == 0:
        text = "No run is finished."
    elif most > 1:
        text = (
            "Means over seeds ± half of their 95 % interval (Student's t). Differences to "
            f"{grid.reference.label!r} are paired by seed; p: "
            f"{'exact ' if pairs <= EXACT else ''}sign-flip test, two-sided"
        )
        text += f"; {pairs} seeds cannot give less than {2 / 2**pairs:.3g}." if pairs > 1 else "."
    chance = [run["chance_mAP"] for run in runs if run["chance_mAP"] is not None]
    text += f"\nEvaluated on {plan.eval_data}"
    text += f"; ranking at random gives mAP {chance[0]:.3f}." if chance else "."
    if grid.source and any(row.published for row in grid.rows):
        text += f"\nPublished: {grid.source}."
    return f"{text}\n{grid.shows}".rstrip()


def _warnings(plan: Plan, runs: Sequence[dict]) -> str:
    """Runs without results, and classes that are left out of the means."""
    pairs = zip(plan.cells(), runs, strict=True)
    missing = [
        f"- {cell.name}: {cell.progress()}" for cell, run in pairs if run["status"] != "finished"
    ]
    text = "Without results, and in no mean:\n\n" + "\n".join(missing) if missing else ""
    for run in runs:
        if run["classes_left_out"]:
            left_out = f"{run['classes_left_out']} of {run['num_classes']} classes"
            why = "have no held-out clip, or nothing else, and are left out of every mean."
            return f"{text}\n\n{left_out} {why}".strip()
    return text


def _order_text(grid: Grid, values: np.ndarray) -> str:
    """Whether each two neighbouring rows are in the published order."""
    lines = []
    published = [(i, row) for i, row in enumerate(grid.rows) if "mAP" in row.published]
    for (i, first), (j, second) in itertools.pairwise(published):
        change = round(second.published["mAP"] - first.published["mAP"], 9)
        text, found = "not measured", values[:, j] - values[:, i]
        if len(known(found)):
            mean = mean_estimate(known(found))
            noise = "one seed, so it may be noise"
            if mean.ends:
                beyond = abs(mean.value) > mean.high - mean.value
                noise = f"{'beyond' if beyond else 'within'} the seeds' noise"
            verdict = "no direction to compare"
            if change and mean.value:
                same = (change > 0) == (mean.value > 0)
                verdict = f"the {'same' if same else 'OTHER'} direction"
            text = f"here {_mean_text(found, '+')}: {verdict}, {noise} (p = {_p_text(found)})"
        lines.append(f"- {first.label} to {second.label}: published {change:+.3f}, {text}")
    question = "Is the order of each two neighbouring rows the published one, by mAP?\n\n"
    return question + "\n".join(lines) if lines else ""


def effects(grid: Grid, values: np.ndarray) -> dict[str, np.ndarray]:
    """The effects of a grid's factors and the interactions of each two of them, seed by seed.

    The effect of a level is how much more it gives than the first row's level, averaged over the
    levels of the other factors. The interaction of two is how much more the effect of one is with
    the other than without it. NaN where a seed lacks a row.
    """

    def mean(**levels) -> np.ndarray:
        rows = [levels.items() <= row.settings.items() for row in grid.rows]
        return values[:, rows].mean(axis=1)

    def word(level: object) -> str:
        return ("off", "on")[level] if isinstance(level, bool) else str(level)

    found, changes = {}, []
    for name in grid.factors:
        first, *others = dict.fromkeys(row.settings[name] for row in grid.rows)
        for level in others:
            effect = mean(**{name: level}) - mean(**{name: first})
            found[f"{name}: {word(first)} to {word(level)}"] = effect
            changes.append((name, first, level))
    for (a, a0, a1), (b, b0, b1) in itertools.combinations(changes, 2):
        if a != b:
            with_b, without = (mean(**{a: a1, b: x}) - mean(**{a: a0, b: x}) for x in (b1, b0))
            found[f"interaction of {a} {word(a1)} and {b} {word(b1)}"] = with_b - without
    return found


def _effects_text(grid: Grid, values: np.ndarray) -> str:
    rows = [
        [name, _mean_text(each, "+") or "no seed has all rows", _p_text(each), len(known(each))]
        for name, each in effects(grid, values).items()
    ]
    return (
        "Effects on mAP, paired by seed: of a factor, averaged over the others; an interaction is "
        "how much more one brings with the other than without it.\n\n"
        + markdown_table([["effect", "mAP", "p", "seeds"], *rows])
    )
