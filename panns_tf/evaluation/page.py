"""A report in one HTML file that loads nothing from elsewhere and follows the reader's theme."""

import base64
import dataclasses
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from panns_tf.inference.plot import Spectrogram, draw_log_mel, reduced
from panns_tf.metrics.bootstrap import NONE, Estimate, number
from panns_tf.style import DARK, LIGHT, styled
from tfrecords.files import write_atomic
from tfrecords.text import text_table

#: A page plays and shows so many seconds of a clip, at most, at so many Hz.
SECONDS, _PLAYED_RATE = 20.0, 16_000
# libsndfile's Vorbis encoder overflows its stack on long blocks.
_VORBIS_BLOCK = 4096


class Column(NamedTuple):
    """A column of a table; numbers may be an `Estimate`, and undefined ones None or NaN."""

    name: str
    #: text, sound, number, count, bar (a number with one from 0 to 1), difference (with its sign)
    kind: str = "text"
    hint: str = ""
    digits: int = 3


class Cell(NamedTuple):
    """Texts, the script's key to sort by, a bar in percent of its width, and the difference."""

    text: str
    sort: str
    interval: str = ""
    at: Sequence[float] = ()
    verdict: str = ""


def cell(kind: str, value: Any, digits: int = 3) -> Cell:
    """What a table or a tile shows of a value of a column's kind."""
    if kind == "text":
        return Cell(str(value) or NONE, str(value).casefold())
    if kind == "sound":
        return Cell("It cannot be read any more." if value is None else value.html, "")
    found = value if isinstance(value, Estimate) else Estimate(np.nan if value is None else value)
    if np.isnan(found.value):
        return Cell(NONE, "")
    signed, digits = kind == "difference", 0 if kind == "count" else digits
    return Cell(
        number(found.value, digits, signed),
        f"{np.clip(float(found.value), -1e300, 1e300)}",  # the page's script knows no infinity
        found.between(digits, signed),
        100 * np.clip([found.value, *found.ends], 0, 1),
        "better" if signed and found.low > 0 else "worse" if signed and found.high < 0 else "",
    )


class Tile(NamedTuple):
    """One number, large: what it means, whether a bar from 0 to 1 shows it, its key in files."""

    name: str
    value: Estimate | float | None
    meaning: str = ""
    digits: int = 3
    bar: bool = True
    key: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, whose first column names the rows."""

    columns: Sequence[Column]
    rows: Sequence[Sequence]
    caption: str = ""
    sortable: bool = False  # by its headings; and a box searches the texts
    least: str | None = None  # the column whose least value a box asks for

    @property
    def cells(self) -> list[list[Cell]]:
        return [
            [cell(c.kind, value, c.digits) for c, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    @property
    def text(self) -> str:
        """The table for a terminal."""
        rows = [[f"{c.text} ({c.interval})".removesuffix(" ()") for c in row] for row in self.cells]
        return text_table([[column.name for column in self.columns], *rows])


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawing; what has colours of `panns_tf.style.LIGHT` follows the reader's theme."""

    title: str
    draw: Callable[[Axes], Any]
    alt: str = ""  # for those who cannot see it
    caption: str = ""
    size: tuple[float, float] = (4.2, 3.2)  # inches, which the page scales to its column

    @property
    def svg(self) -> markupsafe.Markup:
        figure, buffer = Figure(figsize=self.size, layout="constrained"), io.StringIO()
        with styled(LIGHT):
            self.draw(figure.add_subplot())
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        svg = buffer.getvalue()
        return markupsafe.Markup(svg[svg.index("<svg") :])


@dataclasses.dataclass(frozen=True)
class Sound:
    """A clip to look at, and where it is audible to listen to: float32 (samples,) in [-1, 1]."""

    waveform: np.ndarray
    sample_rate: int
    audible: bool = True

    @property
    def html(self) -> markupsafe.Markup:
        shown = self.waveform[: round(SECONDS * self.sample_rate)]
        spectrogram = Spectrogram(self.sample_rate)
        spectrogram.feed(shown)
        decibels, seconds = spectrogram.columns()
        decibels, factor = reduced(decibels, 320)

        def draw(axes: Axes) -> None:
            draw_log_mel(axes, decibels, factor * seconds, spectrogram.frontend)

        svg = Chart("", draw, size=(3.6, 1.7)).svg
        html = markupsafe.Markup('<div class="chart" role="img">{}</div>').format(svg)
        if self.audible:
            audio = markupsafe.Markup('<audio controls preload="none" src="{}"></audio>')
            html += audio.format(_vorbis(shown, self.sample_rate))
        return html + (f"The first {SECONDS:g} s of it." if shown.size < self.waveform.size else "")


def _vorbis(waveform: np.ndarray, sample_rate: int) -> str:
    """Ogg Vorbis at 16 kHz or less, as a data URI."""
    import soundfile
    import soxr

    rate, buffer = min(sample_rate, _PLAYED_RATE), io.BytesIO()
    waveform = soxr.resample(waveform, sample_rate, rate)
    with soundfile.SoundFile(buffer, "w", rate, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(waveform), _VORBIS_BLOCK):
            file.write(np.clip(waveform[start : start + _VORBIS_BLOCK], -1, 1))
    return f"data:audio/ogg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


#: A paragraph of explanation, settings with their values, tiles side by side, and the others.
Block = str | dict | list[Tile] | Table | Chart


class Section(NamedTuple):
    """A part of the page with a link to it; with ``grid`` its blocks stand side by side."""

    title: str
    blocks: Sequence[Block]
    grid: bool = False


def render(
    path: Path,
    title: str,
    sections: Sequence[Section],
    *,
    kind: str = "Evaluation",
    lead: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Writes a page of plain texts and the sections that have blocks, whole or not at all."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("panns_tf.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.globals |= {"cell": cell, "zip": zip, "light": LIGHT, "dark": DARK}
    script = environment.loader.get_source(environment, "page.js")[0]
    content = environment.get_template("page.html").render(
        title=title,
        sections=[section for section in sections if section.blocks],
        kind=kind,
        lead=lead,
        notes=[note[:1].upper() + note[1:].rstrip(".") + "." for note in notes],
        script=markupsafe.Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
