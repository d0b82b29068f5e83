"""A report in one HTML file: sections of tiles, tables, charts and clips.

Evaluation, comparison and transfer learning give plain values; one template makes the page. It
loads nothing from elsewhere, follows the reader's light or dark theme and prints.
"""

import base64
import dataclasses
import functools
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import jinja2
import markupsafe
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from panns_tf.style import DARK, LIGHT, styled
from tfrecords.shards import write_atomic

#: What undefined values are shown as.
NONE = "–"


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph of explanation."""

    template: ClassVar[str] = "text"
    text: str


@dataclasses.dataclass(frozen=True)
class Tile:
    """One number, large.

    Attributes:
        name: of the number.
        value: None or NaN where it is undefined.
        interval: low and high, or None.
        meaning: of the number, in a sentence or two.
        digits: after the point.
        bar: whether it is a share of 1, drawn as a bar.
        key: its name in files.
    """

    name: str
    value: float | None
    interval: Sequence[float] | None = None
    meaning: str = ""
    digits: int = 3
    bar: bool = True
    key: str = ""

    @property
    def scale(self) -> dict:
        """Its bar, as a cell of a table."""
        return _cell(Column("", "bar"), (self.value, *(self.interval or (None, None))))


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Numbers side by side, with a paragraph about all of them."""

    template: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]
    note: str = ""


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
class Detail:
    """What a row of a table opens to: a text, and curves (points, 2) in the unit square."""

    text: str
    curves: Sequence[np.ndarray] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        columns, rows: a cell for each column in each row.
        caption: above the table.
        sortable: whether a press on a heading sorts.
        search: whether a box filters by the first column.
        least: name of a count column that a box filters by its minimum.
        choose: name of a text column that a selection filters by.
        only: a check box: its text, and of each row whether it stays.
        details: of each row, opened by a press on its name; their curves have ``frames``.
        frames: names of the two axes of each curve.
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
    details: Sequence[Detail] | None = None
    frames: Sequence[tuple[str, str]] = ()

    def cells(self, row: Sequence) -> list[dict]:
        """A row's cells as the template shows them."""
        return [_cell(column, value) for column, value in zip(self.columns, row, strict=True)]

    def column(self, name: str) -> int:
        """The number of a column."""
        return [column.name for column in self.columns].index(name)

    @property
    def choices(self) -> list[str]:
        """All texts of the column ``choose``."""
        cells = (row[self.column(self.choose)] for row in self.rows)
        return sorted({text for cell in cells for text in (cell if _many(cell) else (cell,))})


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawing of `chart_axes`.

    Attributes:
        title: above it.
        axes: drawn on.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        tooltips: texts of the markers drawn with a ``gid``, by that.
        wide: whether it takes the page's width.
    """

    template: ClassVar[str] = "chart"
    title: str
    axes: Axes
    alt: str = ""
    caption: str = ""
    tooltips: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    wide: bool = False

    @functools.cached_property
    def svg(self) -> markupsafe.Markup:
        """The drawing as an element of the page."""
        return markupsafe.Markup(_svg(self.axes.figure, self.alt or self.title, self.tooltips))


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip to look at and to play.

    Attributes:
        title, subtitle: what is said of it.
        name: of the clip.
        media: picture and sound, or None if it cannot be read.
        labels: it has.
        scores: label, score and whether it has the label.
    """

    title: str
    subtitle: str
    name: str
    media: Any = None
    labels: str = ""
    scores: Sequence[tuple[str, float, bool]] = ()


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
    """A part of the page with a link to it.

    Attributes:
        title: its heading.
        blocks: `Text`, `Tiles`, `Table`, `Chart`, `Clips` or `Settings`.
        grid: whether blocks stand side by side where there is room.
    """

    title: str
    blocks: Sequence
    grid: bool = False

    @property
    def key(self) -> str:
        """Its anchor."""
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
    """Writes a page, whole or not at all.

    A browser may load nothing for it, and run the script of this package alone.

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
    environment.filters |= {"number": number, "signed": signed, "interval": interval, "json": _json}
    environment.tests["known"] = _known
    script = environment.loader.get_source(environment, "page.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
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
        digest=digest,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.encode())


def number(value: float | None, digits: int = 3) -> str:
    """A number for a person; what is undefined is a dash."""
    if not _known(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference for a person."""
    return ("+" if _known(value) and value > 0 else "") + number(value, digits)


