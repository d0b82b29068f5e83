"""Checkpoints of PyTorch, read without PyTorch and without running anything they hold."""

import contextlib
import dataclasses
import io
import mmap
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from panns_tf.weights.torch_pickle import STORAGES, Storage, Tensor, read_pickle, shown

#: What a member of a zip archive begins with, and a pickle of protocol 2 or later.
ZIP_MAGIC, PICKLE_MAGIC = b"PK\3\4", b"\x80"

#: The two numbers that begin a file of the layout before PyTorch 1.6.
LEGACY_HEAD = (0x1950A86A20F9469CFC6C, 1001)

#: Bytes of a zip archive's table of contents, which takes some 100 per storage.
MAX_CONTENTS = 2**22


class TorchState(Mapping):
    """The state dict of a checkpoint: names to arrays, each read from the file when asked for.

    Attributes:
        extra: the plain scalars that the checkpoint holds beside the model, such as
            ``iteration``.
    """

    def __init__(self, path: str | os.PathLike, starts: dict, tensors: dict, extra: dict):
        self._path = Path(path)
        self._modified = self._path.stat().st_mtime_ns
        self._starts: dict[str, int] = starts
        self._tensors: dict[str, Tensor] = tensors
        self.extra: dict[str, Any] = extra

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
        return np.dtype(STORAGES[self._tensors[name].storage.kind][1])

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a tensor of the file, as an array of its own."""
        return self._read(self._tensors[name])

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Returns ``state[name][start:stop]`` and reads no more than that."""
        tensor = self._tensors[name]
        start, stop, _ = slice(start, stop).indices(tensor.shape[0])
        offset = tensor.offset + start * tensor.strides[0]
        shape = (max(0, stop - start), *tensor.shape[1:])
        return self._read(dataclasses.replace(tensor, offset=offset, shape=shape))

    def _read(self, tensor: Tensor) -> np.ndarray:
        storage = tensor.storage
        start = self._starts[storage.key] + tensor.offset * storage.stored.itemsize
        with _explained(self._path):
            if self._path.stat().st_mtime_ns != self._modified:
                raise ValueError("it has changed since it was opened")
            flat = np.fromfile(self._path, storage.stored, tensor.span, offset=start)
            if flat.size != tensor.span:
                raise ValueError("it is truncated: a tensor ends beyond it")
            if storage.kind == "BFloat16Storage":
                flat = (flat.astype(np.uint32) << 16).view(np.float32)
            elif storage.kind == "BoolStorage":
                flat = flat != 0
            strides = [stride * flat.itemsize for stride in tensor.strides]
            array = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides)
            return array if array.flags.c_contiguous else array.copy()


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
        head = file.read(512)
        if head[257:262] == b"ustar":
            raise ValueError("it has the tar layout of old PyTorch; save it anew with a later one")
        if not head:
            raise ValueError("it is empty")
        if not head.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
            raise ValueError(f"it is no file of torch.save; it begins with {head[:12]!r}")
        read = _read_zip if head.startswith(ZIP_MAGIC) else _read_legacy
        # A mapped file gives no more than there is, whatever length an opcode claims.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            checkpoint, starts = read(content)
        return TorchState(path, starts, *_state_of(checkpoint))


