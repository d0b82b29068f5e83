"""``comparison.html``: runs side by side on one page."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from panns_tf.evaluation.class_table import bar, filters, head
from panns_tf.evaluation.html import (
    NONE,
    interval,
    number,
    page,
    save_page,
    signed,
    sort_key,
    text,
    whole,
)
from panns_tf.evaluation.svg import Chart, unit

if TYPE_CHECKING:
    from panns_tf.evaluation.comparing import Compared

FILE_NAME = "comparison.html"


def write_comparison_page(
    output: Path, found: Sequence["Compared"], notes: Sequence[str], meaning: str
) -> Path:
    """Writes the page; the first of the runs is what the others are compared with."""
    clips, classes = found[0].scores.score.shape
    others = ", ".join(run.name for run in found[1:])
    title = f"{others} against {found[0].name}" if len(found) < 4 else f"{len(found)} runs"
    said = "".join(f"<li>{text(note[:1].upper() + note[1:])}.</li>" for note in notes)
    said = f'<ul class="notes">{said}</ul>' if said else ""
    data = Path(str(found[0].scores.meta.get("data", ""))).name
    body = f"""<header><p class="eyebrow">Comparison</p><h1>{text(title)}</h1>
<p class="lead">{clips:,} clips of {text(data)}, {classes:,} classes.</p>
<nav aria-label="Sections"><a href="#runs">Runs</a><a href="#pairs">Class against class</a>
<a href="#classes">All classes</a></nav></header><main>
<section id="runs"><h2>Runs</h2>{said}{_runs(found)}<p class="aside">{text(meaning)}</p>
</section>
<section id="pairs"><h2>Class against class</h2>{_pairs(found)}</section>
<section id="classes"><h2>All classes</h2>{_classes(found)}</section></main>"""
    path = output / FILE_NAME
    save_page(path, page(title, body, {"curves": []}))
    return path


def _runs(found: Sequence["Compared"]) -> str:
    reach = _reach([run.difference_intervals.get("mAP", (0, 0)) for run in found[1:]])
    rows = []
    for place, run in enumerate(found):
        figures = run.summary.as_dict()
        ends = run.intervals.get("mAP", (math.nan, math.nan))
        cells = ["<td></td>"] * 4
        if place:
            difference = run.differences["mAP"]
            low_high = run.difference_intervals.get("mAP")
            low, high = low_high or (math.nan, math.nan)
            counts = ["", ""]
            if low_high:
                counts = [whole(run.better.sum()), whole(run.worse.sum())]
            cells = [
                f'<td class="num">{signed(difference, 4)}<br><span class="between">'
                f"{_signed_interval(low_high)}</span></td>",
                f'<td class="bars {_kind(low, high)}">{gap(difference, low, high, reach)}</td>',
                *(f'<td class="num">{count or NONE}</td>' for count in counts),
            ]
        rows.append(
            f'<tr data-run="{text(run.name)}"><th scope="row" class="wide">{text(run.name)}</th>'
            f'<td class="num" data-value="{figures["mAP"]!r}">{number(figures["mAP"], 4)}<br>'
            f'<span class="between">{interval(ends, 4)}</span></td>'
            f'<td class="bars">{bar(figures["mAP"], *ends)}</td>'
            f'<td class="num">{number(figures["mAUC"], 4)}</td>{"".join(cells)}</tr>'
        )
    names = (
        ("Run", "wide"),
        ("mAP", "num"),
        ("0 to 1", "bars"),
        ("mAUC", "num"),
        ("Difference of mAP", "num"),
        (f"−{reach:g} to +{reach:g}", "bars"),
        ("Classes better", "num"),
        ("Worse", "num"),
    )
    heads = "".join(f'<th scope="col" class="{css}">{name}</th>' for name, css in names)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table class="runs">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pairs(found: Sequence["Compared"]) -> str:
    """A drawing for each run: average precision of every class against the first run's."""
    first = found[0]
    used = np.flatnonzero(first.summary.defined)
    drawings = []
    for run in found[1:]:
        chart = Chart(unit(f"AP of {first.name}"), unit(f"AP of {run.name}"))
        marks = chart.line([0, 1], [0, 1], "even")
        for chosen, css in (
            (~(run.better | run.worse), "same"),
            (run.better, "first"),
            (run.worse, "worse"),
        ):
            at = used[chosen[used]]
            xs, ys = (x.summary.average_precision[at] for x in (first, run))
            titles = [
                f"{first.scores.labels[n]}: {number(float(x))} and {number(float(y))}"
                for n, x, y in zip(at, xs, ys, strict=True)
            ]
            marks += chart.dots(xs, ys, titles, css, [3.2] * len(at))
        alt = (
            f"Average precision of {len(used)} classes, {run.name} against {first.name}: "
            f"{int(run.better.sum())} clearly better, {int(run.worse.sum())} clearly worse"
        )
        drawings.append(
            f"<figure><h3>{text(run.name)}</h3>{chart.draw(marks, alt)}<figcaption>"
            '<span class="dot first"></span> better <span class="dot worse"></span> worse '
            '<span class="dot same"></span> could be luck. Above the dotted line '
            f"{text(run.name)} is better.</figcaption></figure>"
        )
    return f'<div class="charts">{"".join(drawings)}</div>'


