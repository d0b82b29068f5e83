"""``report.html``: a run on a new task, on one page that needs nothing but itself."""

import base64
from collections.abc import Sequence
from pathlib import Path

from panns_tf.evaluation.class_table import bar
from panns_tf.evaluation.html import page, save_page, text
from panns_tf.plots.fewshot import name_of
from panns_tf.transfer.beside import Beside, beside, with_all_clips
from panns_tf.transfer.certainty import LEVEL, Overall, figure, interval, overall
from panns_tf.transfer.records import by_count, summary_of
from panns_tf.transfer.report_classes import classes_section, confusion_section, mistakes_section
from panns_tf.transfer.report_text import (
    all_notes,
    between,
    duration,
    few_table,
    few_title,
    mean_of,
    value,
)
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo
from panns_tf.transfer.scoring import by_class, confusion

FILE_NAME = "report.html"
_MEANING = {
    "accuracy": "Share of clips whose label has the highest probability.",
    "mAP@3": "Mean over clips of 1 / rank of the label among the first three, else 0.",
    "mAP": "Mean over the classes of average precision: how high up in a ranking by the score the "
    "clips with the class stand.",
}


def write_page(
    output: Path,
    run: RunInfo,
    results: Sequence[FoldResult],
    records: Sequence[dict],
    curves: Path | None = None,
) -> Path:
    """Writes the page.

    Args:
        output: folder.
        run: what was run last.
        results: of it.
        records: of all runs in the folder, for the table of strategies.
        curves: an SVG file of them.

    Returns:
        Its path.
    """
    groups = by_count(results)
    count = list(groups)[-1]
    shown = groups[count]
    first = [result for result in shown if result.seed == shown[0].seed]
    aside = _aside(first, shown, count)
    sections = [
        ("Headline", "headline", _headline(run, shown, count)),
        ("Folds", "folds", (_aside([], [], count) if count else "") + _folds(run, shown)),
        ("Strategies and clips", "fewshot", _few(run, records, curves)),
        ("Confusion", "confusion", "" if run.multi_label else confusion_section(run, first, aside)),
        ("Classes", "classes", classes_section(run, first, aside)),
        ("Mistakes", "mistakes", mistakes_section(run, first, aside)),
        ("Settings", "settings", _settings(run)),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{key}">{name}</a>' for name, key, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{name}</h2>{content}</section>' for name, key, content in sections
    )
    title = f"{run.arch} on {run.title}"
    content = f"""<header><p class="eyebrow">Transfer</p><h1>{text(title)}</h1>
<p class="lead">{_lead(run, shown)}</p>{_notes(run, results)}
<nav aria-label="Sections">{links}</nav></header><main>{body}</main>"""
    path = output / FILE_NAME
    save_page(path, page(title, content, {}))
    return path


def _lead(run: RunInfo, shown: Sequence[FoldResult]) -> str:
    began = f" from {text(run.weights)}" if run.weights else ", random weights"
    clips = len({clip for result in shown for clip in result.clip_ids})
    took = f"; {duration(run.seconds)} in all" if run.seconds is not None else ""
    strategy = name_of(run.strategy)
    strategy = strategy[:1].upper() + strategy[1:]
    if run.strategy == "scratch":
        began = ""
    return f"{text(strategy)}{began}; {clips:,} clips tested, {len(run.classes)} classes{took}."


