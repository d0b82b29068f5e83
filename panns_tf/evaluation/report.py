"""A report in one HTML file: sections of tiles, tables, charts and clips.

Evaluation, comparison and transfer learning give plain values; one template makes the page. It
loads nothing from elsewhere, follows the reader's light or dark theme and prints.
"""

import base64
import dataclasses
import hashlib
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import jinja2
import markupsafe
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from panns_tf.style import DARK, LIGHT, styled
from tfrecords.files import write_atomic

#: What undefined values are shown as.
NONE = "–"


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph of explanation."""

    template: ClassVar[str] = "text"
    text: str


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        kind: ``"text"`` (a text, or a tuple of them), ``"number"``, ``"signed"``, ``"count"``,
            ``"bar"`` from 0 to 1, or ``"difference"`` from -reach to +reach. A cell of numbers is
            a value, or value, low and high; None and NaN are undefined.
        hint: what it means, shown under the pointer.
        digits: after the point.
        reach: the end of the scale of differences.
    """

    name: str
    kind: str = "text"
    hint: str = ""
    digits: int = 3
    reach: float = 1.0


@dataclasses.dataclass(frozen=True)
class Cell:
    """Texts, the script's key to sort by, and a bar in percent of its width."""

    text: str
    sort: str
    interval: str = ""
    at: Sequence[float] = ()
    kind: str = ""


def _cell(column: Column, value) -> Cell:
    parts = value if isinstance(value, list | tuple) else (value,)
    if column.kind == "text":
        return Cell("; ".join(map(str, parts)) or NONE, "\n".join(map(str, parts)).casefold())
    value, *ends = parts
    if value is None or math.isnan(value):
        return Cell(NONE, "")
    ends = [end for end in ends if end is not None and not math.isnan(end)]
    digits = 0 if column.kind == "count" else column.digits
    low, span = (-column.reach, 2 * column.reach) if column.kind == "difference" else (0, 1)
    at = [100 * min(max((end - low) / span, 0), 1) for end in (value, *ends)]
    kind = ("better" if ends[0] > 0 else "worse" if ends[1] < 0 else "") if ends else ""
    show = signed if column.kind in ("signed", "difference") else number
    interval = " to ".join(show(end, digits) for end in ends)
    # The page's script knows no infinity.
    return Cell(show(value, digits), f"{np.clip(value, -1e300, 1e300)}", interval, at, kind)