def _classes(found: Sequence["Compared"]) -> str:
    from panns_tf.evaluation.comparing import order_of

    others = found[1:]
    ends = [run.class_interval.ravel() for run in others]
    ends += [run.class_difference for run in others]
    reach = _reach(ends)
    columns = [("Class", "wide", "its name"), ("Positives", "num", "clips with the class")]
    columns += [(f"AP {run.name}", "num", "average precision") for run in found]
    for run in others:
        columns.append((f"Difference {run.name}", "num", f"to {found[0].name}"))
        columns.append(
            (f"−{reach:g} to +{reach:g}", "bars", "the difference and its interval as a drawing")
        )
    labels, positives = found[0].scores.labels, found[0].summary.positives
    rows = []
    for n in order_of(found):
        cells = [
            f'<th scope="row" class="wide" {sort_key(labels[n].casefold())}>{text(labels[n])}</th>',
            f'<td class="num" {sort_key(int(positives[n]))}>{whole(positives[n])}</td>',
        ]
        for run in found:
            ap = float(run.summary.average_precision[n])
            cells.append(f'<td class="num" {sort_key(ap)}>{number(ap)}</td>')
        for run in others:
            difference = float(run.class_difference[n])
            low, high = (float(x) for x in run.class_interval[n])
            cells.append(f'<td class="num" {sort_key(difference)}>{signed(difference)}</td>')
            cells.append(
                f'<td class="bars {_kind(low, high)}" {sort_key(difference)} '
                f'title="{text(_signed_interval((low, high)))}">'
                f"{gap(difference, low, high, reach)}</td>"
            )
        clear = int(any(run.better[n] or run.worse[n] for run in others))
        rows.append(
            f'<tr data-name="{text(labels[n].casefold())}" data-branch="" data-clear="{clear}" '
            f'data-positives="{positives[n]}">{"".join(cells)}</tr>'
        )
    only = '<label class="check"><input type="checkbox" class="only">clear differences only</label>'
    return f"""{filters([], len(labels), only)}
<div class="scroll" tabindex="0" role="region" aria-label="All classes">
<table class="sortable classes"><thead><tr>{head(columns)}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>
<p class="empty" hidden>No class fits these filters.</p>"""


def gap(difference: float, low: float, high: float, reach: float) -> str:
    """A difference as a dot on a scale from -reach to reach, its interval as a line."""
    if math.isnan(difference):
        return ""

    def share(value: float) -> float:
        return 50 + 50 * max(-1.0, min(1.0, value / reach))

    line = ""
    if not math.isnan(low):
        line = f'<b style="left:{share(low):.1f}%;width:{share(high) - share(low):.1f}%"></b>'
    return (
        f'<span class="bar difference">{line}<i style="left:{share(difference):.1f}%"></i></span>'
    )


def _kind(low: float, high: float) -> str:
    return "clear" if low > 0 else "worse" if high < 0 else ""


def _signed_interval(ends) -> str:
    if ends is None or math.isnan(ends[0]):
        return NONE
    return f"{signed(ends[0])} to {signed(ends[1])}"


def _reach(values) -> float:
    """A round number that no difference exceeds."""
    flat = np.abs(np.concatenate([np.ravel(value) for value in values]))
    most = float(np.nanmax(flat, initial=0)) if not np.isnan(flat).all() else 0
    return next((x for x in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most <= x), 1.0)
