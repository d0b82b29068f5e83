"""Checkpoints that PyTorch loads, written without PyTorch."""

import math
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

#: PyTorch's names of what a state dict may hold here.
STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}


def write_torch_state(path: str | os.PathLike, checkpoint: Mapping) -> None:
    """Writes a checkpoint in the zip layout of ``torch.save``; equal ones make equal files.

    ``torch.load(path, weights_only=True)`` reads it.

    Args:
        path: of the file, replaced if it exists.
        checkpoint: from strings to numbers or to state dicts: mappings from names to arrays,
            float32 or int64.

    Raises:
        ValueError: for arrays of another type, and for what is none of these.
    """
    arrays: list[np.ndarray] = []
    content = b"\x80\x02" + _opcodes(dict(checkpoint), arrays) + b"."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, "archive/data.pkl", content)
        _store(archive, "archive/byteorder", b"little")
        for number, array in enumerate(arrays):
            # A view, not a copy: bytes as they lie.
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            _store(archive, f"archive/data/{number}", data.reshape(-1).view("uint8").data)
        _store(archive, "archive/version", b"3\n")


def _store(archive: zipfile.ZipFile, name: str, data) -> None:
    info = zipfile.ZipInfo(name)  # dated 1980
    start = archive.fp.tell() + zipfile.sizeFileHeader + len(name.encode()) + 4
    # PyTorch maps files and wants storages at multiples of 64: an extra field of padding.
    info.extra = struct.pack("<HH", 0x4246, -start % 64) + bytes(-start % 64)
    archive.writestr(info, data)


def _opcodes(value: Any, arrays: list[np.ndarray]) -> bytes:
    """Returns the opcodes that make a value, of protocol 2; its arrays join ``arrays``."""
    if isinstance(value, Mapping):
        items = b"".join(_opcodes(k, arrays) + _opcodes(v, arrays) for k, v in value.items())
        return b"}(" + items + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(_opcodes(item, arrays) for item in value) + b"t"
    if isinstance(value, _Opcodes):
        return value
    if isinstance(value, np.ndarray):
        return _tensor(value, arrays)
    if type(value) not in (str, int, float, bool):
        raise ValueError(
            f"a checkpoint holds strings, numbers, arrays and mappings; received {type(value)}"
        )
    return pickle.dumps(value, protocol=2)[2:-1]


def _tensor(array: np.ndarray, arrays: list[np.ndarray]) -> bytes:
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    kind = STORAGES.get(array.dtype.name)
    if kind is None:
        raise ValueError(f"arrays must be of {' or '.join(STORAGES)}; received {array.dtype}")
    strides = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
    identity = ("storage", _name("torch", kind), str(len(arrays)), "cpu", array.size)
    arrays.append(array)
    storage = _Opcodes(_opcodes(identity, arrays) + b"Q")
    hooks = _Opcodes(_name("collections", "OrderedDict") + b")R")
    arguments = _opcodes((storage, 0, array.shape, strides, False, hooks), arrays)
    return _name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


class _Opcodes(bytes):
    """What makes a value already."""


def _name(module: str, name: str) -> _Opcodes:
    return _Opcodes(b"c" + f"{module}\n{name}\n".encode())
