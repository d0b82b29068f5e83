"""Results of many recordings: printed, or kept line by line so that a killed command goes on."""

import base64
import collections
import dataclasses
import importlib.util
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from panns_tf.inference.results import csv_text
from tfrecords.files import atomic, lock, write_csv
from tfrecords.progress import Progress, logger

#: Suffixes of files of tables, and of vectors.
TABLES, VECTORS = (".csv", ".json", ".jsonl"), (".npy", ".npz", ".parquet")


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go, and what they look like.

    Attributes:
        path: the file to be made; or None for the standard output.
        settings: what decides the results; a file begun with others is refused.
        force: whether to begin anew.
        form: printed as ``"text"``, ``"json"`` or ``"csv"``.
        columns: of a table.
        rows_of: the rows of a table of a result as JSON.
        width: of the vectors; None for tables.
    """

    path: Path | None
    settings: Mapping
    force: bool = False
    form: str = "text"
    columns: Sequence[str] = ()
    rows_of: Callable[[dict], list[dict]] = lambda row: [row]
    width: int | None = None

    def run(self, sources: Iterable, predict: Callable, result: Callable) -> int:
        """Predicts recordings, reports errors and notes, prints or writes the results.

        Args:
            sources: recordings.
            predict: from an iterable of sources to a `Recording` for each, in order.
            result: of a recording without an error: a dict for JSON, its text, and vectors
                or None.

        Returns:
            The exit status: 1 if a recording could not be read, else 0.

        Raises:
            ValueError: if results cannot be written; those so far are kept.
        """
        if self.path is None:
            failed = self._print(predict(sources), result)
        else:
            busy = f"another command is writing {self.path}; wait for it to end"
            lock_file = self.path.with_name(f".{self.path.name}.lock")
            with lock(lock_file, busy):
                failed = self._write(sources, predict, result)
                lock_file.unlink(missing_ok=True)
        if failed:
            logger.error(f"{failed} could not be read")
        return 1 if failed else 0

    def _print(self, recordings: Iterable, result: Callable) -> int:
        failed = 0
        if self.form == "csv":
            print(csv_text(self.columns, []), end="")
        for recording in recordings:
            failed += _report(recording)
            row, text = _error_row(recording), ""
            if recording.error is None:
                row, text, _ = result(recording)
            if self.form == "json":
                print(json.dumps(row, ensure_ascii=False), flush=True)
            elif recording.error is None and self.form == "csv":
                table = csv_text(self.columns, self.rows_of(row))
                print(table.partition("\n")[2], end="", flush=True)
            elif recording.error is None:
                print(text, flush=True)
        return failed

    def _write(self, sources: Iterable, predict: Callable, result: Callable) -> int:
        failed = 0
        partial = PartialResults(self.path, self.settings, self.force)
        try:
            with Progress(unit="file", initial=len(partial)) as progress:
                for recording in predict(partial.missing(sources)):
                    failed += _report(recording)
                    if recording.error is not None:
                        partial.add(_error_row(recording))
                    else:
                        row, _, vectors = result(recording)
                        partial.add(row, vectors)
                    progress.update()
            self._convert(partial)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command") from None
        except OSError as error:
            raise ValueError(
                f"{error.filename or partial.path}: {error.strerror}; the results so far are in "
                f"{partial.path}, and the same command goes on from there"
            ) from error
        partial.path.unlink()
        logger.info(f"written: {self.path}")
        return failed

    def _convert(self, partial: "PartialResults") -> None:
        path, rows = self.path, (row for row, _ in partial.results())
        if self.width is not None:
            _write_vectors(path, self.width, partial)
        elif path.suffix == ".csv":
            good = (row for row in rows if "error" not in row)
            write_csv(path, self.columns, (line for row in good for line in self.rows_of(row)))
        else:
            lines = (json.dumps(row, ensure_ascii=False) for row in rows)
            as_list = path.suffix == ".json"
            with atomic(path, "w") as file:
                file.write("[\n" if as_list else "")
                for number, line in enumerate(lines):
                    file.write((",\n" if as_list else "\n") * (number > 0) + line)
                file.write("\n]\n" if as_list else "\n" * (len(partial) > 0))


class PartialResults:
    """A file of JSON lines beside the output that grows by a line for each recording.

    A line counts once it is complete, so that a process may be killed at any moment. The finished
    file is the one that an undisturbed command would have written: results of recordings that
    were changed or could not be read are made anew, those of recordings that are gone are left
    out.

    Args:
        output: the file to be made; this one is named after it, with ``.partial.jsonl``.
        settings: what decides the results; lines of others are refused.
        force: whether to begin anew.

    Raises:
        ValueError: if the lines are of other settings, or the file is something else.
    """

    def __init__(self, output: Path, settings: Mapping, force: bool = False):
        self.path, self._output = partial_path(output), output
        self._offsets: dict[str, int] = {}
        self._wanted: list[str] = []
        self._pending: collections.deque[str] = collections.deque()  # keys that are under way
        header = json.dumps({"settings": settings})
        if force or not self.path.exists() or not self._read(json.loads(header)["settings"]):
            self.path.write_text(header + "\n")

    def __len__(self) -> int:
        return len(self._offsets)

    def _read(self, settings: dict) -> bool:
        """Finds the results that are there; False if there is not even a whole header."""
        with self.path.open("rb") as file:
            header = file.readline()
            if not header.endswith(b"\n"):
                return False
            self._check(header, settings)
            end = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    break
                content = json.loads(line)
                # Recordings with an error may be readable by now.
                if "error" not in content["row"]:
                    self._offsets[content["key"]] = end
                end += len(line)
        os.truncate(self.path, end)
        return True

    def _check(self, header: bytes, settings: dict) -> None:
        try:
            before = json.loads(header)["settings"]
            names = [n for n in sorted({*before, *settings}) if before.get(n) != settings.get(n)]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                f"{self.path} is needed for unfinished results, and is something else; move it away"
            ) from None
        if names:
            raise ValueError(
                f"{self.path} holds results of an unfinished command with another "
                f"{', '.join(names)}; repeat that one to finish it, or add --force to begin anew"
            )

    def missing(self, sources: Iterable) -> Iterator:
        """Yields the sources without a result; results come out in the order of ``sources``.

        Raises:
            ValueError: if a source is the output.
        """
        for source in sources:
            if isinstance(source, Path) and _is_same(source, self._output):
                raise ValueError(f"--output {self._output} is one of the recordings; name another")
            key = _key(source)
            self._wanted.append(key)
            if key not in self._offsets:
                self._pending.append(key)
                yield source

    def add(self, row: dict, vectors: np.ndarray | None = None) -> None:
        """Keeps the result of the next of the missing sources: a dict for JSON, and float32."""
        content = {"key": self._pending.popleft(), "row": row}
        if vectors is not None:
            values = np.ascontiguousarray(vectors, np.float32)
            content["vectors"] = base64.b64encode(values).decode()
        with self.path.open("ab") as file:
            self._offsets[content["key"]] = file.tell()
            file.write(json.dumps(content).encode() + b"\n")

    def results(self) -> Iterator[tuple[dict, np.ndarray]]:
        """Yields the results in the order of the sources; vectors as they were, but flat."""
        with self.path.open("rb") as file:
            for key in self._wanted:
                file.seek(self._offsets[key])
                content = json.loads(file.readline())
                values = np.frombuffer(base64.b64decode(content.get("vectors", "")), np.float32)
                yield content["row"], values


def partial_path(output: Path) -> Path:
    """The file of an output's unfinished results."""
    return output.with_name(f"{output.name}.partial.jsonl")


