"""A figure with the numbers behind it, and the files it becomes."""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from panns_tf.plots.style import DARK, LIGHT, Theme, styled

DPI = 200


@dataclasses.dataclass(frozen=True)
class Chart:
    """What is drawn, and how.

    Attributes:
        name: of the files, without ending.
        rows: the numbers drawn, each row with the same keys; None where there is no number.
        draw: makes the figure in a theme.
        table: the same in short, to be printed; its first row is the heading.
        notes: what a reader must know, one line each.
    """

    name: str
    rows: list[dict]
    draw: Callable[[Theme], object]
    table: list[Sequence] = dataclasses.field(default_factory=list)
    notes: tuple[str, ...] = ()

    def figure(self, theme: Theme = LIGHT):
        """Returns the ``matplotlib.figure.Figure``; no window is opened and no file written."""
        with styled(theme):
            return self.draw(theme)

    def save(self, folder: str | Path) -> list[Path]:
        """Writes ``name.png``, ``name-dark.png``, ``name.svg`` and ``name.csv``; returns them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{self.name}{end}" for end in (".png", "-dark.png", ".svg", ".csv")]
        for theme, path in ((LIGHT, paths[0]), (DARK, paths[1])):
            with styled(theme):
                figure = self.draw(theme)
                figure.savefig(path, dpi=DPI, metadata={"Software": None})
                if theme is LIGHT:
                    paths[2].write_text(_svg(figure), encoding="utf-8")
        paths[3].write_text(as_csv(self.rows), encoding="utf-8", newline="")
        return paths


def _svg(figure) -> str:
    """The figure as SVG, text as text, that turns dark where the reader's system is.

    Programs that know no media queries, such as those that make PDF of it, see the light one.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    rules = "".join(
        f'  [style*="{key}: {light}"] {{ {key}: {dark} }}\n'.replace(" }", " !important }")
        for light, dark in zip(LIGHT.colours, DARK.colours, strict=True)
        for key in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark) {{\n{rules}}}</style>\n"
    text = re.sub(r"[ \t]+$", "", file.getvalue(), flags=re.MULTILINE)
    return re.sub(r"(<svg [^>]*>\n)", lambda match: match[1] + style, text, count=1)


def as_csv(rows: Sequence[dict]) -> str:
    """Rows as CSV with a heading; what is unknown or undefined is an empty cell."""
    file = io.StringIO()
    if rows:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)
    return file.getvalue()


def cell(value) -> str:
    """A value in a table: numbers to seven digits; empty for None and what is not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def as_text(table: Sequence[Sequence], most: int = 40) -> str:
    """A table in aligned columns; of a long one the first rows, and how many follow."""
    cells = [[cell(v) if not isinstance(v, float) else _short(v) for v in row] for row in table]
    left_out = len(cells) - 1 - most
    cells = cells[: most + 1]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            text.rjust(width) if _is_number(text) else text.ljust(width)
            for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]
    if left_out > 0:
        lines.append(f"... and {left_out} more, in the CSV")
    return "\n".join(lines)


def _short(value: float) -> str:
    return "undefined" if not math.isfinite(value) else f"{value:.4f}"


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d,.]+(e[-+]?\d+)?", text))