def _read_zip(file: mmap.mmap) -> tuple[Any, dict[str, int]]:
    """Returns the object of a file of torch >= 1.6, and where its storages start."""
    try:
        members = _zip_members(file)
    except Exception as error:  # zipfile raises whatever it meets
        raise ValueError(f"it is a corrupt or truncated zip archive: {error}") from error
    roots = [name[:-8] for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise ValueError("it is a zip archive, but none of torch.save: it has no single data.pkl")
    if (order := members.get(f"{roots[0]}byteorder")) and file[slice(*order)] != b"little":
        raise ValueError("its numbers are not little-endian; save it anew on a usual machine")
    storages: dict[str, Storage] = {}
    value = read_pickle(io.BytesIO(file[slice(*members[f"{roots[0]}data.pkl"])]), storages)
    starts = {}
    for key, storage in storages.items():
        start, end = members.get(f"{roots[0]}data/{key}", (0, -1))
        if storage.size * storage.stored.itemsize > end - start:
            raise ValueError(f"its storage {shown(key)} is missing or shorter than it claims")
        starts[key] = start
    return value, starts


def _zip_members(file: mmap.mmap) -> dict[str, tuple[int, int]]:
    """Returns by name where the members of an archive start and end; none is read."""
    with zipfile.ZipFile(_Bounded(file)) as archive:
        infos = archive.infolist()
    members = {}
    for info in infos:
        name, size = info.filename, info.file_size
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == size
        if not stored or info.flag_bits & 1:
            raise ValueError(f"its member {shown(name)} is compressed; torch.save only stores")
        header = file[info.header_offset : info.header_offset + zipfile.sizeFileHeader]
        if len(header) < zipfile.sizeFileHeader or not header.startswith(ZIP_MAGIC):
            raise ValueError(f"its member {shown(name)} is not where the archive says")
        start = info.header_offset + len(header) + sum(struct.unpack_from("<HH", header, 26))
        if start + size > len(file) or name in members:
            raise ValueError(f"its member {shown(name)} leaves the file or is there twice")
        members[name] = start, start + size
    return members


class _Bounded:
    """A file as `zipfile` reads its table of contents, which must not be absurdly long."""

    def __init__(self, file: mmap.mmap):
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = MAX_CONTENTS) -> bytes:
        if not 0 <= size <= MAX_CONTENTS:
            raise ValueError(f"its table of contents takes {size} bytes")
        return self._read(size)


def _read_legacy(file: mmap.mmap) -> tuple[Any, dict[str, int]]:
    """Returns the object of a file of torch < 1.6, and where its storages start."""
    for expected in LEGACY_HEAD:
        if read_pickle(file) != expected:
            raise ValueError("it is a pickle, but none of torch.save")
    system = read_pickle(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers are not little-endian; save it anew on a usual machine")
    storages: dict[str, Storage] = {}
    value = read_pickle(file, storages)
    keys = read_pickle(file)
    if type(keys) is not list or sorted(map(repr, keys)) != sorted(map(repr, storages)):
        raise ValueError("its list of storages is not that of its tensors")
    starts = {}
    for key in keys:
        if int.from_bytes(file.read(8), "little", signed=True) != storages[key].size:
            raise ValueError(f"its storage {shown(key)} is not as long as it claims")
        starts[key] = file.tell()
        end = starts[key] + storages[key].size * storages[key].stored.itemsize
        if end > len(file):
            raise ValueError(f"it is truncated: its storage {shown(key)} ends beyond it")
        file.seek(end)
    if left := len(file) - file.tell():
        raise ValueError(f"it goes on for {left} bytes behind its last storage")
    return value, starts


def _state_of(checkpoint: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the tensors of a checkpoint by name, and the scalars beside them."""
    whole = checkpoint if isinstance(checkpoint, dict) else {}
    nested = [whole[key] for key in ("model", "state_dict") if isinstance(whole.get(key), dict)]
    state, extra = nested[0] if nested else whole, whole if nested else {}
    if not any(type(value) is Tensor for value in state.values()):
        raise ValueError("there is no state dict in it")
    for name, value in state.items():
        if type(name) is not str:
            raise ValueError("a name in its state dict is no string")
        if type(value) is not Tensor:
            raise ValueError(f"{shown(name)} in its state dict is no tensor")
    if all(name.startswith("module.") for name in state):  # saved as a DataParallel
        state = {name.removeprefix("module."): value for name, value in state.items()}
    scalars = (bool, int, float, str)
    return state, {k: v for k, v in extra.items() if type(k) is str and type(v) in scalars}
