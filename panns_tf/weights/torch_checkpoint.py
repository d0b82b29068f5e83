"""Checkpoints of PyTorch, read without PyTorch and without running anything they hold."""

import contextlib
import dataclasses
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from panns_tf.weights.torch_pickle import Pairs, Storage, Tensor, Window, read_pickle, shown

#: What a member of a zip archive begins with, and a pickle of protocol 2 or later.
MEMBER, PICKLE = b"PK\3\4", b"\x80"

#: The two numbers that begin a file of the legacy layout.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

#: By kind of storage: the type in the file, and the type it is returned in.
DTYPES = {
    **{kind: (kind, kind) for kind in ("float64", "float32", "float16", "int64", "int32")},
    **{kind: (kind, kind) for kind in ("int16", "int8", "uint8")},
    "bool": ("uint8", "bool"),  # any byte but 0 is true
    "bfloat16": ("uint16", "float32"),  # the upper half of a float32
}

#: A zip archive's table of contents takes some 100 bytes per storage.
LONGEST_TABLE = 2**22

#: What `zipfile` raises at a corrupt archive.
ZIP_FAULTS = (zipfile.BadZipFile, OSError, NotImplementedError, struct.error, LookupError)

#: Before every name, where a ``DataParallel`` was saved.
PARALLEL = "module."


class TorchState(Mapping):
    """The state dict of a checkpoint: names to arrays, each read from the file when asked for.

    Attributes:
        extra: the plain scalars that the checkpoint holds beside the model, such as
            ``iteration``.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        stamp: tuple[int, int],
        tensors: dict[str, Tensor],
        starts: dict[str, int],
        extra: dict[str, Any],
    ):
        self._path = path
        self._stamp = stamp
        self._tensors = tensors
        self._starts = starts
        self.extra = extra

    def __len__(self) -> int:
        return len(self._tensors)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor; nothing is read."""
        return self._tensors[name].shape

    def dtype(self, name: str) -> np.dtype:
        """Returns the type that a tensor is returned in; nothing is read."""
        return np.dtype(DTYPES[self._tensors[name].kind][1])

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a tensor of the file, as an array of its own."""
        return self._read(self._tensors[name])

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Returns ``state[name][start:stop]`` and reads no more than that."""
        tensor = self._tensors[name]
        start, stop, _ = slice(start, stop).indices(tensor.shape[0])
        part = dataclasses.replace(
            tensor,
            offset=tensor.offset + start * tensor.strides[0],
            shape=(max(0, stop - start), *tensor.shape[1:]),
        )
        return self._read(part)

    def _read(self, tensor: Tensor) -> np.ndarray:
        with _explained(self._path), Path(self._path).open("rb") as file:
            if _stamp(file) != self._stamp:
                raise ValueError("it has changed since it was opened")
            return _read_tensor(file, self._starts[tensor.key], tensor)


