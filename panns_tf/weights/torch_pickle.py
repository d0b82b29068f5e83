"""Pickles of PyTorch state dicts, read without importing or calling anything that they name."""

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

#: Most opcodes, each of which can take 80 bytes of memory; 1,000 tensors have some 50,000.
MAX_OPCODES = 2**22
#: Most members of a tuple and of the tuples in it. Hashing it as a key takes as many steps.
MAX_TUPLE = 10_000
#: Most elements of a tensor: more than fit into memory, but few enough for NumPy's integers.
MAX_ELEMENTS = 2**48

#: The opcodes of state dicts, and of arrays and numbers in the same file.
OPCODES = """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES
    BINBYTES8 BYTEARRAY8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS
    EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL
    STACK_GLOBAL REDUCE BUILD BINPERSID
"""
ALLOWED = frozenset(OPCODES.split())

# fmt: off
#: NumPy's types of the numbers in a storage, by PyTorch's class. A bfloat16 is the upper half of a
#: float32, and every byte but 0 is true.
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
    "ByteStorage": "u1", "UntypedStorage": "u1", "BoolStorage": "u1",
}
# fmt: on


class RefusedError(ValueError):
    """The reason for which a file is refused."""


# These three are tuples: they have no attributes that a BUILD of a pickle could set.
class Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    kind: str
    size: int
    itemsize: int


class Tensor(NamedTuple):
    """A view of a storage, in elements; ``span`` counts those from its first to its last."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    span: int


class _Function(NamedTuple):
    function: Callable

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class _Placeholder:
    """The empty substitute of all objects that do not belong to a state dict."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Dict(_Placeholder, dict):
    """An OrderedDict without PyTorch's ``_metadata``."""


def read_pickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Reads the next pickle of a file, in which tensors are `Tensor`, and its storages by key."""
    start = file.tell()
    _check_opcodes(file)
    length = file.tell() - start
    file.seek(start)
    unpickler = _Unpickler(io.BytesIO(file.read(length)), encoding="latin1")
    return unpickler.load(), unpickler.storages


def _check_opcodes(file: BinaryIO) -> None:
    """Refuses a pickle that would take much more memory or time than its length.

    `genops` refuses arguments that are longer than the file. ``sizes`` follows the unpickler's
    stack: a tuple has the number of its members, each counted as often as it occurs, others have 1.
    """
    sizes: list[int] = []
    marks: list[int] = []
    memo: dict[int, int] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        name, operands = opcode.name, opcode.stack_before
        if name not in ALLOWED:
            raise RefusedError(f"it uses the pickle opcode {name}, which no state dict needs")
        if count >= MAX_OPCODES:
            raise RefusedError(f"its pickle has more than {MAX_OPCODES} opcodes")
        if name == "GLOBAL":  # a name says more than an opcode that follows it
            _check_name(argument)
        if name == "MARK":
            marks.append(len(sizes))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(memo) if argument is None else argument
            if index > count:  # the unpickler allocates all entries up to it
                raise RefusedError(f"its pickle is corrupt: it writes memo entry {index}")
            memo[index] = sizes[-1]
        else:
            # If the stack has too few values the unpickler fails here, before later opcodes.
            marked = pickletools.markobject in operands
            first = marks.pop() - (len(operands) - 2) if marked else len(sizes) - len(operands)
            size = memo[argument] if name in ("BINGET", "LONG_BINGET") else 1
            if name.startswith("TUPLE") or name == "REDUCE":
                size += sum(sizes[first:])
            if size > MAX_TUPLE:
                raise RefusedError(f"its pickle has a tuple of more than {MAX_TUPLE} members")
            sizes[first:] = [size] * len(opcode.stack_after)


def _check_name(name: str) -> str:
    if name not in NAMES:
        dotted = printable(name.replace(" ", "."))
        raise RefusedError(f"it asks for {dotted}, which no state dict needs")
    return name


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, **settings):
        super().__init__(file, **settings)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        return NAMES[_check_name(f"{module} {name}")]

    def persistent_load(self, identity: Any) -> Storage:
        """The storage of an id: (storage, type, key, location, numel[, None])."""
        tag, kind, key, _, size, *view = identity
        is_named = type(kind) is str and kind in STORAGES and type(key) is str
        if tag != "storage" or not is_named or not _are_counts(size) or view not in ([], [None]):
            raise RefusedError("its pickle is corrupt: a storage has an invalid id")
        storage = Storage(key, kind, size, int(STORAGES[kind][-1]))
        if self.storages.setdefault(key, storage) != storage:
            raise RefusedError(f"its storage {printable(key)} is of two types or lengths")
        return storage


def _are_counts(*values: Any) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


def _rebuild_tensor(storage, offset, shape, strides, requires_grad=False, hooks=None) -> Tensor:
    """A tensor within its storage; NumPy has nothing like PyTorch's seventh argument, metadata."""
    typed = type(storage) is Storage and type(shape) is type(strides) is tuple
    counts = typed and len(shape) == len(strides) <= 32 and _are_counts(offset, *shape, *strides)
    if not counts or math.prod(filter(None, shape)) > MAX_ELEMENTS:
        raise RefusedError("a tensor's offset, shape or strides are not those of an array")
    if 0 in shape:
        return Tensor(storage, 0, shape, (0,) * len(shape), 0)
    strides = tuple(s if n > 1 else 0 for n, s in zip(shape, strides, strict=True))
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if max(math.prod(shape), offset + span) > storage.size:
        raise RefusedError(f"a tensor leaves its storage {printable(storage.key)}")
    return Tensor(storage, offset, shape, strides, span)


# fmt: off
#: Names in pickles of arrays, scalars and bytes besides the model, and PyTorch's dtypes.
PLACEHOLDERS = (
    "numpy ndarray", "numpy dtype", "_codecs encode", "builtins bytes", "builtins bytearray",
    "__builtin__ bytes", "__builtin__ bytearray", "numpy.core.multiarray _reconstruct",
    "numpy.core.multiarray scalar", "numpy.core.numeric _frombuffer", "torch bool",
    "numpy._core.multiarray _reconstruct", "numpy._core.multiarray scalar",
    "numpy._core.numeric _frombuffer", "torch float32", "torch float64", "torch float16",
    "torch bfloat16", "torch int64", "torch int32", "torch int16", "torch int8", "torch uint8",
)
# fmt: on

#: All names that pickles may use, as "module name", and their substitutes.
NAMES = {
    "collections OrderedDict": _Function(lambda: _Dict()),
    "torch._utils _rebuild_tensor": _Function(_rebuild_tensor),
    "torch._utils _rebuild_tensor_v2": _Function(_rebuild_tensor),
    "torch._utils _rebuild_parameter": _Function(lambda tensor, *_: tensor),
    "torch Size": _Function(lambda sizes: sizes),
    **dict.fromkeys(PLACEHOLDERS, _Function(lambda *_: _Placeholder())),
    **{f"torch {kind}": kind for kind in STORAGES},
    "torch.storage UntypedStorage": "UntypedStorage",
}


def printable(text: str) -> str:
    """A name from the file, shortened and escaped for a message of one line."""
    text = text if len(text) <= 100 else f"{text[:97]}..."
    return text if text.isprintable() else ascii(text)
