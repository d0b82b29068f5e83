"""Tables of results as text for a terminal and as Markdown."""

import math
import re
from collections.abc import Sequence


def text_table(rows: Sequence[Sequence], most: int | None = None) -> str:
    """Returns aligned columns, numbers to the right.

    Args:
        rows: of cells, the heading first; fractions get four decimals, NaN is "undefined", None
            an empty cell.
        most: rows shown below the heading, followed by how many are left out; None for all.
    """
    cells = [[_text(value) for value in row] for row in rows]
    shown = cells if most is None else cells[: most + 1]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(
            text.rjust(width) if _is_number(text) else text.ljust(width)
            for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in shown
    ]
    if len(shown) < len(cells):
        lines.append(f"... and {len(cells) - len(shown)} more, in the CSV")
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence]) -> str:
    """Returns a Markdown table, the heading first, whose columns are aligned in a terminal too."""
    cells = [[_text(value).replace("|", "\\|") for value in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) else "undefined"
    return str(value)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d,.]+(e[-+]?\d+)?", text))
