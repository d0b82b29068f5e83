"""Files: written whole or not at all, locks, CSV and JSON, checks of output paths."""

import contextlib
import csv
import itertools
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tfrecords.text import one_line

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None


class TFRecordsError(ValueError):
    """A wrong argument, a malformed input file or a damaged packed directory, in one line."""


@contextlib.contextmanager
def atomic(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Opens a temporary file ("w": text in UTF-8), synced and renamed to ``path`` on success. After
    an exception nothing is left, and an older file of that name stays as it was.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    with atomic_path(path) as temporary, temporary.open(mode, **text) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path, for a library that writes by name, renamed to ``path`` after the block. It
    keeps the suffixes, which tell the format; a folder replaces a folder of that name.
    """
    path = Path(path)
    endings = "".join(path.suffixes)  # Keras asks for both of .weights.h5
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{endings}")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            _remove(path)
        temporary.replace(path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_atomic(path: str | Path, content: bytes | memoryview | str) -> None:
    with atomic(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def lock(path: str | Path, busy: str) -> Iterator[IO[bytes]]:
    """Locks a file, which is made with its folder, and opens it to append to. The system releases
    the lock when every process that has this open file has ended, so a child process that
    inherits it holds the lock too. ValueError, with the text ``busy``, if another process holds it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(busy) from None
        yield file


def read_json(path: str | Path) -> Any:
    """Reads a JSON file; ValueError, in one line, if it cannot be read or is damaged."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {one_line(error)}") from error


def write_json(path: str | Path, content: Any) -> None:
    write_atomic(path, to_json(content, indent=2) + "\n")


def to_json(content: Any, **options) -> str:
    return json.dumps(finite(content), allow_nan=False, **options)


def finite(value: Any) -> Any:
    """A value for JSON: NumPy's numbers as Python's, NaN and infinity, which it lacks, as None."""
    if isinstance(value, Mapping):
        return {str(name): finite(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):  # NumPy's, which takes long to import for a command's help
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Table:
    """A text table, read row by row: (file and line, for messages; cells by column, stripped).
    Tabs, commas or semicolons stand between columns. The header may be a comment that begins with
    the column ``commented``; other lines with ``#`` are comments then.
    """

    def __init__(self, path: str | Path, required: Iterable[str] = (), commented: str = ""):
        self.path, self._commented = Path(path), commented
        _, header = next(self._lines(), (0, []))
        self.columns = tuple(header)
        if missing := [name for name in required if name not in header]:
            raise TFRecordsError(f"{self.path} has no column {' and no '.join(missing)}")
        for name in filter(None, header):
            if header.count(name) > 1:
                raise TFRecordsError(f"{self.path} has two columns {name!r}; rename or remove one")

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        columns = self.columns
        for number, cells in itertools.islice(self._lines(), 1, None):
            where = f"{self.path}, line {number}"
            if len(cells) < len(columns) or any(cells[len(columns) :]):
                raise TFRecordsError(
                    f"{where} has {len(cells)} cells, expected {len(columns)}; text with commas "
                    "needs quotation marks around it"
                )
            if any("\n" in cell for cell in cells):
                raise TFRecordsError(f"{where}: a cell runs over lines; is a quote missing?")
            yield where, dict(zip(columns, cells, strict=False))

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Numbers and cells of the lines that are no comments, the header first."""
        header, mark = None, self._commented
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                text = (line for line in file if line.strip() and not (mark and line[0] == "#"))
                first = next(text, "")
                delimiter = next((one for one in "\t,;" if one in first), ",")
                file.seek(0)
                reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
                for cells in reader:
                    cells = [cell.strip() for cell in cells]
                    if not any(cells):
                        continue
                    # After a header that is no comment, a cell such as "#1.wav" is none either.
                    if mark and cells[0].startswith("#") and (header is None or header[0] == mark):
                        cells[0] = cells[0].lstrip("# ")
                        if header or cells[0] != mark:
                            continue
                    header = header or cells
                    yield reader.line_num, cells
        except OSError as error:
            raise TFRecordsError(f"{self.path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise TFRecordsError(f"{self.path} is no text in UTF-8: {error.reason}") from error
        except csv.Error as error:
            line = f"{self.path}, line {reader.line_num}"
            raise TFRecordsError(f"{line}: {error}; is a quote missing?") from error


def read_csv(path: str | Path, required: Iterable[str] = ()) -> list[dict[str, str]]:
    return [row for _, row in Table(path, required)]


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping | Sequence]) -> None:
    """Rows are mappings or sequences; numbers read back the same, None and NaN are empty."""
    with atomic(path, "w") as file:
        write_csv_rows(file, columns, rows)


def write_csv_rows(
    file: IO[str], columns: Sequence[str], rows: Iterable[Mapping | Sequence]
) -> None:
    """As ``write_csv``, to an open text file, such as the standard output."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns] if isinstance(row, Mapping) else row
        writer.writerow([None if cell != cell else cell for cell in cells])  # NaN is not itself


def check_output_folder(path: str | Path, flag: str = "--output") -> None:
    """Raises a ValueError, before work is done, if results cannot be written to a folder."""
    folder = Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{flag} {path}: {folder} is a file; give a folder")
    _try_to_write(folder, f"{flag} {path}")


def check_output_file(
    path: str | Path, flag: str = "--output", force: bool = False, suffixes: Sequence[str] = ()
) -> None:
    """As ``check_output_folder``, for a file, which may exist with ``force`` only."""
    path = Path(path)
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"{flag} must end in {', '.join(suffixes)}; received {path}")
    if path.is_dir():
        raise ValueError(f"{flag} {path} is a folder; name a file")
    if path.exists() and not force:
        raise ValueError(f"{flag} {path} exists; remove it, or add --force to replace it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{flag} {path}: the folder {path.parent} does not exist; create it first")
    _try_to_write(folder, f"{flag} {path}")


def _try_to_write(folder: Path, what: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{what}: nothing can be written to {folder}: {error.strerror}") from None
