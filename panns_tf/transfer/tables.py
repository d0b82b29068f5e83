"""Tables in text files, whose columns are found by their names."""

import csv
import dataclasses
import io
from pathlib import Path

from panns_tf.transfer.tasks import plain


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        path: of its file.
        columns: names in the header, in order.
        rows: cells by column, without the spaces around them.
        lines: of the file in which the rows end, counted from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]

    def find(self, *names: str) -> str | None:
        """Returns the first column of one of these names, in any case, or None."""
        known = {plain(column): column for column in reversed(self.columns)}
        return next((known[plain(name)] for name in names if plain(name) in known), None)

    def column(self, *names: str) -> str:
        """Returns the first column of one of these names, in any case.

        Raises:
            ValueError: if there is none.
        """
        found = self.find(*names)
        if found is None:
            raise ValueError(
                f"{self.path} has no column {' or '.join(names)}; its columns are "
                f"{', '.join(self.columns)}"
            )
        return found

    def place(self, number: int) -> str:
        """Where a row stands, for error messages."""
        return f"{self.path.name}, line {self.lines[number]}"


def read_table(path: Path) -> Table:
    """Reads a table separated by tabs, commas or semicolons, whichever its header has.

    Raises:
        ValueError: if it cannot be read, is empty or names a column twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    header = text.lstrip().partition("\n")[0]
    delimiter = next((mark for mark in "\t,;" if mark in header), ",")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    rows, lines = [], []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append([cell.strip() for cell in cells])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if len(rows) < 2:
        raise ValueError(f"{path} holds no rows; expected a header and a row for each clip")
    columns = rows[0]
    named = [column for column in columns if column]
    twice = next((column for column in named if named.count(column) > 1), None)
    if twice is not None:
        raise ValueError(f"{path} has two columns {twice!r}; rename or remove one of them")
    cells = [row + [""] * (len(columns) - len(row)) for row in rows[1:]]
    return Table(
        path,
        tuple(columns),
        tuple(dict(zip(columns, row, strict=False)) for row in cells),
        tuple(lines[1:]),
    )
