"""Where results go: to the screen as they come, or through a spool into a file."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from panns_tf.inference.commands.spool import Spool
from panns_tf.inference.results import as_csv

#: Files that hold a table of results.
TABLES = (".csv", ".json", ".jsonl")


class Sink:
    """Takes results one by one; tells errors and notes, shows progress, writes at the end.

    Args:
        output: a file, for a `Spool`; or None for the screen.
        settings: of the spool.
        force: of the spool.
        form: on the screen: ``"text"``, ``"json"`` or ``"csv"``.
        columns: of a table.
        rows_of: the rows of a table that an object stands for.
    """

    def __init__(
        self,
        output: Path | None,
        settings: dict,
        force: bool,
        form: str,
        columns: Sequence[str] = (),
        rows_of: Callable[[dict], list[dict]] | None = None,
    ):
        self._output, self._form = output, form
        self._columns, self._rows_of = columns, rows_of
        self.spool = None if output is None else Spool(output, settings, force)
        if output is None and form == "csv":
            print(as_csv([], columns), end="")

    def not_done(self, sources: Iterable) -> Iterator:
        """Yields the sources that are not in the spool yet."""
        from panns_tf.inference.recordings import named

        for source in sources:
            if self.spool is None or named(source) not in self.spool.done:
                yield source

    def take_all(self, found: Iterable, result: Callable) -> int:
        """Takes what became of recordings.

        Args:
            found: of `hear_each` or `detect_each`.
            result: makes of one without an error an object as JSON takes it, what to print of
                it as text, and the vectors that go with it or None.

        Returns:
            The exit status: 1 if a recording could not be read, now or before, else 0.
        """
        failed = 0
        bar = tqdm(
            found,
            unit="file",
            initial=len(self.spool.done) if self.spool else 0,
            disable=self.spool is None or not sys.stderr.isatty(),
            leave=False,
        )
        for heard in bar:
            for note in heard.notes:
                _tell(f"note: {note}")
            if heard.error is None:
                self._take(*result(heard))
                continue
            failed += 1
            _tell(f"error: {heard.error}")
            error = {"file": heard.name, "error": str(heard.error)}
            if self.spool is not None:
                self.spool.add(error)
            elif self._form == "json":
                print(json.dumps(error, ensure_ascii=False), flush=True)
        if self.spool is not None:
            failed = sum("error" in row for row in self.spool.rows())
            for path in self._write():
                _tell(f"Written: {path}")
            self.spool.remove()
        if failed:
            _tell(f"{failed} could not be read")
        return 1 if failed else 0

    def _take(self, row: dict, text: str, vectors: np.ndarray | None = None) -> None:
        if self.spool is not None:
            self.spool.add(row, vectors)
        elif self._form == "json":
            print(json.dumps(row, ensure_ascii=False), flush=True)
        elif self._form == "csv":
            print(as_csv(self._rows_of(row), self._columns, header=False), end="", flush=True)
        else:
            print(text, flush=True)

    def _write(self) -> list[Path]:
        partial = self._output.with_name(f"partial-{self._output.name}")
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(self._lines())
        partial.replace(self._output)
        return [self._output]

    def _lines(self) -> Iterator[str]:
        """The text of a file: a table without the recordings that have an error, or objects."""
        rows = self.spool.rows()
        if self._output.suffix == ".csv":
            yield as_csv([], self._columns)
            for row in rows:
                if "error" not in row:
                    yield as_csv(self._rows_of(row), self._columns, header=False)
        elif self._output.suffix == ".jsonl":
            yield from (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            yield "["
            for number, row in enumerate(rows):
                yield ("," if number else "") + "\n" + json.dumps(row, ensure_ascii=False)
            yield "\n]\n"


class VectorSink(Sink):
    """A sink whose file holds vectors.

    Args:
        output, settings, force: as for `Sink`; on the screen objects are printed.
        width: of a vector.
    """

    def __init__(self, output: Path | None, settings: dict, force: bool, width: int):
        super().__init__(output, settings, force, "json")
        self._width = width

    def _write(self) -> list[Path]:
        from panns_tf.inference.commands.vectors import write_vectors

        return write_vectors(self._output, self.spool, self._width)


def _tell(text: str) -> None:
    tqdm.write(" ".join(text.split()), file=sys.stderr)