@contextlib.contextmanager
def _explained(path: str | os.PathLike):
    """Turns what reading a corrupt file raises into one line that begins with the path."""
    try:
        yield
    except MemoryError as error:
        raise ValueError(f"{os.fspath(path)} is refused: it does not fit in memory") from error
    except (ValueError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{os.fspath(path)} is refused: {reason}") from error


def _stamp(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _read_tensor(file: BinaryIO, start: int, tensor: Tensor) -> np.ndarray:
    flat = np.empty(tensor.span, np.dtype(DTYPES[tensor.kind][0]).newbyteorder("<"))
    file.seek(start + tensor.offset * flat.itemsize)
    if file.readinto(flat.view(np.uint8)) != flat.nbytes:
        raise ValueError("it is truncated: a tensor ends beyond it")
    if tensor.kind == "bfloat16":
        flat = flat.astype(np.uint32)
        flat <<= 16
        flat = flat.view(np.float32)
    elif tensor.kind == "bool":
        flat = flat != 0
    array = np.lib.stride_tricks.as_strided(
        flat, tensor.shape, [stride * flat.itemsize for stride in tensor.strides]
    )
    # Elements that lie apart or on one another are copied; a mere transposition is not.
    return array if _is_dense(tensor) else array.copy()


def _is_dense(tensor: Tensor) -> bool:
    """Says whether each number between a tensor's first and last is one element of it."""
    span = 1
    for stride, size in sorted(zip(tensor.strides, tensor.shape, strict=True)):
        if size > 1 and stride != span:
            return False
        span *= size
    return True


class _Table:
    """A file as `zipfile` reads its table of contents, which must not be absurdly long."""

    def __init__(self, file: BinaryIO):
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = LONGEST_TABLE) -> bytes:
        if not 0 <= size <= LONGEST_TABLE:
            raise ValueError(f"its table of contents takes {size} bytes")
        return self._read(size)


def _zip_members(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Returns by name where the members of an archive start and end; none is read."""
    with zipfile.ZipFile(_Table(file)) as archive:
        members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    limits = [member.header_offset for member in members[1:]] + [archive.start_dir]
    found = {}
    for member, limit in zip(members, limits, strict=True):
        name, size = member.filename, member.file_size
        stored = member.compress_type == zipfile.ZIP_STORED and member.compress_size == size
        if not stored or member.flag_bits & 1:
            raise ValueError(f"its member {shown(name)} is compressed; torch.save only stores")
        file.seek(member.header_offset)
        header = file.read(30)
        if len(header) < 30 or not header.startswith(MEMBER):
            raise ValueError(f"its member {shown(name)} is not where the archive says")
        name_length, extra_length = struct.unpack_from("<HH", header, 26)
        start = member.header_offset + len(header) + name_length + extra_length
        if start + size > limit or name in found:
            raise ValueError(f"its member {shown(name)} overlaps another or leaves the file")
        found[name] = start, start + size
    return found


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, int]]:
    """Returns the object of a file of torch >= 1.6, and where its storages start."""
    try:
        members = _zip_members(file)
    except ZIP_FAULTS as error:
        raise ValueError(f"it is a corrupt or truncated zip archive: {error}") from error
    roots = [name[:-8] for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise ValueError("it is a zip archive, but none of torch.save: it has no single data.pkl")
    if f"{roots[0]}byteorder" in members:
        window = Window(file, *members[f"{roots[0]}byteorder"])
        if window.read(min(window.left, 8)) != b"little":
            raise ValueError("its numbers are not little-endian; save it anew on a usual machine")
    storages: dict[str, Storage] = {}
    value = read_pickle(Window(file, *members[f"{roots[0]}data.pkl"]), storages)
    starts = {}
    for key, storage in storages.items():
        start, end = members.get(f"{roots[0]}data/{key}", (0, -1))
        if storage.numel * _item_size(storage) > end - start:
            raise ValueError(f"its storage {shown(key)} is missing or shorter than it claims")
        starts[key] = start
    return value, starts


def _read_legacy(file: BinaryIO) -> tuple[Any, dict[str, int]]:
    """Returns the object of a file of torch < 1.6, and where its storages start."""
    window = Window(file, 0, _stamp(file)[0])
    for expected in (MAGIC, PROTOCOL):
        if read_pickle(window) != expected:
            raise ValueError("it is a pickle, but none of torch.save")
    system = read_pickle(window)
    if type(system) is not Pairs or ("little_endian", True) not in system:
        raise ValueError("its numbers are not little-endian; save it anew on a usual machine")
    storages: dict[str, Storage] = {}
    value = read_pickle(window, storages)
    keys = read_pickle(window)
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise ValueError("its list of storages is corrupt")
    if len(set(keys)) != len(keys) or set(keys) != set(storages):
        raise ValueError("its list of storages is not that of its tensors")
    starts = {}
    for key in keys:
        count = int.from_bytes(window.read(8), "little", signed=True)
        if count != storages[key].numel:
            raise ValueError(f"its storage {shown(key)} is not as long as it claims")
        starts[key] = file.tell()
        window.skip(count * _item_size(storages[key]))
    if window.left:
        raise ValueError(f"it goes on for {window.left} bytes behind its last storage")
    return value, starts


def _item_size(storage: Storage) -> int:
    return np.dtype(DTYPES[storage.kind][0]).itemsize


def _state_of(checkpoint: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the tensors of a checkpoint by name, and the scalars beside them."""
    if type(checkpoint) is not Pairs:
        raise ValueError("there is no state dict in it")
    entries = {name: value for name, value in checkpoint if type(name) is str}
    state, extra = checkpoint, {}
    for key in ("model", "state_dict"):
        if type(entries.get(key)) is Pairs:
            state = entries[key]
            extra = {n: v for n, v in entries.items() if type(v) in (bool, int, float, str)}
            break
    if not any(type(value) is Tensor for _, value in state):
        raise ValueError("there is no state dict in it")
    tensors = {}
    for name, value in state:
        if type(name) is not str:
            raise ValueError("a name in its state dict is no string")
        if type(value) is not Tensor:
            raise ValueError(f"{shown(name)} in its state dict is no tensor")
        if name in tensors:
            raise ValueError(f"{shown(name)} is twice in its state dict")
        tensors[name] = value
    if all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): value for name, value in tensors.items()}
    return tensors, extra


def read_torch_state(path: str | os.PathLike) -> TorchState:
    """Reads the table of a PyTorch checkpoint, and the tensors of it as they are asked for.

    Nothing the file names is imported or called: a fixed table of names is understood, any
    other is refused. Neither is anything unpacked: no tensor is larger than its part of the file.

    Args:
        path: a file of ``torch.save``, a zip archive or of the layout before PyTorch 1.6. It
            holds a state dict, or a dict that has one as ``model`` (as the published PANNs
            have) or ``state_dict``.

    Returns:
        A mapping from names to arrays. The prefix of ``DataParallel`` is dropped. bfloat16,
        which NumPy does not have, comes as float32.

    Raises:
        ValueError: in one line, why the file is refused: it asks for something no state dict
            needs, is truncated or corrupt, or is no checkpoint with a state dict. Reading a
            tensor raises it too, if the file has changed meanwhile.
        OSError: if the file cannot be opened or read.
    """
    with _explained(path), Path(path).open("rb") as file:
        stamp = _stamp(file)
        head = file.read(512)
        if head.startswith(MEMBER):
            layout = _read_zip
        elif head.startswith(PICKLE):
            layout = _read_legacy
        elif head[257:262] == b"ustar":
            raise ValueError("it has the tar layout of old PyTorch; save it anew with a later one")
        elif head:
            raise ValueError(f"it is no file of torch.save; it begins with {head[:12]!r}")
        else:
            raise ValueError("it is empty")
        checkpoint, starts = layout(file)
        tensors, extra = _state_of(checkpoint)
    return TorchState(path, stamp, tensors, starts, extra)
