"""Writing one shard: under a temporary name, synced, then renamed, so it is whole or absent."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from pathlib import Path

import crc32c

from tfrecords.schema import RECORD_OVERHEAD, footer, header

# The disk is begun to be waited for after so many bytes.
_SYNC_BYTES = 2**24


class ShardWriter:
    """A context manager that writes one record file.

    On a clean exit the file appears under its name; after an exception nothing is left.
    `size` (bytes) and `clips` count what was written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.size = 0
        self.clips = 0
        self._temporary = temporary_name(path)

    def __enter__(self) -> "ShardWriter":
        self._file = self._temporary.open("wb", buffering=2**20)
        self._pool = ThreadPoolExecutor(1)
        self._syncing, self._synced = self._sync(), 0
        return self

    def _sync(self) -> Future:
        """Begin to bring what was written to the disk, while the next clips are decoded."""
        return self._pool.submit(os.fsync, self._file.fileno())

    def write(self, *parts: bytes | memoryview) -> tuple[int, int, int]:
        """Append one record, the parts of which are given.

        Returns:
            Its byte offset, its length with framing, its CRC-32C.
        """
        size = sum(map(len, parts))
        checksum = reduce(lambda sum_, part: crc32c.crc32c(part, sum_), parts, 0)
        for part in (header(size), *parts, footer(checksum)):
            self._file.write(part)
        offset, length = self.size, size + RECORD_OVERHEAD
        self.size += length
        self.clips += 1
        if self.size - self._synced >= _SYNC_BYTES and self._syncing.done():
            self._syncing.result()  # an error in it is one of this shard
            self._syncing, self._synced = self._sync(), self.size
        return offset, length, checksum

    def __exit__(self, kind, value, traceback) -> None:
        try:
            self._pool.shutdown()
            if kind is None:
                self._syncing.result()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._temporary.replace(self.path)
        finally:
            discard(self._file, self._temporary)


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file under a temporary name, sync it, then rename it into place."""
    temporary = temporary_name(path)
    file = temporary.open("wb")
    try:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        temporary.replace(path)
    finally:
        discard(file, temporary)


def temporary_name(path: Path, process: int | None = None) -> Path:
    """Hidden, and a process's own: one that is dying cannot write into another's file."""
    return path.with_name(f".{path.name}.{process or os.getpid()}.tmp")


def discard(file, temporary: Path) -> None:
    """Close and remove what is left of a temporary file; nothing once it was renamed."""
    try:
        file.close()  # flushes, which fails again where the disk is full
    except OSError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
