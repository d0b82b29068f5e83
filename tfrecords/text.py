"""Text for people: tables, hints at mistyped names, long lists cut short, errors in one line."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence


def text_table(rows: Sequence[Sequence], most: int | None = None) -> str:
    """Aligned columns, the heading first, numbers to the right; at most ``most`` rows below it."""
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
    """A Markdown table of cells as ``text_table`` has them, aligned in a terminal too."""
    cells = [[_text(value).replace("|", "\\|") for value in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) else "undefined"
    return str(value)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d,.]+(e[-+]?\d+)?", text))


def plain(name: str) -> str:
    """What a name is compared by: small letters and digits alone."""
    return re.sub(r"[\W_]+", "", name.casefold())


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint for a name that is not one of ``names``: the nearest of them, else the first."""
    names = list(names)
    by_plain = {plain(one): one for one in reversed(names)}
    near = difflib.get_close_matches(plain(name), by_plain)
    if near:
        return f"did you mean {' or '.join(by_plain[match] for match in near)}?"
    return f"expected one of {some(names, 10)}"


def some(values: Iterable, most: int = 5, separator: str = ", ") -> str:
    """The first of some values, and how many more there are; bytes are names in UTF-8."""
    texts = [
        value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for value in values
    ]
    more = len(texts) - most
    return separator.join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def one_line(error: object) -> str:
    """An error's message, or its type where it has none, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
