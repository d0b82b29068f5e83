"""The sections of a page that look into classes: confusion, figures of each, mistakes."""

import warnings
from collections.abc import Sequence

import numpy as np

from panns_tf.evaluation.class_table import bar, filters, head
from panns_tf.evaluation.html import number, sort_key, text
from panns_tf.metrics import average_precision, roc_auc
from panns_tf.transfer.matrix import draw_matrix
from panns_tf.transfer.mistakes import Mistake, false_alarms, misses, wrong_clips
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo
from panns_tf.transfer.scoring import by_class, confusion, defined

_MISTAKES = 20


def confusion_section(run: RunInfo, results: Sequence[FoldResult], aside: str) -> str:
    """The matrix of clips of one label."""
    said = "A row is a label, a column what clips were taken for; the stronger a cell's colour, "
    said += "the larger its share of the row. Point at a cell for its words."
    return (
        f'{aside}<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">'
        f'{draw_matrix(_matrix(results), run.classes)}</div><p class="aside">{said}</p>'
    )


def _matrix(results: Sequence[FoldResult]) -> np.ndarray:
    return sum(confusion(result.target, result.score) for result in results)


def classes_section(run: RunInfo, results: Sequence[FoldResult], aside: str) -> str:
    """A table of the classes that sorts and filters."""
    columns, rows = (_many if run.multi_label else _single)(run, results)
    return f"""{aside}{filters([], len(run.classes))}
<div class="scroll" tabindex="0" role="region" aria-label="All classes">
<table class="sortable classes"><thead><tr>{head(columns)}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>
<p class="empty" hidden>No class fits these filters.</p>"""


def _single(run: RunInfo, results: Sequence[FoldResult]) -> tuple[list, list[str]]:
    matrix = _matrix(results)
    found = by_class(matrix)
    columns = [
        ("Class", "wide", "its name"),
        ("Recall", "num", "share of the class's clips that were recognised"),
        ("Recall, 0 to 1", "bars", "recall as a bar from 0 to 1"),
        ("Precision", "num", "share of the clips taken for the class that are of it"),
        ("F1", "num", "harmonic mean of recall and precision"),
        ("F1, 0 to 1", "bars", "F1 as a bar from 0 to 1"),
        ("Clips", "num", "tested clips with the class"),
        ("Most often taken for", "wide", "the class that most of its clips were wrongly taken for"),
    ]
    rows = []
    for n in np.argsort(np.nan_to_num(found.f1, nan=2), kind="stable"):
        wrong = np.where(np.arange(len(matrix)) == n, 0, matrix[n])
        other = f"{run.classes[wrong.argmax()]} ({wrong.max()})" if wrong.any() else "–"
        cells = [
            _cell(found.recall[n]),
            _bar(found.recall[n]),
            _cell(found.precision[n]),
            _cell(found.f1[n]),
            _bar(found.f1[n]),
            _count(found.clips[n]),
            f"<td {sort_key(other.casefold())}>{text(other)}</td>",
        ]
        rows.append(_row(run.classes[n], int(found.clips[n]), cells))
    return columns, rows


def _many(run: RunInfo, results: Sequence[FoldResult]) -> tuple[list, list[str]]:
    ap, auc = (_over_folds(results, of) for of in (average_precision, roc_auc))
    clips = sum(result.target.sum(axis=0) for result in results).astype(int)
    columns = [
        ("Class", "wide", "its name"),
        ("AP", "num", "average precision, the mean over the folds that have the class"),
        ("AP, 0 to 1", "bars", "average precision as a bar from 0 to 1"),
        ("AUC", "num", "area under the ROC curve, the mean over these folds"),
        ("Positives", "num", "tested clips with the class"),
    ]
    rows = []
    for n in np.argsort(np.nan_to_num(ap, nan=2), kind="stable"):
        cells = [_cell(ap[n]), _bar(ap[n]), _cell(auc[n]), _count(clips[n])]
        rows.append(_row(run.classes[n], int(clips[n]), cells))
    return columns, rows


def _over_folds(results: Sequence[FoldResult], metric) -> np.ndarray:
    """The mean of a figure of each class over the folds where it is defined, (classes,)."""
    tables = [
        np.where(defined(result.target), metric(result.target, result.score), np.nan)
        for result in results
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class of NaN alone
        return np.nanmean(tables, axis=0)


def _row(name: str, clips: int, cells: Sequence[str]) -> str:
    return (
        f'<tr data-name="{text(name.casefold())}" data-branch="" data-positives="{clips}">'
        f'<th scope="row" class="wide" {sort_key(name.casefold())}>{text(name)}</th>'
        f"{''.join(cells)}</tr>"
    )


def _cell(value: float) -> str:
    return f'<td class="num" {sort_key(float(value))}>{number(float(value))}</td>'


def _count(value: int) -> str:
    return f'<td class="num" {sort_key(int(value))}>{int(value):,}</td>'


def _bar(value: float) -> str:
    return f'<td class="bars" {sort_key(float(value))}>{bar(float(value))}</td>'


def mistakes_section(run: RunInfo, results: Sequence[FoldResult], aside: str) -> str:
    """The clips of which the networks were wrong, the most certain first."""
    if not run.multi_label:
        found = wrong_clips(results, _MISTAKES)
        wrong = sum(int((r.target.argmax(1) != r.score.argmax(1)).sum()) for r in results)
        if not found:
            return f'{aside}<p class="empty">None: every clip was recognised.</p>'
        said = f"{wrong:,} clips were taken for another class"
        said += f"; the {len(found)} most certain:" if wrong > len(found) else ":"
        heads = ("Clip", "Fold", "Label", "Taken for", "Probability", "Of the label")
        return f'{aside}<p class="aside">{said}</p>{_table(run, found, heads)}'
    parts = []
    for name, found in (
        ("False alarms", false_alarms(results, _MISTAKES)),
        ("Misses", misses(results, _MISTAKES)),
    ):
        heads = ("Clip", "Fold", "Labels", "Heard" if name[0] == "F" else "Not heard", "Score")
        parts.append(f"<h3>{name}</h3>{_table(run, found, heads)}")
    return aside + '<p style="margin-top:2rem"></p>'.join(parts)


def _table(run: RunInfo, found: Sequence[Mistake], heads: Sequence[str]) -> str:
    css = ["", "", "", "", "num", "num"]
    cells = "".join(
        f'<th scope="col" class="{kind}">{text(name)}</th>'
        for name, kind in zip(heads, css, strict=False)
    )
    rows = []
    for mistake in found:
        labels = ", ".join(run.classes[n] for n in mistake.labels) or "–"
        true = f'<td class="num">{number(mistake.true_score)}</td>' if len(heads) == 6 else ""
        rows.append(
            f'<tr><td class="clip">{text(mistake.clip_id)}</td><td>{text(mistake.fold)}</td>'
            f"<td>{text(labels)}</td><td>{text(run.classes[mistake.predicted])}</td>"
            f'<td class="num">{number(mistake.score)}</td>{true}</tr>'
        )
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
