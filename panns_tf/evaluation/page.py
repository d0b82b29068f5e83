"""``report.html``: an evaluation on one page that needs nothing but itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.evaluation.class_table import bar, class_table
from panns_tf.evaluation.curves import all_curves, as_pairs
from panns_tf.evaluation.facts import Facts
from panns_tf.evaluation.headline import headline
from panns_tf.evaluation.html import number, page, save_page, text, whole
from panns_tf.evaluation.measures import Measures
from panns_tf.evaluation.media import Media
from panns_tf.evaluation.mistakes import Mistake
from panns_tf.evaluation.mistakes_page import mistakes_section
from panns_tf.evaluation.report_charts import charts
from panns_tf.evaluation.scores import Scores

FILE_NAME = "report.html"
_KINDS = {
    "training_clips": "by training clips",
    "label_quality": "by label quality",
    "branch": "by branch of the ontology",
}


def write_page(
    output: Path,
    scores: Scores,
    measures: Measures,
    facts: Facts,
    figures: dict,
    settings: Sequence[tuple[str, str]],
    mistakes: tuple[list[Mistake], list[Mistake]],
    media: dict[bytes, Media],
) -> Path:
    """Writes the page.

    Args:
        output: directory.
        scores: of the evaluation.
        measures: its figures.
        facts: of its classes.
        figures: what ``metrics.json`` holds.
        settings: names and values, as texts.
        mistakes: false alarms and misses.
        media: of the clips among them, by id.

    Returns:
        The path of the page.
    """
    labels, curves = scores.labels, all_curves(scores)
    title = f"{scores.meta.get('network', 'Model')} on {Path(scores.meta['data']).name}"
    sections = [
        ("Headline", "headline", headline(figures, measures)),
        ("Curves", "curves", charts(labels, measures, facts, curves)),
        ("Groups of classes", "groups", _groups(figures["strata"])),
        ("Best and worst", "extremes", _extremes(labels, measures)),
        ("All classes", "classes", class_table(labels, measures, facts)),
        ("Mistakes", "mistakes", mistakes_section(scores, mistakes, media)),
        ("Settings", "settings", _settings(settings)),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{key}">{name}</a>' for name, key, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{name}</h2>{content}</section>' for name, key, content in sections
    )
    data = {
        "curves": [
            None if pr is None else {"pr": as_pairs(pr), "roc": as_pairs(roc)}
            for pr, roc in zip(curves.precision_recall, curves.roc, strict=True)
        ]
    }
    content = f"""<header><p class="eyebrow">Evaluation</p><h1>{text(title)}</h1>
<p class="lead">{_lead(scores)}</p>{notes(figures)}<nav aria-label="Sections">{links}</nav></header>
<main>{body}</main>"""
    path = output / FILE_NAME
    save_page(path, page(title, content, data))
    return path


def _lead(scores: Scores) -> str:
    clips, classes = scores.score.shape
    heard = scores.meta.get("heard", "")
    return f"{clips:,} clips, {classes:,} classes" + (f"; {text(heard)}." if heard else ".")


def notes(figures: dict) -> str:
    """What a reader must be told first."""
    said = list(figures.get("notes", []))
    if figures.get("unfinished"):
        said.insert(0, f"unfinished: {figures['unfinished']}")
    if figures.get("damaged_clips"):
        said.append(f"{figures['damaged_clips']} damaged clips were left out")
    if not said:
        return ""
    items = "".join(f"<li>{text(note[:1].upper() + note[1:])}.</li>" for note in said)
    return f'<ul class="notes">{items}</ul>'


def _groups(rows: list[dict]) -> str:
    tables = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        lines = "".join(
            f'<tr><th scope="row">{text(row["name"])}</th>'
            f'<td class="num">{whole(row["num_classes"])}</td>'
            f'<td class="num">{number(row["mAP"])}</td>'
            f'<td class="bars">{bar(_nan(row["mAP"]))}</td>'
            f'<td class="num">{number(row["mAUC"])}</td>'
            f'<td class="num">{number(row["d_prime"], 2)}</td></tr>'
            for row in of_kind
        )
        name = _KINDS.get(kind, f"by {kind.replace('_', ' ')}")
        tables.append(
            f'<div class="scroll"><table class="plain"><caption>{text(name.capitalize())}</caption>'
            '<thead><tr><th scope="col">Group</th><th scope="col" class="num">Classes</th>'
            '<th scope="col" class="num">mAP</th><th scope="col" class="bars">'
            '<span class="unseen">mAP as a bar</span></th><th scope="col" class="num">mAUC</th>'
            '<th scope="col" class="num">d-prime</th></tr></thead>'
            f"<tbody>{lines}</tbody></table></div>"
        )
    return "".join(tables)


def _nan(value) -> float:
    return float("nan") if value is None else value


def _extremes(labels: list[str], measures: Measures) -> str:
    ap = measures.summary.average_precision
    ranked = [n for n in np.argsort(-np.nan_to_num(ap, nan=-1)) if measures.summary.defined[n]]
    count = min(10, len(ranked) // 2)
    if not count:
        return ""
    intervals = measures.class_interval("average_precision")

    def ranking(name: str, chosen: list[int]) -> str:
        lines = "".join(
            f'<li><span class="label">{text(labels[n])}</span>{bar(ap[n], *intervals[n])}'
            f'<span class="num">{number(float(ap[n]))}</span></li>'
            for n in chosen
        )
        return f"<div><h3>{name}</h3><ol>{lines}</ol></div>"

    best, worst = ranking("Best", ranked[:count]), ranking("Worst", ranked[: -count - 1 : -1])
    return (
        f'<div class="extremes">{best}{worst}</div><p class="aside">Average precision; the line is '
        "its interval. Classes of few clips come first and last by luck.</p>"
    )


def _settings(settings: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in settings)
    return f'<dl class="settings">{lines}</dl>'
