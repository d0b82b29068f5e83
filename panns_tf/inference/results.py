"""Results of recordings: plain values, printed, or kept line by line so that commands go on."""

import base64
import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfrecords.audio import describe
from tfrecords.files import atomic, check_output_file, lock, write_csv, write_csv_rows
from tfrecords.flags import CheckedSettings, setting
from tfrecords.progress import Progress, logger
from tfrecords.text import one_line

#: Suffixes of files of tables, and of vectors.
TABLES, VECTORS = (".csv", ".json", ".jsonl"), (".npy", ".npz", ".parquet")


class Result:
    """Text of a result, from its ``as_dict()`` and ``columns``."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def to_csv(self) -> str:
        """A table with a header."""
        return csv_text(self.columns, table_rows(self.as_dict()))


@dataclasses.dataclass(frozen=True)
class TagSettings(CheckedSettings):
    """Which classes become tags: ``top`` at most, None for all, of at least a probability."""

    top: int | None = setting(10, "tags at most", metavar="N", minimum=1)
    threshold: float = setting(0.0, "lowest score of a tag", metavar="P", minimum=0, maximum=1)


@dataclasses.dataclass(frozen=True)
class Tag:
    """A class by name and number, and its probability."""

    label: str
    score: float
    index: int


@dataclasses.dataclass(frozen=True, eq=False)
class Tagging(Result):
    """The classes of a recording, or of a window of it."""

    source: str
    seconds: float
    tags: tuple[Tag, ...]  # the classes asked for, the most probable first
    scores: np.ndarray  # (classes,) float32, of all classes
    start: float = 0.0  # of the window, in seconds

    columns = ("file", "seconds", "label", "score")

    def as_dict(self) -> dict:
        """For JSON; the scores of classes that were not asked for are left out."""
        window = self.window_dict()
        if not self.start:
            del window["start"]
        return {"file": self.source, **window}

    def window_dict(self) -> dict:
        """As `as_dict`, of a window among those of its recording."""
        tags = [{"label": tag.label, "score": rounded(tag.score)} for tag in self.tags]
        return {"start": rounded(self.start), "seconds": rounded(self.seconds), "tags": tags}


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding(Result):
    """A recording as a vector."""

    source: str
    seconds: float
    vector: np.ndarray  # (width,) float32; or (windows, width) where it was cut into windows
    starts: tuple[float, ...] | None = None  # of the windows, in seconds

    def as_dict(self) -> dict:
        """For JSON."""
        windows = {} if self.starts is None else {"starts": list(self.starts)}
        position = {"file": self.source, "seconds": rounded(self.seconds)}
        return {**position, **windows, "embedding": self.vector.tolist()}

    def to_csv(self) -> str:
        """A table with a row for each window; columns ``file, start, 0, 1, ...``."""
        rows = zip(self.starts or (0.0,), np.atleast_2d(self.vector), strict=True)
        return csv_text(
            ("file", "start", *range(self.vector.shape[-1])),
            [(self.source, rounded(start), *vector.tolist()) for start, vector in rows],
        )


def top_tags(
    scores: np.ndarray, labels: Sequence[str], top: int | None = 10, threshold: float = 0.0
) -> tuple[Tag, ...]:
    """The most probable classes of (classes,), the first first; of equal ones the lower number."""
    order = np.argsort(-scores, kind="stable")[:top].tolist()
    order = [index for index in order if scores[index] >= threshold]
    return tuple(Tag(labels[index], float(scores[index]), index) for index in order)


def file_of(source) -> str:
    """The name of a recording in results: its path, as UTF-8, or what `describe` gives."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source).encode(errors="backslashreplace").decode()
    return describe(source)


def rounded(value: float) -> float:
    return round(float(value), 6)


def table_rows(result: dict) -> list[dict]:
    """The rows of a table for a result as JSON: one for each window's tags, or event."""
    for name in ("windows", "tags", "events", "predicted"):
        if name in result:
            rest = {key: value for key, value in result.items() if key != name}
            nothing = [{}] if name == "predicted" else []
            items = result[name] or nothing
            return [row for item in items for row in table_rows({**rest, **item})]
    return [result]


