"""The table of a grid: Markdown for people, CSV for programs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from panns_tf.ablation.grid import METRICS
from panns_tf.ablation.plan import Plan
from panns_tf.ablation.results import (
    Difference,
    Direction,
    Line,
    difference,
    directions,
    effects,
    lines_of,
    undefined,
)
from panns_tf.ablation.statistics import EXACT, Estimate

NAMES = {"mAP": "mAP", "mAUC": "mAUC", "d_prime": "d-prime"}


def write_table(plan: Plan) -> str:
    """Writes ``table.md``, ``table.csv`` and ``runs.csv``; returns the first."""
    lines = lines_of(plan)
    text = as_markdown(plan, lines)
    files = {"table.md": text, "table.csv": as_csv(plan, lines), "runs.csv": runs_csv(plan, lines)}
    for name, content in files.items():
        partial = plan.output / f"{name}.partial"
        partial.write_text(content)
        partial.replace(plan.output / name)
    return text


def as_markdown(plan: Plan, lines: Sequence[Line]) -> str:
    """The table in the paper's form, published figures beside, and what follows from it."""
    grid, seeds = plan.grid, ", ".join(map(str, plan.seeds))
    reference = next(line for line in lines if line.row == grid.reference)
    shown = [metric for metric in METRICS if any(metric in line.row.published for line in lines)]
    head = ["setting", *(NAMES[metric] for metric in METRICS)]
    head += [f"published {NAMES[metric]}" for metric in shown]
    head += ["seeds", "mAP less reference", "p"]
    rows = [
        [*_cells(line), *_published(line, shown), *_compared(line, reference)] for line in lines
    ]
    parts = [f"# {grid.title or grid.name}", _table(head, rows), _caption(plan, lines, reference)]
    parts += [_warnings(lines)]
    found = directions(lines)
    if found:
        parts.append(
            "Is the order of each two neighbouring rows the published one, by mAP?\n\n"
            + "\n".join(f"- {_direction(each)}" for each in found)
        )
    if grid.factors:
        parts.append(_effects(plan, lines))
    parts.append(
        f"Seeds: {seeds}. Intervals and p are of one comparison each, as if it were alone."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(line: Line) -> list[str]:
    if not line.finished:
        return [line.row.label, "none finished", "", ""]
    texts = []
    for metric in METRICS:
        text = number(line.estimate(metric))
        count = undefined(line, metric)
        if count:
            what = "infinite" if metric == "d_prime" else "undefined"
            many = f"{what} in {count} of {len(line.finished)}"
            text = f"{text}, {many}" if text else what
        texts.append(text)
    return [line.row.label, *texts]


def _published(line: Line, shown: Sequence[str]) -> list[str]:
    published = line.row.published
    return [f"{published[metric]:.3f}" if metric in published else "" for metric in shown]


def _compared(line: Line, reference: Line) -> list[str]:
    finished, wanted = len(line.finished), len(line.states)
    seeds = str(wanted) if finished == wanted else f"{finished} of {wanted}"
    if line is reference:
        return [seeds, "reference", ""]
    found = difference(line, reference, "mAP")
    return [seeds, *(["", ""] if found is None else [signed(found.estimate), p_value(found)])]


def _caption(plan: Plan, lines: Sequence[Line], reference: Line) -> str:
    n = max(len(line.finished) for line in lines)
    differences = [difference(line, reference, "mAP") for line in lines if line is not reference]
    pairs = max((found.estimate.n for found in differences if found), default=0)
    kind = "exact sign-flip" if pairs <= EXACT else "sign-flip"
    text = (
        "Means over seeds ± half of their 95 % interval (Student's t). Differences to "
        f"{reference.row.label!r} are paired by seed; p: {kind} test, two-sided"
    )
    least = f"; {pairs} seeds cannot give less than {2 / 2**pairs:.3g}."
    text += least if pairs > 1 else "."
    if n == 1:
        text = "One seed: no interval, and no difference can be told from noise."
    if n == 0:
        text = "No run is finished."
    text += f"\nEvaluated on {plan.eval_data}"
    chances = [s.values["chance_mAP"] for line in lines for s in line.finished[:1]]
    text += f"; ranking at random gives mAP {chances[0]:.3f}." if chances else "."
    if plan.grid.source and any(line.row.published for line in lines):
        text += f"\nPublished: {plan.grid.source}."
    return f"{text}\n{plan.grid.shows}".rstrip()


def _warnings(lines: Sequence[Line]) -> str:
    """What is not as it should be: runs without figures, classes without any."""
    said = [
        f"- {line.row.label}, seed {seed}: {state.text}"
        for line in lines
        for seed, state in line.states.items()
        if state.status != "finished"
    ]
    text = "Without a figure, and in no mean:\n\n" + "\n".join(said) if said else ""
    for line in lines:
        for state in line.finished:
            left_out, classes = (state.values.get(k) for k in ("classes_left_out", "num_classes"))
            if left_out:
                lack = (
                    f"{left_out} of {classes} classes have no held-out clip, or nothing else, and "
                    "are left out of every mean."
                )
                return f"{text}\n\n{lack}" if text else lack
    return text


def _direction(found: Direction) -> str:
    pair = f"{found.first.label} to {found.second.label}: published {found.published:+.3f}"
    if found.difference is None:
        return f"{pair}, not measured"
    mean = found.difference.estimate
    text = f"{pair}, here {signed(mean)}"
    if mean.half is None:
        noise = "one seed, so it may be noise"
    else:
        noise = "beyond the seeds' noise" if mean.beyond_noise else "within the seeds' noise"
    if found.agrees is None:
        verdict = "no direction to compare"
    else:
        verdict = "the same direction" if found.agrees else "the OTHER direction"
    return f"{text}: {verdict}, {noise} (p = {p_value(found.difference)})"


def _effects(plan: Plan, lines: Sequence[Line]) -> str:
    found = effects(plan.grid, lines, "mAP")
    if not found:
        return "Rows are lacking, so the factors' effects cannot be told."
    rows = [
        [name, signed(each.estimate), p_value(each), str(each.estimate.n)]
        if each
        else [name, "no seed has all rows", "", "0"]
        for name, each in found.items()
    ]
    return (
        "Effects on mAP, paired by seed: of a factor, averaged over the others; an interaction is "
        "how much more one brings with the other than without it.\n\n"
        + _table(["effect", "mAP", "p", "seeds"], rows)
    )


def number(found: Estimate | None) -> str:
    """A mean with its interval, for a table."""
    if found is None:
        return ""
    return f"{found.mean:.3f}" + (" (one seed)" if found.half is None else f" ± {found.half:.3f}")


def signed(found: Estimate) -> str:
    """A difference with its interval."""
    return f"{'+' if found.mean >= 0 else ''}{number(found)}"


def p_value(found: Difference) -> str:
    """A p for a table; none of a single seed, which tells nothing."""
    if found.estimate.n == 1:
        return "-"
    return f"{found.p:.3f}" if found.p >= 0.0005 else f"{found.p:.1e}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown whose columns are also aligned on a terminal."""
    every = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(3, *(len(row[i]) for row in every)) for i in range(len(head))]
    texts = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in every
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


