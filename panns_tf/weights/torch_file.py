"""Checkpoints of PyTorch, read and written without it and without running code in them."""

import collections
import contextlib
import io
import math
import mmap
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from panns_tf.weights.torch_pickle import STORAGES, RefusedError, Tensor, printable, read_pickle
from tfrecords.text import one_line

#: First bytes of a member of a zip archive, and of a pickle of protocol 2 or later.
ZIP_MAGIC, PICKLE_MAGIC = b"PK\3\4", b"\x80"

#: The two numbers that begin a file of the layout before PyTorch 1.6.
LEGACY_HEAD = (0x1950A86A20F9469CFC6C, 1001)

#: PyTorch's storage classes by the dtypes that are written.
WRITTEN = {"float32": "FloatStorage", "int64": "LongStorage"}

#: Largest table of contents of a zip archive, in bytes; each storage takes about 100.
MAX_CONTENTS = 2**22


class TorchState(collections.UserDict):
    """The state dict of a checkpoint: names to arrays, each read from the file at every access.

    ``extra`` has the scalars that the file holds besides, such as ``iteration``.
    """

    def __init__(self, path: Path, starts: dict[str, int], tensors: dict[str, Tensor], extra: dict):
        super().__init__(tensors)
        self.extra: dict[str, Any] = extra
        self._path, self._modified, self._starts = path, path.stat().st_mtime_ns, starts

    def __getitem__(self, name: str) -> np.ndarray:
        tensor: Tensor = self.data[name]
        storage = tensor.storage
        start = self._starts[storage.key] + tensor.offset * storage.itemsize
        with _explained(self._path):
            modified = self._path.stat().st_mtime_ns
            flat = np.fromfile(self._path, STORAGES[storage.kind], tensor.span, offset=start)
            if modified != self._modified or flat.size != tensor.span:
                raise RefusedError("it has changed since it was opened")
            if storage.kind == "BFloat16Storage":
                flat = (flat.astype(np.uint32) << 16).view(np.float32)
            elif storage.kind == "BoolStorage":
                flat = flat != 0
            strides = [stride * flat.itemsize for stride in tensor.strides]
            array = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides)
            return array if array.flags.c_contiguous else array.copy()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Replaces errors of reading a corrupt file by one line that begins with the path."""
    try:
        yield
    except OSError:
        raise
    except RefusedError as error:
        raise ValueError(f"{path} is refused: {error}") from error
    except Exception as error:  # readers of pickles and archives raise many kinds of errors
        reason = f"{type(error).__name__}: {one_line(error)}"[:300]
        raise ValueError(f"{path} is refused: it is corrupt or truncated ({reason})") from error


def read_torch_state(path: str | os.PathLike) -> TorchState:
    """Reads the names of a PyTorch checkpoint's tensors, and each tensor when it is accessed.

    The file is of ``torch.save``, a zip archive or of the layout before PyTorch 1.6, and holds a
    state dict, alone or as ``model`` or ``state_dict``. Nothing it names is imported or called:
    names outside a fixed table are refused. The prefix of ``DataParallel`` is removed from names;
    bfloat16, which NumPy does not have, becomes float32.

    Raises:
        ValueError: in one line, why the file is refused: it needs something that no state dict
            needs, is corrupt, or has no state dict; at an access, if the file has changed.
        OSError: if the file cannot be opened or read.
    """
    path = Path(path)
    with _explained(path), path.open("rb") as file:
        head = file.read(12)
        if not head.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
            raise RefusedError(f"it was not written by torch.save; it begins with {head!r}")
        read = _read_zip if head.startswith(ZIP_MAGIC) else _read_legacy
        # A mapped file has nothing beyond its end, whatever length an opcode claims.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            checkpoint, starts = read(content)
        return TorchState(path, starts, *_state_of(checkpoint))


def _read_zip(file: mmap.mmap) -> tuple[Any, dict[str, int]]:
    """The object in a file of torch >= 1.6, and the offsets of its storages."""
    members = _zip_members(file)
    roots = [name[:-8] for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise RefusedError("it is a zip archive, but not of torch.save: it has no single data.pkl")
    if (order := members.get(f"{roots[0]}byteorder")) and file[slice(*order)] != b"little":
        raise RefusedError("its numbers are not little-endian; save it on a little-endian machine")
    value, storages = read_pickle(io.BytesIO(file[slice(*members[f"{roots[0]}data.pkl"])]))
    starts = {}
    for key, storage in storages.items():
        starts[key], end = members.get(f"{roots[0]}data/{key}", (0, -1))
        if storage.size * storage.itemsize > end - starts[key]:
            raise RefusedError(f"its storage {printable(key)} is missing or shorter than it claims")
    return value, starts


def _zip_members(file: mmap.mmap) -> dict[str, tuple[int, int]]:
    """Start and end of each member of an archive by name, without reading any."""
    with zipfile.ZipFile(_Bounded(file)) as archive:
        infos = archive.infolist()
    members = {}
    for info in infos:
        name, size = info.filename, info.file_size
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == size
        if not stored or info.flag_bits & 1:
            raise RefusedError(f"its member {printable(name)} is compressed, unlike torch.save's")
        header = file[info.header_offset : info.header_offset + zipfile.sizeFileHeader]
        lengths = struct.unpack_from("<HH", header, 26)
        start = info.header_offset + len(header) + sum(lengths)
        if not header.startswith(ZIP_MAGIC) or start + size > len(file) or name in members:
            raise RefusedError(f"its member {printable(name)} is not where the archive says")
        members[name] = start, start + size
    return members


class _Bounded:
    """A file for `zipfile` whose table of contents has at most `MAX_CONTENTS` bytes."""

    def __init__(self, file: mmap.mmap):
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = MAX_CONTENTS) -> bytes:
        if not 0 <= size <= MAX_CONTENTS:
            raise RefusedError(f"its table of contents takes {size} bytes")
        return self._read(size)


def _read_legacy(file: mmap.mmap) -> tuple[Any, dict[str, int]]:
    """The object in a file of torch < 1.6, and the offsets of its storages."""
    for expected in LEGACY_HEAD:
        if read_pickle(file)[0] != expected:
            raise RefusedError("it is a pickle, but not of torch.save")
    system, _ = read_pickle(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise RefusedError("its numbers are not little-endian; save it on a little-endian machine")
    value, storages = read_pickle(file)
    keys, _ = read_pickle(file)
    named = type(keys) is list and all(type(key) is str for key in keys)
    if not named or sorted(keys) != sorted(storages):
        raise RefusedError("its list of storages is not that of its tensors")
    starts = {}
    for key in keys:
        storage = storages[key]
        if int.from_bytes(file.read(8), "little", signed=True) != storage.size:
            raise RefusedError(f"its storage {printable(key)} is not as long as it claims")
        starts[key] = file.tell()
        file.seek(starts[key] + storage.size * storage.itemsize)  # mmap refuses to pass its end
    if left := len(file) - file.tell():
        raise RefusedError(f"it goes on for {left} bytes behind its last storage")
    return value, starts


def _state_of(checkpoint: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a checkpoint by name, and the scalars that it holds besides."""
    state, extra = checkpoint if isinstance(checkpoint, dict) else {}, {}
    for key in ("model", "state_dict"):
        if isinstance(state.get(key), dict):
            state, extra = state[key], state
            break
    if not any(type(value) is Tensor for value in state.values()):
        raise RefusedError("there is no state dict in it")
    for name, value in state.items():
        if type(name) is not str or type(value) is not Tensor:
            entry = printable(name) if type(name) is str else "a key"
            raise RefusedError(f"{entry} in its state dict does not name a tensor")
    if all(name.startswith("module.") for name in state):  # saved as a DataParallel
        state = {name.removeprefix("module."): value for name, value in state.items()}
    scalars = (bool, int, float, str)
    return state, {k: v for k, v in extra.items() if type(k) is str and type(v) in scalars}