def check_vectors(output: Path) -> None:
    """Raises ValueError if a package is missing that the format of vectors asks for."""
    if output.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f"{output}: Parquet needs pyarrow: pip install pyarrow")


def place_of(source, paths: Iterable[str], folder: Path, suffix: str) -> Path:
    """Returns the file of a recording in a folder of results, laid out as the recordings are.

    The folder stands for what all ``paths`` have in common.
    """
    if not isinstance(source, str | os.PathLike):
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"stdin{suffix}"
    roots = []
    for path in map(Path, paths):
        fixed = path.absolute()
        while not fixed.is_dir():  # a file or a pattern
            fixed = fixed.parent
        roots.append(os.path.normpath(fixed))
    below = os.path.relpath(os.path.normpath(Path(source).absolute()), os.path.commonpath(roots))
    place = folder / f"{below}{suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write_vectors(path: Path, width: int, partial: PartialResults) -> None:
    """Writes ``.npy`` with a ``.csv`` beside it, ``.npz`` or ``.parquet``, in little memory."""
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryFile(dir=path.parent) as spool, atomic(path) as file:
        for row, values in partial.results():
            spool.write(values)
            rows += [(row["file"], start, row["seconds"]) for start in row.get("starts", ())]
        spool.flush()
        vectors = np.zeros((0, width), np.float32)
        if rows:
            vectors = np.memmap(spool, np.float32, "r", shape=(len(rows), width))
        if path.suffix == ".npy":
            write_csv(path.with_suffix(".csv"), ("file", "start", "seconds"), rows)
            np.save(file, vectors)
            return
        columns = {
            name: np.array([row[index] for row in rows], kind)
            for index, (name, kind) in enumerate(
                (("file", str), ("start", float), ("seconds", float))
            )
        }
        if path.suffix == ".npz":
            with zipfile.ZipFile(file, "w") as archive:  # np.savez keeps "file" for itself
                for name, values in {"embedding": vectors, **columns}.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, values, allow_pickle=False)
        else:
            import pyarrow
            import pyarrow.parquet

            embedding = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), width)
            table = {name: pyarrow.array(values) for name, values in columns.items()}
            pyarrow.parquet.write_table(pyarrow.table({**table, "embedding": embedding}), file)


def _report(recording) -> bool:
    """Logs notes and the error of a recording; whether there is one."""
    for note in recording.notes:
        logger.warning(f"note: {' '.join(note.split())}")
    if recording.error is not None:
        logger.error(f"error: {' '.join(str(recording.error).split())}")
    return recording.error is not None


def _error_row(recording) -> dict:
    return {"file": recording.file, "error": str(recording.error)}


def _key(source) -> str:
    """A recording as it is now; one that has no path is never the same again."""
    if not isinstance(source, str | os.PathLike):
        return os.urandom(8).hex()
    path = os.fspath(source)
    try:
        status = Path(path).stat()
        state = [status.st_size, status.st_mtime_ns]
    except OSError:
        state = []
    return json.dumps([path, *state])  # surrogates of names that are no UTF-8 are escaped


def _is_same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:
        return False