def as_csv(plan: Plan, lines: Sequence[Line]) -> str:
    """A row for every setting; what is unknown is an empty cell."""
    reference = next(line for line in lines if line.row == plan.grid.reference)
    rows = []
    for line in lines:
        row = {"setting": line.row.label, "seeds": len(line.finished), "wanted": len(line.states)}
        for metric in METRICS:
            row |= _ends(metric, line.estimate(metric))
        for metric in METRICS:
            row[f"published_{metric}"] = line.row.published.get(metric, "")
        for metric in METRICS:
            found = None if line is reference else difference(line, reference, metric)
            row |= _ends(f"{metric}_difference", found and found.estimate)
            row[f"{metric}_difference_p"] = f"{found.p:.6g}" if found else ""
        row["reference"] = plan.grid.reference.label
        rows.append(row)
    return _csv(rows)


def runs_csv(plan: Plan, lines: Sequence[Line]) -> str:
    """A row for every run."""
    keys = (*METRICS, "chance_mAP", "num_clips", "num_classes", "classes_left_out")
    folders = {(cell.row.slug, cell.seed): cell.folder for cell in plan.cells}
    rows = []
    for seed in plan.seeds:
        for line in lines:
            state = line.states[seed]
            found = {key: state.values.get(key) for key in keys}
            rows.append(
                {
                    "setting": line.row.label,
                    "seed": seed,
                    "status": state.status,
                    "step": state.step,
                    "steps": state.steps,
                    **{key: "" if value is None else value for key, value in found.items()},
                    "seconds": f"{state.seconds:.1f}" if state.seconds else "",
                    "said": state.said,
                    "folder": Path(folders[line.row.slug, seed]).relative_to(plan.output),
                }
            )
    return _csv(rows)


def _ends(name: str, found: Estimate | None) -> dict[str, str]:
    values = (found.mean, found.low, found.high) if found else (None, None, None)
    texts = ["" if value is None else f"{value:.6f}" for value in values]
    return dict(zip((name, f"{name}_low", f"{name}_high"), texts, strict=True))


def _csv(rows: Sequence[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
