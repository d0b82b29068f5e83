"""Where results go: to the screen as they come, or through a spool into a file."""

import json
import os
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
        self._keys: dict[int, str] = {}  # of what is under way
        if output is None and form == "csv":
            print(as_csv([], columns), end="")

    def not_done(self, sources: Iterable) -> Iterator:
        """Yields the sources of which the spool does not have the results yet.

        Raises:
            ValueError: if a source is the output.
        """
        for number, source in enumerate(sources):
            if self.spool is None:
                yield source
                continue
            if isinstance(source, Path) and _same(source, self._output):
                raise ValueError(f"--output {self._output} is one of the recordings; name another")
            key = _key(source, number)
            self.spool.want(key)
            if key not in self.spool:
                self._keys[id(source)] = key
                yield source

    def take_all(self, found: Iterable, result: Callable) -> int:
        """Takes what became of recordings.

        Args:
            found: of `hear_each` or `detect_each`.
            result: makes of one without an error an object as JSON takes it, what to print of
                it as text, and the vectors that go with it or None.

        Returns:
            The exit status: 1 if a recording could not be read, else 0.
        """
        try:
            failed = self._take_each(found, result)
            for path in self._write() if self.spool is not None else ():
                _tell(f"Written: {path}")
        except KeyboardInterrupt:
            again = () if self.spool is None else ("the same command",)
            raise KeyboardInterrupt(*again) from None
        except OSError as error:
            if self.spool is None or isinstance(error, BrokenPipeError):
                raise
            raise ValueError(
                f"{error.filename or self.spool.folder}: {error.strerror}; the results so far are "
                f"in {self.spool.folder}, and the same command goes on from there"
            ) from error
        if failed:
            _tell(f"{failed} could not be read")
        return 1 if failed else 0

    def _take_each(self, found: Iterable, result: Callable) -> int:
        failed = 0
        bar = tqdm(
            found,
            unit="file",
            initial=len(self.spool) if self.spool is not None else 0,
            disable=self.spool is None or not sys.stderr.isatty(),
            leave=False,
        )
        for heard in bar:
            for note in heard.notes:
                _tell(f"note: {note}")
            if heard.error is None:
                self._take(heard, *result(heard))
                continue
            failed += 1
            _tell(f"error: {heard.error}")
            error = {"file": heard.file, "error": str(heard.error)}
            if self.spool is not None:
                self._keep(heard, error)
            elif self._form == "json":
                print(json.dumps(error, ensure_ascii=False), flush=True)
        return failed

    def _take(self, heard, row: dict, text: str, vectors: np.ndarray | None = None) -> None:
        if self.spool is not None:
            self._keep(heard, row, vectors)
        elif self._form == "json":
            print(json.dumps(row, ensure_ascii=False), flush=True)
        elif self._form == "csv":
            print(as_csv(self._rows_of(row), self._columns, header=False), end="", flush=True)
        else:
            print(text, flush=True)

    def _keep(self, heard, row: dict, vectors: np.ndarray | None = None) -> None:
        self.spool.add(self._keys.pop(id(heard.source)), row, vectors)

    def _write(self) -> list[Path]:
        made = self.spool.folder / self._output.name
        with made.open("w", encoding="utf-8", newline="") as file:
            file.writelines(self._lines())
        self.spool.place({made: self._output})
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

        files = write_vectors(self._output, self.spool, self._width)
        self.spool.place(files)
        return list(files.values())


def _key(source, number: int) -> str:
    """A recording as it is now; one that has no path is never the same again."""
    if not isinstance(source, str | os.PathLike):
        return f"{number} {os.getpid()} {os.urandom(8).hex()}"
    path = os.fspath(source)
    try:
        status = Path(path).stat()
        state = [status.st_size, status.st_mtime_ns]
    except OSError:
        state = []
    return json.dumps([path, *state])  # surrogates of names that are no UTF-8 are escaped


def _same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:
        return False


def _tell(text: str) -> None:
    tqdm.write(" ".join(text.split()), file=sys.stderr)