def interval(ends: Sequence[float], digits: int = 3, sign: bool = False) -> str:
    """Two ends for a person."""
    return " to ".join((signed if sign else number)(end, digits) for end in ends)


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _many(value) -> bool:
    return isinstance(value, list | tuple)


def _cell(column: Column, value) -> dict:
    if column.kind == "text":
        texts = value if _many(value) else (value,)
        shown = "; ".join(map(str, texts)) or NONE
        return {"text": shown, "sort": "\n".join(str(text).casefold() for text in texts)}
    value, low, high = value if _many(value) else (value, None, None)
    known = _known(value)
    sort = "" if not known else repr(float(value)) if math.isfinite(value) else f"{value:+}e300"
    whisker = known and _known(low) and _known(high)
    show = signed if column.kind in ("signed", "difference") else number
    digits = 0 if column.kind == "count" else column.digits
    between = interval((low, high), digits, show is signed) if whisker else ""
    found = {"text": show(value, digits), "sort": sort, "between": between}
    if column.kind in ("bar", "difference"):
        # Percent of the scale's width.
        ends = (value, low, high) if whisker else (value,)
        start, span = (0, 1) if column.kind == "bar" else (-column.reach, 2 * column.reach)
        found["at"] = [100 * min(max((end - start) / span, 0), 1) for end in ends] if known else []
        found["kind"] = ""
        if whisker and column.kind == "difference":
            found["kind"] = "better" if low > 0 else "worse" if high < 0 else ""
    return found


def _json(table: Table) -> markupsafe.Markup:
    """The details of a table for the page's script: texts, and curves in thousandths."""
    rows = [
        {
            "text": detail.text,
            "curves": [
                np.rint(1000 * np.asarray(curve)).astype(int).ravel().tolist()
                for curve in detail.curves
            ],
        }
        for detail in table.details
    ]
    content = json.dumps(rows, separators=(",", ":"))
    for sign in "<>&":  # nothing may end the element that holds it
        content = content.replace(sign, f"\\u{ord(sign):04x}")
    return markupsafe.Markup(content)


def chart_axes(width: float = 4.2, height: float = 3.2) -> Axes:
    """Returns axes in the page's style, for a `Chart`.

    What is drawn on them in colours of `panns_tf.style.LIGHT` follows the reader's theme.

    Args:
        width, height: in inches; the page scales the drawing to its column.
    """
    with styled(LIGHT):
        return Figure(figsize=(width, height), layout="constrained").add_subplot()


def _svg(figure: Figure, alt: str, tooltips: Mapping[str, Sequence[str]]) -> str:
    buffer = io.StringIO()
    with styled(LIGHT):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for part in root.iter():  # HTML knows the elements of SVG without their namespace
        part.tag = part.tag.rpartition("}")[2]
        part.attrib = {name.rpartition("}")[2]: value for name, value in part.attrib.items()}
    for unwanted in [*root.findall("metadata"), *root.findall("defs")]:
        root.remove(unwanted)
    for group in root.iter("g"):
        markers = group.iter("use")
        for marker, tooltip in zip(markers, tooltips.get(group.get("id"), ()), strict=False):
            ElementTree.SubElement(marker, "title").text = tooltip
        group.attrib.pop("id", None)  # matplotlib's are the same in every drawing
    root.attrib = {
        "viewBox": root.get("viewBox"),
        "class": "chart",
        "role": "img",
        "aria-label": alt,
        "style": f"max-width: {figure.get_figwidth() * 8:g}rem",
    }
    return ElementTree.tostring(root, encoding="unicode")
