"""Results on the way to a file: kept one by one, so that a killed command goes on."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Spool:
    """A folder beside the output that grows by a line for each recording, and by its vectors.

    A line counts once it is complete, so that a process may be killed at any moment.

    Args:
        output: the file to be made; the folder is named after it, with ``.partial``.
        settings: what decides the results; a spool of others is refused.
        force: whether to begin anew.

    Attributes:
        done: names of the recordings that are there.

    Raises:
        ValueError: if the folder holds results of other settings, or another process writes to it.
    """

    def __init__(self, output: Path, settings: dict, force: bool = False):
        self.folder = output.with_name(f"{output.name}.partial")
        self.folder.mkdir(exist_ok=True)
        self._lock = _locked(self.folder / "lock", output)
        if force:
            for path in self.folder.iterdir():
                if path.name != "lock":
                    path.unlink()
        self._lines, self._vectors = self.folder / "rows.jsonl", self.folder / "vectors.f32"
        self._check(self.folder / "settings.json", json.loads(json.dumps(settings)))
        self.done: set[str] = set()
        values = complete = 0
        if self._lines.exists():
            for line in self._complete_lines():
                row = json.loads(line)
                self.done.add(row["file"])
                values += row.get("values", 0)
                complete += len(line)
            os.truncate(self._lines, complete)
        self._vectors.touch()
        os.truncate(self._vectors, 4 * values)
        self._line_file = self._lines.open("ab")
        self._vector_file = self._vectors.open("ab")

    def add(self, row: dict, vectors: np.ndarray | None = None) -> None:
        """Keeps a result.

        Args:
            row: as JSON takes it, with ``file``.
            vectors: float32 values that go with it.
        """
        if vectors is not None:
            self._vector_file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
            self._vector_file.flush()
            row = {**row, "values": int(vectors.size)}
        self._line_file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._line_file.flush()

    def rows(self) -> Iterator[dict]:
        """Yields all results in the order in which they were kept."""
        for line in self._complete_lines():
            yield json.loads(line)

    def vectors(self, width: int) -> np.ndarray:
        """Returns all vectors, (n, width) float32, mapped from the disk."""
        if not self._vectors.stat().st_size:
            return np.zeros((0, width), np.float32)
        return np.memmap(self._vectors, np.float32, "r").reshape(-1, width)

    def close(self) -> None:
        """Closes the files; the folder stays."""
        self._line_file.close()
        self._vector_file.close()
        self._lock.close()

    def remove(self) -> None:
        """Removes the folder, when the output is there."""
        self.close()
        shutil.rmtree(self.folder)

    def _complete_lines(self) -> Iterator[bytes]:
        with self._lines.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))

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


def _locked(path: Path, output: Path):
    """Opens a file that one process at a time may hold; where there are no locks, any may."""
    file = path.open("w")
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
