"""Checkpoints that PyTorch loads, written without PyTorch."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

#: PyTorch's names of what a state dict may hold here.
STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}

#: The archive's folder, as PyTorch names it in files that have no name.
ROOT = "archive"

#: PyTorch maps files, and wants storages at multiples of this.
ALIGNMENT = 64

#: Opcodes of pickle, protocol 2.
PROTO, STOP, MARK, TUPLE, EMPTY_TUPLE, REDUCE = b"\x80\x02", b".", b"(", b"t", b")", b"R"
EMPTY_DICT, SETITEMS, BINPERSID, FALSE = b"}", b"u", b"Q", b"\x89"


def write_torch_state(path: str | os.PathLike, checkpoint: Mapping) -> None:
    """Writes a checkpoint in the zip layout of ``torch.save``.

    ``torch.load(path, weights_only=True)`` reads it.

    Args:
        path: of the file, replaced if it exists.
        checkpoint: from strings to numbers or to state dicts: mappings from names to arrays,
            float32 or int64.

    Raises:
        ValueError: for arrays of another type, and for what is none of these.
    """
    arrays: list[np.ndarray] = []
    content = PROTO + _value(dict(checkpoint), arrays) + STOP
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, f"{ROOT}/data.pkl", content)
        _store(archive, f"{ROOT}/byteorder", b"little")
        for number, array in enumerate(arrays):
            # A view, not a copy: bytes as they lie.
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            _store(archive, f"{ROOT}/data/{number}", data.reshape(-1).view("uint8").data)
        _store(archive, f"{ROOT}/version", b"3\n")


def _store(archive: zipfile.ZipFile, name: str, data) -> None:
    info = zipfile.ZipInfo(name)  # dated 1980, so that equal weights make equal files
    start = archive.fp.tell() + zipfile.sizeFileHeader + len(name.encode())
    # An extra field of padding: its two-byte tag, two-byte length, then zeros.
    padding = -(start + 4) % ALIGNMENT
    info.extra = struct.pack("<HH", 0x4246, padding) + bytes(padding)
    archive.writestr(info, data)


def _plain(value) -> bytes:
    """The opcodes of a string or number."""
    return pickle.dumps(value, protocol=2)[len(PROTO) : -len(STOP)]


def _global(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode()


def _tuple(*items: bytes) -> bytes:
    return MARK + b"".join(items) + TUPLE


def _value(value, arrays: list[np.ndarray]) -> bytes:
    if isinstance(value, Mapping):
        content = io.BytesIO()
        for name, item in value.items():
            content.write(_plain(name) + _value(item, arrays))
        return EMPTY_DICT + MARK + content.getvalue() + SETITEMS
    if isinstance(value, np.ndarray):
        return _tensor(value, arrays)
    if type(value) not in (str, int, float, bool):
        raise ValueError(
            f"a checkpoint holds strings, numbers, arrays and mappings; received {type(value)}"
        )
    return _plain(value)


def _tensor(array: np.ndarray, arrays: list[np.ndarray]) -> bytes:
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    kind = STORAGES.get(array.dtype.name)
    if kind is None:
        raise ValueError(f"arrays must be of {' or '.join(STORAGES)}; received {array.dtype}")
    strides = [int(np.prod(array.shape[axis + 1 :], dtype=int)) for axis in range(array.ndim)]
    storage = _tuple(
        _plain("storage"),
        _global("torch", kind),
        _plain(str(len(arrays))),
        _plain("cpu"),
        _plain(array.size),
    )
    arrays.append(array)
    hooks = _global("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE
    return (
        _global("torch._utils", "_rebuild_tensor_v2")
        + _tuple(
            storage + BINPERSID,
            _plain(0),
            _tuple(*map(_plain, array.shape)),
            _tuple(*map(_plain, strides)),
            FALSE,
            hooks,
        )
        + REDUCE
    )