def write_torch_state(path: str | os.PathLike, checkpoint: Mapping) -> None:
    """Writes a checkpoint in the zip layout of ``torch.save``; equal ones make equal files.

    It maps strings to numbers, or to mappings from names to arrays, of float32 or int64 alone.
    """
    arrays: list[np.ndarray] = []
    content = b"\x80\x02" + _opcodes(checkpoint, arrays) + b"."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, "archive/data.pkl", content)
        _store(archive, "archive/byteorder", b"little")
        for number, array in enumerate(arrays):
            # The bytes of the array without a copy.
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            _store(archive, f"archive/data/{number}", data.reshape(-1).view("uint8").data)
        _store(archive, "archive/version", b"3\n")


def _store(archive: zipfile.ZipFile, name: str, data) -> None:
    info = zipfile.ZipInfo(name)  # dated 1980
    start = archive.fp.tell() + zipfile.sizeFileHeader + len(name.encode()) + 4
    # PyTorch maps storages into memory at multiples of 64 bytes; an extra field pads to that.
    info.extra = struct.pack("<HH", 0x4246, -start % 64) + bytes(-start % 64)
    archive.writestr(info, data)


def _opcodes(value: Any, arrays: list[np.ndarray]) -> bytes:
    """The pickle opcodes of a value, of protocol 2; its arrays are appended to ``arrays``."""
    if isinstance(value, Mapping):
        items = b"".join(_plain(key) + _opcodes(member, arrays) for key, member in value.items())
        return b"}(" + items + b"u"
    if not isinstance(value, np.ndarray):
        if type(value) not in (str, int, float, bool):
            raise ValueError(
                f"a checkpoint holds strings, numbers, arrays and mappings; received {type(value)}"
            )
        return _plain(value)
    kind = WRITTEN.get(value.dtype.name)
    if kind is None:
        raise ValueError(f"arrays must be of {' or '.join(WRITTEN)}; received {value.dtype}")
    strides = tuple(math.prod(value.shape[axis + 1 :]) for axis in range(value.ndim))
    number = str(len(arrays))
    arrays.append(value)
    # torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
    return b"".join(
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n(",
            *(b"(", _plain("storage"), f"ctorch\n{kind}\n".encode(), _plain(number)),
            *(_plain("cpu"), _plain(value.size), b"tQ"),
            *(_plain(argument) for argument in (0, value.shape, strides, False)),
            b"ccollections\nOrderedDict\n)RtR",
        )
    )


def _plain(value: Any) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]
