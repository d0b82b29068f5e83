"""A hot cache on local disk: what was read of remote shards once is read from there again.

Each shard gets a local file as long as itself, without the parts not read yet, and a list of the
parts that are there. Nothing is synced: a part that a crash left torn fails its checksum, which
the reader sees, and is then read anew.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from tfrecords.errors import TFRecordsError
from tfrecords.storage import Files

_SPARE = 2**30  # bytes of the disk that stay free


class Cache:
    """Local copies of the records of one packed directory.

    Args:
        folder: where to keep them; made if it is not there.
        identity: tells apart the directories that share the folder.
        limit: bytes it may take; None for what the disk has, but for a gigabyte.

    Raises:
        TFRecordsError: the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, identity: str, limit: int | None = None):
        self._folder = Path(folder) / hashlib.sha256(identity.encode()).hexdigest()[:16]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe = self._folder / f".{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise TFRecordsError(f"the cache {folder} cannot be written: {error}") from None
        self._limit = limit
        self._local = Files()
        self._lock = Lock()
        self._present: dict[str, set[tuple[int, int]]] = {}
        self._bytes = self._kept()

    def read_into(
        self, files: Files, path: str, parts: Sequence[tuple[int, int]], buffers: Sequence
    ) -> int:
        """As `Files.read_into`, from the local copy where there is one.

        `parts` are the (offset, length) of the records to read, which follow each other.
        """
        offset, length = parts[0][0], sum(part[1] for part in parts)
        copy = self._copy(path)
        if self._parts(copy).issuperset(parts):
            try:
                if self._local.read_into(str(copy), offset, buffers) == length:
                    return length
            except OSError:
                pass  # the copy was removed
        found = files.read_into(path, offset, buffers)
        if found == length:
            self._keep(copy, parts, buffers)
        return found

    def forget(self, path: str) -> None:
        """Drop the copy of one shard, of which a record turned out to be damaged."""
        copy = self._copy(path)
        with self._lock:
            self._present.pop(copy.name, None)
            copy.unlink(missing_ok=True)
            copy.with_suffix(".parts").unlink(missing_ok=True)
            self._local = Files()
            self._bytes = self._kept()

    def _kept(self) -> int:
        """The bytes of all parts that are there."""
        lists = map(_read_parts, self._folder.glob("*.parts"))
        return sum(length for parts in lists for _, length in set(parts))

    def _copy(self, path: str) -> Path:
        return self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:24]}.bin"

    def _parts(self, copy: Path) -> set[tuple[int, int]]:
        with self._lock:
            if copy.name not in self._present:
                self._present[copy.name] = set(_read_parts(copy.with_suffix(".parts")))
            return self._present[copy.name]

    def _keep(self, copy: Path, parts: Sequence[tuple[int, int]], buffers: Sequence) -> None:
        with self._lock:
            present = self._present.setdefault(copy.name, set())
            length = sum(part[1] for part in parts if part not in present)
            if self._limit is not None and self._bytes + length > self._limit:
                return
            try:
                if shutil.disk_usage(self._folder).free < _SPARE + length:
                    return
                descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT)
                try:
                    _write_all(descriptor, buffers, parts[0][0])
                finally:
                    os.close(descriptor)
                # After the data, and by appending: other processes may be at it too.
                with copy.with_suffix(".parts").open("ab") as file:
                    file.write(b"".join(b"%d %d\n" % part for part in parts))
            except OSError:
                return  # a cache that cannot grow is no reason to stop
            present.update(parts)
            self._bytes += length


def _write_all(descriptor: int, buffers: Sequence, offset: int) -> None:
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        while view:
            count = os.pwrite(descriptor, view, offset)
            view, offset = view[count:], offset + count


def _read_parts(path: Path) -> list[tuple[int, int]]:
    try:
        rows = [line.split() for line in path.read_bytes().splitlines()]
    except OSError:
        return []
    whole = (row for row in rows if len(row) == 2 and all(map(bytes.isdigit, row)))
    return [(int(offset), int(length)) for offset, length in whole]
