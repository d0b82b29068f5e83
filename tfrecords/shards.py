"""Writing one shard: under a temporary name, synced, then renamed, so it is whole or absent."""

import os
from pathlib import Path

import tensorflow as tf

from tfrecords.schema import RECORD_OVERHEAD


class ShardWriter:
    """A context manager that writes one record file.

    On a clean exit the file appears under its name; after an exception nothing is left.
    `size` (bytes) and `clips` count what was written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.size = 0
        self.clips = 0
        self._temporary = path.with_name(f".{path.name}.tmp")

    def __enter__(self) -> "ShardWriter":
        self._temporary.touch()  # an OSError where TensorFlow has errors of its own
        self._writer = tf.io.TFRecordWriter(str(self._temporary))
        return self

    def write(self, record: bytes) -> tuple[int, int]:
        """Append one record; returns its byte offset and length, framing included."""
        self._writer.write(record)
        offset, length = self.size, len(record) + RECORD_OVERHEAD
        self.size += length
        self.clips += 1
        return offset, length

    def __exit__(self, kind, value, traceback) -> None:
        self._writer.close()
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        with self._temporary.open("rb+") as file:
            os.fsync(file.fileno())
        written = self._temporary.stat().st_size
        if written != self.size:  # TFRecordWriter does not report a full disk
            self._temporary.unlink()
            raise OSError(f"{self.path}: {written} bytes written of {self.size}; is the disk full?")
        self._temporary.replace(self.path)