def csv_text(columns: Sequence, rows: Iterable[Mapping | Sequence]) -> str:
    """A table with a header line as text; entries of other columns are left out."""
    file = io.StringIO()
    write_csv_rows(file, columns, rows)
    return file.getvalue()


@dataclasses.dataclass(frozen=True)
class OutputSettings(CheckedSettings):
    output: Path | None = setting(
        None, "write results to FILE; a killed command goes on when it is repeated", metavar="FILE"
    )
    force: bool = setting(False, "replace an existing FILE, finished or not", shown="")
    workers: int = setting(2, "threads that read recordings", metavar="N", minimum=1, maximum=64)

    def check(self, suffixes: Sequence[str]) -> None:
        """Raises ValueError unless a file can be written, whose name ends in a suffix."""
        if self.output is None:
            return
        check_output_file(self.output, force=self.force, suffixes=suffixes)
        if self.output.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            raise ValueError(f"{self.output}: Parquet needs pyarrow: pip install pyarrow")
        if self.output.suffix == ".npy":
            # A killed command may have written the table alone.
            begun = partial_path(self.output).exists()
            check_output_file(self.output.with_suffix(".csv"), force=self.force or begun)


class Results:
    """Takes the results of recordings, and prints them as ``text``, ``json`` or ``csv``."""

    def __init__(self, form: str = "", columns: Sequence[str] = ()):
        self._form, self._columns, self._failed = form, columns, 0
        if form == "csv":
            print(csv_text(columns, []), end="")

    def missing(self, sources: Iterable) -> Iterator:
        """Yields the sources that have no result yet."""
        yield from sources

    def each(self, sources: Iterable, predict: Callable, **settings) -> Iterator:
        """Yields what ``predict`` gives of sources, to be added; errors and notes are logged."""
        for recording in predict(self.missing(sources), **settings):
            for note in recording.notes:
                logger.warning(f"note: {one_line(note)}")
            if recording.error is None:
                yield recording
                continue
            self._failed += 1
            logger.error(f"error: {one_line(recording.error)}")
            self.add({"file": recording.file, "error": str(recording.error)})

    def add(self, row: dict, text: str = "") -> None:
        """Takes the result of the next recording, for JSON, and its text."""
        if self._form == "json":
            print(json.dumps(row, ensure_ascii=False), flush=True)
        elif self._form == "csv" and "error" not in row:
            _, _, lines = csv_text(self._columns, table_rows(row)).partition("\n")
            print(lines, end="", flush=True)
        elif "error" not in row:
            print(text, flush=True)

    def status(self) -> int:
        """The exit status: 1 if a recording could not be read, else 0."""
        if self._failed:
            logger.error(f"{self._failed} could not be read")
        return 1 if self._failed else 0


class PartialResults(Results):
    """A file of JSON lines beside the output that grows by a line for each recording.

    A line counts once it is complete, so that a process may be killed at any moment. Recordings
    that could not be read are tried again, results of those that are gone are left out.
    """

    def __init__(self, output: Path, settings: Mapping, force: bool = False):
        super().__init__()
        self.path, self._output = partial_path(output), output
        self._offsets: dict[str, int] = {}  # of lines, by recording
        self._wanted: list[str] = []
        header = json.dumps(settings, default=str, sort_keys=True).encode() + b"\n"
        if force or not self.path.exists() or not self._read(header):
            self.path.write_bytes(header)
        self.progress = Progress(unit="file", initial=len(self))

    def __len__(self) -> int:
        return len(self._offsets)

    def _read(self, header: bytes) -> bool:
        """Finds the results that are there; False if there is not even a whole header."""
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if not end and line != header:
                    other = one_line(line.decode(errors="replace"))
                    raise ValueError(
                        f"{self.path} is of an unfinished command with other settings: {other}; "
                        "repeat that one to finish it, move the file away, or add --force"
                    )
                # Recordings with an error may be readable by now.
                if end and "error" not in (row := json.loads(line)):
                    self._offsets[row["file"]] = end
                end += len(line)
        os.truncate(self.path, end)
        return end > 0

    def missing(self, sources: Iterable) -> Iterator:
        """Yields the sources without a result; results come out in the order of ``sources``."""
        output = os.path.realpath(self._output)
        for source in sources:
            is_path = isinstance(source, Path)
            if is_path and os.path.realpath(source) == output:
                raise ValueError(f"--output {source} is one of the recordings; name another file")
            file = file_of(source)
            self._wanted.append(file)
            if file not in self._offsets or not is_path:
                yield source

    def add(self, row: dict, text: str = "") -> None:
        """Keeps the result of one of the missing sources; an ``embedding`` is an array."""
        line = json.dumps(row, default=lambda array: base64.b64encode(array).decode())
        with self.path.open("ab") as file:
            self._offsets[row["file"]] = file.tell()
            file.write(line.encode() + b"\n")
        self.progress.update()

    def rows(self) -> Iterator[dict]:
        """Yields the results in the order of the sources; an ``embedding`` is (values,)."""
        with self.path.open("rb") as file:
            for name in self._wanted:
                file.seek(self._offsets[name])
                row = json.loads(file.readline())
                if "embedding" in row:
                    row["embedding"] = np.frombuffer(base64.b64decode(row["embedding"]), np.float32)
                yield row


