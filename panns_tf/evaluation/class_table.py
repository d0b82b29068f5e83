"""The table of all classes: sorted, filtered, and with a curve for each."""

from panns_tf.evaluation.facts import Facts
from panns_tf.evaluation.html import interval, number, sort_key, text, whole
from panns_tf.evaluation.measures import LEVEL, Measures, class_columns
from panns_tf.evaluation.svg import Chart, unit


def bar(value: float, low: float = float("nan"), high: float = float("nan")) -> str:
    """A share of 1 as a bar, with a whisker from ``low`` to ``high``."""
    if value != value:  # NaN
        return '<span class="bar none"></span>'
    whisker = ""
    if low == low and high == high:
        whisker = f'<b style="left:{100 * low:.1f}%;width:{100 * max(0, high - low):.1f}%"></b>'
    return f'<span class="bar"><i style="width:{100 * value:.1f}%"></i>{whisker}</span>'


def head(columns: list[tuple[str, str, str]]) -> str:
    """A row of headings that sort: name, CSS class and explanation of each column."""
    return "".join(
        f'<th scope="col" class="{css}" aria-sort="none"><button type="button" '
        f'title="{text(hint)}">{text(name)}</button></th>'
        for name, css, hint in columns
    )


def filters(branches: list[str], count: int, extra: str = "") -> str:
    """The controls above a table of classes."""
    choose = ""
    if branches:
        options = "".join(f"<option>{text(branch)}</option>" for branch in branches)
        choose = (
            '<label>Branch<select class="branch"><option value="">all</option>'
            f"{options}</select></label>"
        )
    return f"""<form class="filters" aria-label="Filter the classes">
<label>Class<input type="search" class="search" placeholder="part of a name" autocomplete="off">
</label>{choose}
<label>Positives<input type="number" class="least" min="0" placeholder="at least"></label>{extra}
<output aria-live="polite">{count} of {count} classes</output>
</form>"""


def branch_names(facts: Facts) -> list[str]:
    """All branches, by name."""
    return sorted({name for names in facts.branches for name in names})


def class_table(labels: list[str], measures: Measures, facts: Facts) -> str:
    """The section of the page."""
    columns = {name: list(values) for name, values in class_columns(measures, facts).items()}
    branches = branch_names(facts)
    shown = [
        ("Class", "wide", "its name; press a name for its curves"),
        ("AP", "num", f"average precision, with its {100 * LEVEL:.0f} % interval"),
        ("", "bars", "average precision as a bar from 0 to 1, the interval as a line"),
        ("AUC", "num", "area under the ROC curve"),
        ("Lift", "num", "average precision over that of ranking at random"),
        ("F1", "num", "best F1 over all thresholds"),
        ("Positives", "num", "evaluated clips with the class"),
    ]
    if facts.training_clips is not None:
        shown.append(("Training clips", "num", "training clips with the class"))
    if facts.quality is not None:
        shown.append(("Label quality", "num", "share of labels that raters found right"))
    if branches:
        shown.append(("Branch", "", "top of the ontology above the class"))
    shown = [(name or "AP, 0 to 1", css, hint) for name, css, hint in shown]
    order = sorted(
        range(len(labels)), key=lambda n: -_or(measures.summary.average_precision[n], -1)
    )
    rows = "".join(_row(n, labels, measures, facts, columns, bool(branches)) for n in order)
    return f"""{filters(branches, len(labels))}
<div class="scroll" tabindex="0" role="region" aria-label="All classes">
<table class="sortable classes"><thead><tr>{head(shown)}</tr></thead>
<tbody>{rows}</tbody></table></div>
<p class="empty" hidden>No class fits these filters.</p>
<template id="detail"><td colspan="{len(shown)}"><p></p><div class="pair">
<figure>{Chart(unit("Recall"), unit("Precision")).outline("pr")}</figure>
<figure>{Chart(unit("False alarms"), unit("Recall")).outline("roc")}</figure>
</div></td></template>"""


def _or(value: float, other: float) -> float:
    return other if value != value else float(value)


def _row(n, labels, measures: Measures, facts: Facts, columns: dict, with_branch: bool) -> str:
    summary = measures.summary
    ap, auc, positives = summary.average_precision[n], summary.auc[n], int(summary.positives[n])
    low, high = float(columns["ap_low"][n]), float(columns["ap_high"][n])
    lift, f1 = float(columns["lift"][n]), float(columns["best_f1"][n])
    name = text(labels[n])
    cells = [
        f'<th scope="row" class="wide" {sort_key(labels[n].casefold())}>'
        f'<button type="button" class="open" aria-expanded="false">{name}</button></th>',
        _cell(float(ap), number(float(ap))),
        f'<td class="bars" {sort_key(float(ap))}>{bar(float(ap), low, high)}</td>',
        _cell(float(auc), number(float(auc))),
        _cell(lift, number(lift, 1)),
        _cell(f1, number(f1)),
        _cell(positives, whole(positives)),
    ]
    if facts.training_clips is not None:
        clips = int(facts.training_clips[n])
        cells.append(_cell(clips, whole(clips)))
    if facts.quality is not None:
        quality = float(facts.quality[n])
        cells.append(_cell(quality, number(quality, 2)))
    branch = columns["branch"][n]
    if with_branch:
        cells.append(f"<td {sort_key(branch)}>{text(branch) or '–'}</td>")
    listed = text("\n".join(facts.branches[n]))
    return (
        f'<tr data-class="{n}" data-name="{text(labels[n].casefold())}" data-branch="{listed}" '
        f'data-positives="{positives}" data-note="{text(_note(n, measures, columns))}">'
        f"{''.join(cells)}</tr>"
    )


def _cell(value, shown: str) -> str:
    return f'<td class="num" {sort_key(value)}>{shown}</td>'


def _note(n: int, measures: Measures, columns: dict) -> str:
    """What a row has no column for, in words."""
    summary = measures.summary
    positives, clips = int(summary.positives[n]), summary.num_clips
    words = [f"{positives:,} of {clips:,} clips have it."]
    if not summary.defined[n]:
        what = "with" if positives == 0 else "without"
        return f"{words[0]} There is no clip {what} this class, so nothing can be ranked."
    low_high = (float(columns["ap_low"][n]), float(columns["ap_high"][n]))
    ap = f"Average precision {number(float(summary.average_precision[n]))}"
    if low_high[0] == low_high[0]:
        ap += f" ({interval(low_high)})"
    words.append(f"{ap}; at random it would be {number(float(columns['chance'][n]))}.")
    auc_ends = (float(columns["auc_low"][n]), float(columns["auc_high"][n]))
    if auc_ends[0] == auc_ends[0]:
        words.append(f"AUC {number(float(summary.auc[n]))} ({interval(auc_ends)}).")
    if columns["best_f1"][n] == columns["best_f1"][n]:
        threshold = number(float(columns["f1_threshold"][n]))
        words.append(
            f"Best F1 {number(float(columns['best_f1'][n]))}, at a threshold of {threshold}."
        )
    if columns["calibration_error"][n] is not None:
        words.append(f"Calibration error {number(float(columns['calibration_error'][n]))}.")
    return " ".join(words)