@dataclasses.dataclass(frozen=True)
class Tile:
    """One number, large: its interval, meaning, whether a bar shows it, and its name in files."""

    name: str
    value: float | None = None
    interval: Sequence[float] = ()
    meaning: str = ""
    digits: int = 3
    bar: bool = True
    key: str = ""

    @property
    def cell(self) -> Cell:
        return _cell(Column("", "bar", digits=self.digits), (self.value, *self.interval))


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Numbers side by side, with a paragraph about all of them."""

    template: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        columns, rows: a cell for each column in each row.
        caption: above the table.
        sortable: whether a press on a heading sorts.
        search: whether a box filters by the first column.
        least, choose: name of a count column with a box for its minimum, and of a text column
            whose tuples are chosen from.
        only: a check box: its text, and of each row whether it stays.
        details: what a press on a row's name opens: a text, and curves (points, 2) in unit
            squares whose axes ``frames`` name.
    """

    template: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence]
    caption: str = ""
    sortable: bool = False
    search: bool = False
    least: str | None = None
    choose: str | None = None
    only: tuple[str, Sequence[bool]] | None = None
    details: Sequence[tuple[str, Sequence[np.ndarray]]] | None = None
    frames: Sequence[tuple[str, str]] = ()

    def cells(self, row: Sequence) -> list[Cell]:
        return [_cell(column, value) for column, value in zip(self.columns, row, strict=True)]

    def column(self, name: str) -> int:
        return [column.name for column in self.columns].index(name)

    @property
    def choices(self) -> list[str]:
        return sorted({text for row in self.rows for text in row[self.column(self.choose)]})

    @property
    def opened(self) -> list[dict]:
        """The details for the page's script, curves in thousandths."""
        return [
            {"text": text, "curves": [np.rint(1000 * curve).ravel().tolist() for curve in curves]}
            for text, curves in self.details
        ]


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawing.

    Attributes:
        title: above it.
        draw: draws on matplotlib's axes, in the page's style; what it draws in colours of
            `panns_tf.style.LIGHT` follows the reader's theme.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        tooltips: texts of the markers drawn with a ``gid``, by that.
        size: width and height in inches; the page scales the drawing to its column.
    """

    template: ClassVar[str] = "chart"
    title: str
    draw: Callable[[Axes], Any]
    alt: str = ""
    caption: str = ""
    tooltips: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    size: tuple[float, float] = (4.2, 3.2)

    @property
    def svg(self) -> markupsafe.Markup:
        figure, buffer = Figure(figsize=self.size, layout="constrained"), io.StringIO()
        with styled(LIGHT):
            self.draw(figure.add_subplot())
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        root = ElementTree.fromstring(buffer.getvalue())
        for part in root.iter():  # HTML knows the elements of SVG without their namespace
            part.tag = part.tag.rpartition("}")[2]
            part.attrib = {name.rpartition("}")[2]: value for name, value in part.attrib.items()}
        for unwanted in [*root.findall("metadata"), *root.findall("defs")]:
            root.remove(unwanted)
        for group in root.iter("g"):
            texts = self.tooltips.get(group.get("id"), ())
            for marker, text in zip(group.iter("use"), texts, strict=False):
                ElementTree.SubElement(marker, "title").text = text
            group.attrib.pop("id", None)  # matplotlib's are the same in every drawing
        root.attrib = {
            "viewBox": root.get("viewBox"),
            "class": "chart",
            "role": "img",
            "aria-label": self.alt or self.title,
            "style": f"max-width: {8 * self.size[0]:g}rem",
        }
        return markupsafe.Markup(ElementTree.tostring(root, encoding="unicode"))


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip with its labels, scores (label, score, whether right), picture and audio data URI."""

    title: str
    subtitle: str
    name: str
    labels: str
    scores: Sequence[tuple[str, float, bool]]
    picture: Chart | None = None
    audio: str | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips side by side; ``empty`` is shown where there are none."""

    template: ClassVar[str] = "clips"
    clips: Sequence[Clip]
    title: str = ""
    note: str = ""
    empty: str = ""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Names and values."""

    template: ClassVar[str] = "settings"
    rows: Sequence[tuple[str, Any]]


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page with a link to it; with ``grid`` its blocks stand side by side."""

    title: str
    blocks: Sequence[Text | Tiles | Table | Chart | Clips | Settings]
    grid: bool = False

    @property
    def key(self) -> str:
        return re.sub(r"\W+", "-", self.title.lower())


def render(
    path: str | Path,
    title: str,
    sections: Sequence[Section],
    *,
    kind: str = "Evaluation",
    lead: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Writes a page, whole or not at all; a browser loads nothing for it.

    Args:
        path: of the file; its folder is made.
        title: plain text, as all texts.
        sections: those without blocks are left out.
        kind: of report, above the title.
        lead: a sentence below the title.
        notes: what a reader must know first.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("panns_tf.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = number
    script = environment.loader.get_source(environment, "page.js")[0]
    content = environment.get_template("page.html").render(
        title=title,
        sections=[section for section in sections if section.blocks],
        kind=kind,
        lead=lead,
        notes=[note[:1].upper() + note[1:].rstrip(".") + "." for note in notes],
        zip=zip,
        light=LIGHT,
        dark=DARK,
        script=markupsafe.Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)


def number(value: float | None, digits: int = 3) -> str:
    """A number for a person; what is undefined is a dash."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference for a person."""
    return ("+" if value is not None and value > 0 else "") + number(value, digits)