@contextlib.contextmanager
def open_results(
    output: OutputSettings,
    form: str,
    settings: Mapping,
    columns: Sequence[str] = (),
    width: int = 0,
) -> Iterator[Results]:
    """What takes results of recordings, and makes their file, if any, at the end; ``settings``
    decide the results, tables have ``columns``, vectors a ``width``.
    """
    path = output.output
    if path is None:
        yield Results(form, columns)
        return
    lock_file = path.with_name(f".{path.name}.lock")
    with lock(lock_file, f"another command is writing {path}; wait for it to end"):
        partial = PartialResults(path, settings, output.force)
        try:
            with partial.progress:
                yield partial
            if path.suffix in VECTORS:
                _write_vectors(path, width, partial.rows())
            elif path.suffix == ".csv":
                good = (row for row in partial.rows() if "error" not in row)
                write_csv(path, columns, (line for row in good for line in table_rows(row)))
            else:
                _write_json(path, partial.rows())
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command") from None
        except OSError as error:
            raise ValueError(
                f"{error.filename or partial.path}: {error.strerror}; the results so far are in "
                f"{partial.path}, and the same command goes on from there"
            ) from error
        partial.path.unlink()
        lock_file.unlink(missing_ok=True)
    logger.info(f"written: {path}")


def partial_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial.jsonl")


def _write_json(path: Path, rows: Iterable[dict]) -> None:
    begin, between, end = ("[\n", ",\n", "\n]\n") if path.suffix == ".json" else ("", "\n", "\n")
    with atomic(path, "w") as file:
        file.write(begin)
        for number, row in enumerate(rows):
            file.write((between if number else "") + json.dumps(row, ensure_ascii=False))
        file.write(end)


def _write_vectors(path: Path, width: int, results: Iterable[dict]) -> None:
    """Writes ``.npy`` with a ``.csv`` beside it, ``.npz`` or ``.parquet``, in little memory."""
    files, starts, seconds = [], [], []
    with tempfile.TemporaryFile(dir=path.parent) as spool, atomic(path) as file:
        for row in results:
            if "error" not in row:
                spool.write(row["embedding"])
                of_windows = row.get("starts", [0.0])
                starts += of_windows
                files += [row["file"]] * len(of_windows)
                seconds += [row["seconds"]] * len(of_windows)
        spool.flush()
        vectors = np.zeros((0, width), np.float32)
        if files:
            vectors = np.memmap(spool, np.float32, "r", shape=(len(files), width))
        table = {"file": np.array(files, str), "start": np.array(starts, float)}
        table["seconds"] = np.array(seconds, float)
        if path.suffix == ".npy":
            write_csv(path.with_suffix(".csv"), table, zip(*table.values(), strict=True))
            np.save(file, vectors)
        elif path.suffix == ".npz":
            with zipfile.ZipFile(file, "w") as archive:  # np.savez keeps "file" for itself
                for name, values in {"embedding": vectors, **table}.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, values, allow_pickle=False)
        else:
            import pyarrow
            import pyarrow.parquet

            table["embedding"] = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), width)
            pyarrow.parquet.write_table(pyarrow.table(table), file)