def _notes(run: RunInfo, results: Sequence[FoldResult]) -> str:
    notes = all_notes(run, results)
    items = "".join(f"<li>{text(note[:1].upper() + note[1:])}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _aside(first: Sequence[FoldResult], shown: Sequence[FoldResult], count: int | None) -> str:
    """Of which results the sections on classes are, where that is a question."""
    words = []
    if len(first) > 1:
        words.append(f"the {len(first)} folds together, each clip by the network that never saw it")
    if len(first) < len(shown):
        words.append(f"seed {first[0].seed}")
    if count is not None:
        words.append(f"{count} training clips of each class")
    return f'<p class="aside">Of {text("; ".join(words))}.</p>' if words else ""


def _headline(run: RunInfo, shown: Sequence[FoldResult], count: int | None) -> str:
    whole, other = overall(shown, run.metric), beside(run, shown)
    tiles = [_main_tile(run, whole, count), *_other_tiles(run, shown, other)]
    if not run.multi_label and shown:
        macro = by_class(
            sum(confusion(r.target, r.score) for r in shown if r.seed == shown[0].seed)
        ).macro_f1
        tiles.append(
            _tile(
                "macro_f1",
                "Macro F1",
                macro,
                "",
                "Mean over the classes of F1, the harmonic mean of precision and recall, of all "
                "folds' clips together.",
            )
        )
    said = (
        f"Intervals of {100 * LEVEL:.0f} % are over the choice of test clips, given the trained "
        "networks; clips of one group are drawn together. The spread over folds and seeds is "
        "their standard deviation."
    )
    why = f" The paper: {other.why_not}." if other.why_not else ""
    return f'<div class="tiles">{"".join(tiles)}</div><p class="aside">{said}{text(why)}</p>'


def _main_tile(run: RunInfo, whole: Overall, count: int | None) -> str:
    what = [mean_of(whole, count)] if whole.folds > 1 or whole.seeds > 1 or count else []
    for name, spread in (("folds", whole.fold_spread), ("seeds", whole.seed_spread)):
        if spread == spread:
            what.append(f"spread over {name} {value(spread)}")
    said = "; ".join(what)
    said = f"{_MEANING[run.metric]} {said[:1].upper()}{said[1:]}{'.' if said else ''}".strip()
    name = run.metric[:1].upper() + run.metric[1:] if run.metric == "accuracy" else run.metric
    ends = whole.low, whole.high
    return _tile(run.metric, name, whole.value, between(ends), said, ends)


def _other_tiles(run: RunInfo, shown: Sequence[FoldResult], other: Beside) -> list[str]:
    tiles = []
    if other.paper is not None:
        said = "Cnn14, the same strategy, clips and folds (Kong et al. 2020, Tables XIII to XVIII)."
        tiles.append(_tile("paper", "The paper", other.paper, "", said))
    if other.project is not None and with_all_clips(shown):
        own = other.project
        began = f" from {own.weights}" if own.weights else ""
        said = f"{own.arch}{began}, {own.folds} folds, {own.seeds} seeds, on {own.hardware}."
        ends = (own.low, own.high) if own.low is not None else ()
        tiles.append(
            _tile(
                "project",
                "This project, as recorded",
                own.value,
                between(ends) if ends else "",
                said,
                ends,
            )
        )
    tiles.append(_tile("chance", "Chance", other.chance, "", "What scores at random give."))
    return tiles


def _tile(key: str, name: str, number: float, ends: str, meaning: str, whisker=()) -> str:
    shown = f'<span class="between">{ends}</span>' if ends else ""
    known = number == number
    exact = repr(float(number)) if known else ""
    drawn = bar(number, *whisker) if known else ""
    return (
        f'<div class="tile" data-figure="{text(key)}" data-value="{exact}"><h3>{text(name)}</h3>'
        f'<p class="value">{value(number)} {shown}</p>{drawn}'
        f'<p class="meaning">{text(meaning)}</p></div>'
    )


def _folds(run: RunInfo, shown: Sequence[FoldResult]) -> str:
    seeds = len({result.seed for result in shown}) > 1
    rows = []
    for result in shown:
        number, ends = figure(result, run.metric), interval(result, run.metric)
        seed = f'<td class="num">{result.seed}</td>' if seeds else ""
        rows.append(
            f'<tr><th scope="row">{text(result.fold)}</th>{seed}'
            f'<td class="num">{value(number)}</td>'
            f'<td class="bars">{bar(number, *ends)}</td><td class="num">{between(ends) or "–"}</td>'
            f'<td class="num">{len(result.clip_ids):,}</td>'
            f'<td class="num">{result.training_clips:,}</td>'
            f'<td class="num">{duration(result.seconds)}</td></tr>'
        )
    whole, other = overall(shown, run.metric), beside(run, shown)
    blank = "<td></td>" * seeds
    if len(shown) > 1:
        rows.append(_mean_row("Mean", blank, whole.value, (whole.low, whole.high)))
    if other.paper is not None:
        rows.append(_mean_row("The paper, Cnn14", blank, other.paper))
    if other.project is not None and with_all_clips(shown):
        own = other.project
        ends = (own.low, own.high) if own.low is not None else (float("nan"),) * 2
        rows.append(_mean_row(f"This project, {own.arch}", blank, own.value, ends))
    heads = ["Fold", *["Seed"] * seeds, run.metric, "", "Interval", "Tested", "Trained on", "Time"]
    return _table(heads, rows)


def _mean_row(name: str, blank: str, number: float, ends=(float("nan"),) * 2) -> str:
    return (
        f'<tr><th scope="row"><strong>{text(name)}</strong></th>{blank}'
        f'<td class="num"><strong>{value(number)}</strong></td>'
        f'<td class="bars">{bar(number, *ends)}</td><td class="num">{between(ends) or "–"}</td>'
        "<td></td><td></td><td></td></tr>"
    )


def _table(heads: Sequence[str], rows: Sequence[str], css: str = "plain") -> str:
    """A table whose columns after the first are numbers; the one without a name has bars."""
    cells = "".join(
        f'<th scope="col"{_css(place, name)}>{_head(name)}</th>' for place, name in enumerate(heads)
    )
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr>'
        f"{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _css(place: int, name: str) -> str:
    return "" if place == 0 else ' class="num"' if name else ' class="bars"'


def _head(name: str) -> str:
    return text(name) if name else '<span class="unseen">as a bar from 0 to 1</span>'


def _few(run: RunInfo, records: Sequence[dict], curves: Path | None) -> str:
    summary = summary_of(records)
    if len(summary) < 2:
        return ""
    counts, cells_of = few_table(summary)
    rows = [
        f'<tr><th scope="row" style="white-space:nowrap">{text(name)}</th>'
        + "".join(f'<td class="num">{text(cell) or "–"}</td>' for cell in cells)
        + "</tr>"
        for name, *cells in cells_of
    ]
    drawn = ""
    if curves is not None:
        content = base64.b64encode(curves.read_bytes()).decode()
        drawn = (
            f'<figure><img src="data:image/svg+xml;base64,{content}" style="max-width:100%" '
            f'alt="{text(run.metric)} of each strategy by training clips of each class; the '
            'numbers are in the table"></figure>'
        )
    said = few_title(run.metric, summary)
    said = f"{said[:1].upper()}{said[1:-1]}, by training clips of each class."
    table = _table(["Strategy", *map(str, counts)], rows, "few")
    return f'{drawn}{table}<p class="aside">{said}</p>'


def _settings(run: RunInfo) -> str:
    named = {
        "Task": run.name,
        "Network": run.arch,
        "Strategy": name_of(run.strategy),
        "Weights": run.weights or "random",
        **run.settings,
    }
    lines = "".join(
        f"<dt>{text(name)}</dt><dd>{text('–' if entry is None else entry)}</dd>"
        for name, entry in named.items()
    )
    return f'<dl class="settings">{lines}</dl>'
