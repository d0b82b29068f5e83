"""The cards of a page that show and play the clips of which a model is wrong."""

import numpy as np

from panns_tf.evaluation.html import NONE, number, text
from panns_tf.evaluation.media import SECONDS, Media
from panns_tf.evaluation.mistakes import Mistake
from panns_tf.evaluation.scores import Scores

_TOP = 4


def mistakes_section(
    scores: Scores, mistakes: tuple[list[Mistake], list[Mistake]], media: dict[bytes, Media]
) -> str:
    """The section of the page.

    Args:
        scores: of the evaluation.
        mistakes: false alarms and misses, most confident first.
        media: of their clips by id.
    """
    kinds = (
        (
            "False alarms",
            "The highest scores for labels that the clips do not have. Where labels are "
            "incomplete, as AudioSet's are, some of these are right.",
        ),
        ("Misses", "The lowest scores for labels that the clips have."),
    )
    parts = []
    for (name, meaning), found in zip(kinds, mistakes, strict=True):
        cards = "".join(_card(scores, mistake, media) for mistake in found)
        if not found:
            cards = '<p class="empty">None: every clip with a label outscores those without.</p>'
        parts.append(
            f'<h3>{name}</h3><p class="aside">{meaning}</p><div class="cards">{cards}</div>'
        )
    return "".join(parts)


def _card(scores: Scores, mistake: Mistake, media: dict[bytes, Media]) -> str:
    clip_id = scores.clip_ids[mistake.clip]
    name = clip_id.decode(errors="replace")
    row, labels = scores.score[mistake.clip], scores.labels
    true = set(np.flatnonzero(scores.target[mistake.clip]).tolist())
    top = np.argsort(-row, kind="stable")[:_TOP]
    predictions = "".join(
        f'<li class="{"true" if n in true else "wrong"}"><span class="label">{text(labels[n])}'
        f'{" ✓" if n in true else ""}</span><span class="num">{number(float(row[n]))}</span></li>'
        for n in top
    )
    said = ", ".join(labels[n] for n in sorted(true)) or NONE
    what = "not heard" if mistake.missed else "wrongly heard"
    return f"""<article class="card"><h4>{text(labels[mistake.label])}
<span class="score">{what}, score {number(mistake.score)}</span></h4>
{_picture(media.get(clip_id), name)}
<dl><dt>Labels</dt><dd>{text(said)}</dd></dl>
<ol class="top" aria-label="Highest scores">{predictions}</ol>
<p class="clip">{text(name)}</p></article>"""


def _picture(shown: Media | None, name: str) -> str:
    if shown is None:
        return '<p class="empty">The clip cannot be read any more.</p>'
    marks = "".join(
        f'<span style="bottom:{100 * height:.1f}%">{_hertz(mark)}</span>'
        for mark, height in shown.marks
    )
    step = next(x for x in (0.1, 0.2, 0.5, 1, 2, 5, 10) if shown.seconds / x <= 5 or x == 10)
    times = "".join(
        f'<span style="left:{100 * time / shown.seconds:.1f}%">{time:g}{" s" * (not time)}</span>'
        for time in np.arange(0, shown.seconds + 1e-9, step).round(2).tolist()
    )
    sound = ""
    if shown.sound is not None:
        sound = (
            f'<audio controls preload="none" src="{shown.sound}" aria-label="{text(name)}"></audio>'
        )
    cut = "" if shown.whole else f'<p class="aside">The first {SECONDS:g} s of it.</p>'
    return (
        f'<div class="spectrogram"><div class="hertz" aria-hidden="true">{marks}</div>'
        f'<img src="{shown.picture}" alt="Log-mel spectrogram of {text(name)}, '
        f'{shown.seconds:g} s"><div class="seconds" aria-hidden="true">{times}</div></div>'
        f"{sound}{cut}"
    )


def _hertz(frequency: int) -> str:
    return f"{frequency / 1000:g} kHz" if frequency >= 1000 else f"{frequency} Hz"
