"""Files of packed directories, read by position: on this machine or, as ``gs://...``, far away.

Local files without a copy, others by TensorFlow's file systems; tensorflow-io adds ``s3://``.
"""

import errno
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import FileIO
from pathlib import Path

from tfrecords.files import TFRecordsError

# Linux takes no more buffers at a time (IOV_MAX).
MOST_BUFFERS = 1024
_OPEN_FILES = 128


def is_remote(path: str | os.PathLike) -> bool:
    return "://" in str(path)


def join(directory: str | os.PathLike, name: str) -> str:
    if is_remote(directory):
        return f"{str(directory).rstrip('/')}/{name}"
    return str(Path(directory, name))


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file, not a folder, at the path."""
    if not is_remote(path):
        return Path(path).is_file()
    with _remote(path) as (file_io, normal):
        return file_io.exists(normal) and not file_io.isdir(normal)


def read_bytes(path: str | os.PathLike) -> bytes:
    if not is_remote(path):
        return Path(path).read_bytes()
    with _remote(path) as (file_io, normal), file_io.GFile(normal, "rb") as file:
        return file.read()


class Files:
    """Reads by position from many files, of which it keeps the last used open. Thread-safe."""

    def __init__(self):
        # A file that falls out of the cache is closed when the last thread that reads it ends.
        self._local = lru_cache(_OPEN_FILES)(_File)

    def read_into(self, path: str, offset: int, buffers: Sequence) -> int:
        """Fills buffers in order; returns the bytes read, fewer at the file's end."""
        pending = [memoryview(buffer).cast("B") for buffer in buffers]
        if is_remote(path):
            return _read_remote(path, offset, pending)
        file, done = self._local(path), 0
        while pending:
            count = os.preadv(file.fileno(), pending[:MOST_BUFFERS], offset + done)
            if not count:
                break
            done += count
            # A signal or the 2 GiB limit of one call may leave some of it unread.
            while pending and count >= len(pending[0]):
                count -= len(pending.pop(0))
            if count:
                pending[0] = pending[0][count:]
        return done

    def will_read(self, path: str, offset: int, length: int) -> None:
        """Has the system read ahead what is going to be read; of local files only."""
        if not is_remote(path) and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._local(path).fileno(), offset, length, os.POSIX_FADV_WILLNEED)


class _File(FileIO):
    """Is closed when nothing refers to it any more, without a warning."""

    def __del__(self):
        self.close()


def _read_remote(path: str, offset: int, views: Sequence[memoryview]) -> int:
    try:
        with _remote(path) as (file_io, normal), file_io.GFile(normal, "rb") as file:
            file.seek(offset)
            content = file.read(sum(map(len, views)))
    except EOFError:  # it ends before the offset
        return 0
    done = 0
    for view in views:
        piece = content[done : done + len(view)]
        view[: len(piece)] = piece
        done += len(piece)
    return done


@contextmanager
def _remote(path: str | os.PathLike) -> Iterator[tuple]:
    """TensorFlow's file functions and the path as they take it; errors are those of Python."""
    import tensorflow as tf

    file_io = tf.io.gfile
    scheme, rest = str(path).split("://", 1)
    if scheme not in file_io.get_registered_schemes():
        with suppress(Exception):
            import tensorflow_io  # noqa: F401  # registers its file systems
        if scheme not in file_io.get_registered_schemes():
            raise TFRecordsError(
                f"{path}: neither TensorFlow nor tensorflow-io reads {scheme}:// here; see "
                "requirements-io.txt, or mount it"
            )
    try:
        yield file_io, f"{scheme}://{posixpath.normpath(rest)}"  # stores take ``../`` literally
    except tf.errors.OutOfRangeError as error:
        raise EOFError(str(path)) from error
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, error.message, str(path)) from error
    except tf.errors.OpError as error:
        raise OSError(f"{path} cannot be read: {error.message}") from error
