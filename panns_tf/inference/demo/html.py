"""What the page shows, as HTML; its colours are those of Gradio's theme, light or dark."""

import base64
import html
from collections.abc import Sequence

from panns_tf.inference.demo.listening import Heard
from panns_tf.inference.results import Event, Tag

#: Rows of the table of events.
MOST_EVENTS = 200

#: With the name of its place, which outdoes the borders that Gradio gives to tables.
STYLE = """
.gradio-container {
  width: 100% !important; max-width: 68rem !important; margin: 0 auto !important;
}
.heading h1 { font-size: 1.6rem; font-weight: 600; margin: .6rem 0 .2rem; }
.heading p, #shown .aside { margin: 0; opacity: .75; }
#shown .heard {
  display: grid; gap: 1.8rem 3rem; margin-top: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
}
#shown .heard > * { min-width: 0; margin: 0; }
#shown .whole { grid-column: 1 / -1; }
#shown h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .6rem; overflow-wrap: anywhere; }
#shown .picture { overflow-x: auto; }
#shown .picture img { width: 100%; min-width: 36rem; height: auto; margin: 0; border-radius: 6px; }
#shown img.dark-only { display: none; }
.dark #shown img.light-only { display: none; }
.dark #shown img.dark-only { display: block; }
#shown table { width: 100%; margin: 0; border-collapse: collapse; }
#shown td { font-variant-numeric: tabular-nums; }
#shown :is(table, thead, tbody, tr, td, th) { border: 0 !important; }
#shown tr { box-shadow: inset 0 -1px var(--border-color-primary); }
#shown td, #shown th { padding: .3rem .9rem .3rem 0; text-align: left; font-weight: 400; }
#shown th { position: sticky; top: 0; background: var(--body-background-fill); }
#shown .number { text-align: right; white-space: nowrap; }
#shown .number:last-child { padding-right: .2rem; }
#shown .label { overflow-wrap: anywhere; }
#shown .scroll { max-height: 24rem; overflow-y: auto; }
#shown .bar { width: 45%; }
#shown .bar span, #shown .bar i { display: block; height: .55rem; border-radius: 3px; }
#shown .bar span { background: var(--border-color-primary); }
#shown .bar i { min-width: 2px; background: var(--color-accent); }
#shown .trouble {
  border-left: 4px solid #d9822b; border-radius: 4px; padding: .8rem 1rem;
  background: var(--background-fill-secondary);
}
#shown .trouble p { margin: 0; overflow-wrap: anywhere; }
"""


def heading(network: str, classes: int, max_mb: float, max_seconds: float) -> str:
    """What stands above everything."""
    return (
        '<header class="heading"><h1>What is heard</h1>'
        f"<p>{html.escape(network)}, {classes} classes. Drop a recording or record one: up to "
        f"{max_mb:g} MB and {_length(max_seconds)}.</p></header>"
    )


def heard(found: Heard) -> str:
    """A recording: its picture, its tags and its events."""
    notes = "".join(f'<p class="aside">{html.escape(note)}</p>' for note in found.notes)
    pictures = "".join(
        f'<img class="{kind}-only" alt="Spectrogram, probabilities over time and events of '
        f'{html.escape(found.name)}" src="data:image/png;base64,'
        f'{base64.b64encode(png).decode()}">'
        for kind, png in (("light", found.light), ("dark", found.dark))
    )
    return (
        f'<div class="heard"><section class="whole"><h2>{html.escape(found.name)}, '
        f"{_length(found.seconds)}</h2>{notes}"
        f'<div class="picture">{pictures}</div></section>'
        f"{_tags(found.tags)}{_events(found.events)}</div>"
    )


def trouble(message: str) -> str:
    """Why there is nothing to show."""
    return f'<div class="trouble" role="alert"><p>{html.escape(message)}</p></div>'


def _tags(tags: Sequence[Tag]) -> str:
    rows = "".join(
        f'<tr><td class="label">{html.escape(tag.label)}</td><td class="bar"><span>'
        f'<i style="width: {100 * tag.score:.1f}%"></i></span></td>'
        f'<td class="number">{tag.score:.3f}</td></tr>'
        for tag in tags
    )
    head = '<th>Class</th><th></th><th class="number">Probability</th>'
    return f'<section class="tags"><h2>Tags</h2>{_table(head, rows)}</section>'


def _events(events: Sequence[Event]) -> str:
    shown = events[:MOST_EVENTS]
    rows = "".join(
        f'<tr><td class="number">{event.onset:.2f}</td><td class="number">{event.offset:.2f}</td>'
        f'<td class="label">{html.escape(event.label)}</td>'
        f'<td class="number">{event.score:.3f}</td></tr>'
        for event in shown
    )
    head = (
        '<th class="number">From, s</th><th class="number">To, s</th><th class="label">Class</th>'
        '<th class="number">Score</th>'
    )
    if not events:
        body = '<p class="aside">No class was sure enough for an event.</p>'
    else:
        body = f'<div class="scroll">{_table(head, rows)}</div>'
    if len(events) > len(shown):
        body += f'<p class="aside">The first {len(shown)} of {len(events)}.</p>'
    return f'<section class="events"><h2>Events</h2>{body}</section>'


def _table(head: str, rows: str) -> str:
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min"
