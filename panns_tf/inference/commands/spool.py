"""Results on the way to a file: kept one by one, so that a killed command goes on."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_SETTINGS, _ROWS, _VECTORS, _LOCK = "settings.json", "rows.jsonl", "vectors.f32", "lock"
#: Is there from when all results are kept until they are in their place.
_WRITING = "writing"


class _Kept(NamedTuple):
    """Where a result lies: the byte of its line, and its values among all."""

    line: int
    first: int
    values: int


class Spool:
    """A folder beside the output that grows by a line for each recording, and by its vectors.

    A line counts once it is complete, so that a process may be killed at any moment. What is
    written in the end is what an undisturbed command would have written: results of recordings
    that were changed or could not be read are made anew, those of recordings that are gone are
    left out.

    Args:
        output: the file to be made; the folder is named after it, with ``.partial``.
        settings: what decides the results; a spool of others is refused.
        force: whether to begin anew.

    Raises:
        ValueError: if the folder is no spool or holds results of other settings, or another
            process writes to it.
    """

    def __init__(self, output: Path, settings: dict, force: bool = False):
        self.folder = spool_folder(output)
        if self.folder.exists() and not _is_spool(self.folder):
            raise ValueError(
                f"{self.folder} is needed for unfinished results, and is something else; move it "
                "away"
            )
        self.folder.mkdir(exist_ok=True)
        self._lock = _locked(self.folder / _LOCK, output)
        if force:
            for name in (_SETTINGS, _ROWS, _VECTORS, _WRITING):
                (self.folder / name).unlink(missing_ok=True)
        self._check(self.folder / _SETTINGS, json.loads(json.dumps(settings)))
        self._lines, self._vectors = self.folder / _ROWS, self.folder / _VECTORS
        self._kept: dict[str, _Kept] = {}
        self._values = self._end = 0
        self._read()
        self._vectors.touch()
        os.truncate(self._vectors, 4 * self._values)
        self._line_file = self._lines.open("ab")
        self._vector_file = self._vectors.open("ab")
        self._wanted: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def want(self, key: str) -> None:
        """Says that a recording is one of this command's; results come out in this order."""
        self._wanted.append(key)

    def add(self, key: str, row: dict, vectors: np.ndarray | None = None) -> None:
        """Keeps a result.

        Args:
            key: of the recording as it is now.
            row: as JSON takes it.
            vectors: float32 values that go with it.
        """
        values = 0 if vectors is None else int(vectors.size)
        if vectors is not None:
            self._vector_file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
            self._vector_file.flush()
        line = json.dumps({"key": key, "values": values, "row": row}).encode() + b"\n"
        self._line_file.write(line)
        self._line_file.flush()
        self._kept[key] = _Kept(self._end, self._values, values)
        self._end += len(line)
        self._values += values

    def rows(self) -> Iterator[dict]:
        """Yields the wanted results, in order."""
        with self._lines.open("rb") as file:
            for kept in self._results():
                file.seek(kept.line)
                yield json.loads(file.readline())["row"]

    def count(self, width: int) -> int:
        """Returns the number of wanted vectors."""
        return sum(kept.values for kept in self._results()) // width

    def vectors(self, width: int) -> Iterator[np.ndarray]:
        """Yields the wanted vectors, (n, width) float32 of each recording that has such."""
        every = np.memmap(self._vectors, np.float32, "r") if self._values else np.zeros(0)
        for kept in self._results():
            if kept.values:
                yield every[kept.first : kept.first + kept.values].reshape(-1, width)

    def place(self, files: dict[Path, Path]) -> None:
        """Moves finished files to where they belong, and removes the folder.

        Args:
            files: from within the folder, and where they go.
        """
        (self.folder / _WRITING).touch()
        for made, path in files.items():
            made.replace(path)
        self.close()
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Closes the files; the folder stays."""
        self._line_file.close()
        self._vector_file.close()
        self._lock.close()

    def _results(self) -> Iterator[_Kept]:
        return (self._kept[key] for key in self._wanted if key in self._kept)

    def _read(self) -> None:
        """Finds what is there; errors are not, since their recordings may be readable by now."""
        if not self._lines.exists():
            return
        with self._lines.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                found = json.loads(line)
                if "error" not in found["row"]:
                    kept = _Kept(self._end, self._values, found["values"])
                    self._kept[found["key"]] = kept
                self._end += len(line)
                self._values += found["values"]
        os.truncate(self._lines, self._end)

    def _check(self, path: Path, settings: dict) -> None:
        if path.exists():
            try:
                before = json.loads(path.read_text())
            except ValueError:
                before = None
            if before == settings:
                return
            names = sorted({*(before or {}), *settings})
            other = [name for name in names if (before or {}).get(name) != settings.get(name)]
            raise ValueError(
                f"{self.folder} holds results of an unfinished command with another "
                f"{', '.join(other)}; repeat that one to finish it, or add --force to begin anew"
            )
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps(settings))
        partial.replace(path)


def spool_folder(output: Path) -> Path:
    """Returns the folder of an output's unfinished results."""
    return output.with_name(f"{output.name}.partial")


def is_being_written(output: Path) -> bool:
    """Says whether a command was killed while it put its files in their places."""
    return (spool_folder(output) / _WRITING).exists()


def _is_spool(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or _LOCK in names


def _locked(path: Path, output: Path) -> BinaryIO:
    """Opens a file that one process at a time may hold; where there are no locks, any may."""
    file = path.open("wb")
    if fcntl is None:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(f"another command is writing {output}; wait for it to end") from None
    except OSError:  # a file system without locks
        pass
    return file
