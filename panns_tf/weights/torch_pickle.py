"""Pickles of PyTorch state dicts, read without importing or calling anything they name."""

import dataclasses
import math
import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO

#: A longer string is no name of a tensor but the data of something beside the model.
LONGEST_STRING = 1024

#: A state dict of a thousand tensors takes some 50 000; each can take about 80 bytes of memory.
MOST_OPCODES = 2**22

#: More elements than any memory holds; below it, no product overflows in NumPy.
MOST_ELEMENTS = 2**48


class Inert:
    """Stands for anything that is no part of a state dict; nothing is kept of it."""


INERT = Inert()


class Pairs(list):
    """A dict as the file has it: (key, value) in order, not hashed, repeated keys and all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle asks for: ``module name``."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers in the file, or a view of one: ``numel`` from ``first`` on."""

    key: str
    kind: str
    numel: int
    first: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor within the storage of this key; ``offset`` and ``strides`` count elements."""

    key: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def span(self) -> int:
        """Elements from the first to the last, those between them included."""
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))


ORDERED_DICT = "collections OrderedDict"

#: By function: how many arguments it takes. PyTorch adds a seventh for what NumPy cannot tell.
TENSORS = {"torch._utils _rebuild_tensor": 4, "torch._utils _rebuild_tensor_v2": 6}

#: By function that gives back its first argument: the type of that.
PASSED_ON = {"torch._utils _rebuild_parameter": Tensor, "torch Size": tuple}

STORAGES = {
    "torch FloatStorage": "float32",
    "torch DoubleStorage": "float64",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
    "torch UntypedStorage": "uint8",
    "torch.storage UntypedStorage": "uint8",
}

#: What arrays, scalars and bytes beside the model ask for: calling these gives `INERT`.
PLACEHOLDERS = {
    "numpy ndarray",
    "numpy dtype",
    "_codecs encode",
    "builtins bytes",
    "builtins bytearray",
    "__builtin__ bytes",
    "__builtin__ bytearray",
    *(
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in ("multiarray _reconstruct", "multiarray scalar", "numeric _frombuffer")
    ),
}

#: Types of numbers, which nothing is done with.
NUMBERS = {f"torch {kind}" for kind in STORAGES.values()}

#: All that is understood. No name is ever looked up anywhere else.
KNOWN = {
    name: Global(name)
    for names in ({ORDERED_DICT}, TENSORS, PASSED_ON, STORAGES, PLACEHOLDERS, NUMBERS)
    for name in names
}

#: By opcode: what it pushes. Bytes are never part of a state dict.
CONSTANTS = {
    **{"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()},
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), INERT),
}

#: By opcode: the length of the tuple that it makes.
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

#: Opcodes that push their argument; `PASSED_OVER` is one whose argument has been skipped.
PUSHED = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "PASSED_OVER"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
}

#: Opcodes without effect here; STOP is the last that comes.
UNHEEDED = {"PROTO", "FRAME", "STOP"}


def shown(text: str) -> str:
    """Returns a name from the file, fit to stand in a message of one line."""
    text = text if len(text) <= 100 else f"{text[:97]}..."
    return text if text.isprintable() else ascii(text)


def is_count(value: Any) -> bool:
    """Says whether a value from a pickle is an integer from 0 on (and no truth value)."""
    return type(value) is int and value >= 0


class _Truncated(ValueError):  # noqa: N818
    """The file ends before what it announces does."""


class _PassedOver(Exception):  # noqa: N818
    """A long argument has been skipped; the file stands behind it."""


class Window:
    """A part of a file to read forward: never beyond its end, and never much at once."""

    def __init__(self, file: BinaryIO, start: int, end: int):
        file.seek(start)
        self._file = file
        self.left = end - start

    def _take(self, size: int) -> None:
        if not 0 <= size <= self.left:
            raise _Truncated(f"it is truncated: {size} bytes are called for, {self.left} are left")
        self.left -= size

    def skip(self, size: int) -> None:
        self._take(size)
        self._file.seek(size, 1)

    def read(self, size: int) -> bytes:
        if size > LONGEST_STRING:
            self.skip(size)
            raise _PassedOver
        self._take(size)
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(min(self.left, LONGEST_STRING))
        self.left -= len(line)
        if not self.left and not line.endswith(b"\n"):
            raise _Truncated("it is truncated: it ends within a name")
        return line


def _opcodes(window: Window) -> Iterator[tuple[str, Any]]:
    # The argument is the last thing read of an opcode, and each opcode with a long one pushes it.
    while True:
        try:
            for opcode, argument, _ in pickletools.genops(window):
                yield opcode.name, argument
            return
        except _PassedOver:
            yield "PASSED_OVER", INERT
        except _Truncated:
            raise
        except (ValueError, Warning) as error:  # a warning where warnings are made errors
            raise ValueError(f"its pickle is corrupt: {error}") from error


class _Machine:
    """The stack machine of pickles, with the few opcodes that a state dict needs."""

    def __init__(self, storages: dict[str, Storage] | None):
        self.storages = storages
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, window: Window) -> Any:
        for count, (name, argument) in enumerate(_opcodes(window)):
            if count == MOST_OPCODES:
                raise ValueError(f"its pickle has more than {MOST_OPCODES} opcodes")
            if name in PUSHED:
                self.stack.append(argument)
            elif name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in TUPLES:
                self.stack.append(tuple(self.last(TUPLES[name])))
            elif name not in UNHEEDED:
                self.act(name, argument)
        return self.top()

    def act(self, name: str, argument: Any) -> None:
        """Does an opcode that is in none of the tables."""
        match name:
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.top()
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.top()
            case "BINGET" | "LONG_BINGET":
                if argument not in self.memo:
                    raise ValueError("its pickle is corrupt: it recalls what it has not kept")
                self.stack.append(self.memo[argument])
            case "MARK":
                self.marks.append(len(self.stack))
            case "TUPLE":
                self.stack.append(tuple(self.marked()))
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append(Pairs())
            case "APPEND":
                self.extend(list, self.last(1))
            case "APPENDS":
                self.extend(list, self.marked())
            case "SETITEM":
                self.extend(Pairs, [tuple(self.last(2))])
            case "SETITEMS":
                values = self.marked()
                if len(values) % 2:
                    raise ValueError("its pickle is corrupt: a key without a value")
                self.extend(Pairs, list(zip(values[::2], values[1::2], strict=True)))
            case "GLOBAL":
                self.stack.append(_global(argument))
            case "STACK_GLOBAL":
                module, attribute = self.last(2)
                if type(module) is not str or type(attribute) is not str:
                    raise ValueError("its pickle is corrupt: a global without a name")
                self.stack.append(_global(f"{module} {attribute}"))
            case "REDUCE":
                self.stack.append(_called(*self.last(2)))
            case "BUILD":
                # the state of an OrderedDict is PyTorch's `_metadata`: versions of modules
                self.last(1)
                if self.top() is not INERT and type(self.top()) is not Pairs:
                    raise ValueError("its pickle is corrupt: it gives a state to what has none")
            case "BINPERSID":
                if self.storages is None:
                    raise ValueError("its pickle is corrupt: a storage out of place")
                self.stack.append(_storage(*self.last(1), self.storages))
            case _:
                raise ValueError(f"it uses the pickle opcode {name}, which no state dict needs")

    def last(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("its pickle is corrupt: it takes from an empty stack")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def marked(self) -> list[Any]:
        if not self.marks or self.marks[-1] > len(self.stack):
            raise ValueError("its pickle is corrupt: a mark is missing")
        return self.last(len(self.stack) - self.marks.pop())

    def top(self) -> Any:
        if not self.stack:
            raise ValueError("its pickle is corrupt: it takes from an empty stack")
        return self.stack[-1]

    def extend(self, kind: type, values: list[Any]) -> None:
        if type(self.top()) is not kind:
            raise ValueError("its pickle is corrupt: it puts elements into what takes none")
        self.top().extend(values)


def _global(name: str) -> Global:
    if name not in KNOWN:
        raise ValueError(f"it asks for {shown(name.replace(' ', '.'))}, which no state dict needs")
    return KNOWN[name]


def _called(function: Any, arguments: Any) -> Any:
    """Returns what a function of the table makes of its arguments."""
    if type(function) is not Global or type(arguments) is not tuple:
        raise ValueError("its pickle is corrupt: it calls what is no function")
    name = function.name
    if name in PLACEHOLDERS:
        return INERT
    if name == ORDERED_DICT and not arguments:
        return Pairs()
    if len(arguments) == TENSORS.get(name):
        return _tensor(*arguments[:4])
    if name in PASSED_ON and arguments and type(arguments[0]) is PASSED_ON[name]:
        return arguments[0]
    name = name.replace(" ", ".")
    raise ValueError(f"it calls {name} with {len(arguments)} arguments, as no state dict does")


def _storage(identity: Any, storages: dict[str, Storage]) -> Storage:
    """Returns what a persistent id names: (storage, type, key, location, numel[, view])."""
    if type(identity) is not tuple or len(identity) not in (5, 6):
        raise ValueError("its pickle is corrupt: no id of a storage")
    word, kind, key, _, numel = identity[:5]
    view = identity[5] if len(identity) == 6 else None
    typed = type(kind) is Global and kind.name in STORAGES
    if word != "storage" or not typed or type(key) is not str or not is_count(numel):
        raise ValueError("its pickle is corrupt: no id of a storage")
    storage = Storage(key, STORAGES[kind.name], numel)
    if storages.setdefault(key, storage) != storage:
        raise ValueError(f"its storage {shown(key)} is of two types or lengths")
    if view is None:
        return storage
    if type(view) is not tuple or len(view) != 3 or not all(map(is_count, view[1:])):
        raise ValueError("its pickle is corrupt: no view of a storage")
    if view[1] + view[2] > numel:
        raise ValueError(f"a view leaves its storage {shown(key)}")
    return Storage(key, storage.kind, view[2], view[1])


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """Returns a tensor that lies within its storage and has no more elements than it."""
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise ValueError("its pickle is corrupt: a tensor of the wrong parts")
    if len(shape) != len(strides) or len(shape) > 32:
        raise ValueError("a tensor's shape is absurd")
    if not all(map(is_count, (offset, *shape, *strides))):
        raise ValueError("a tensor's offset, shape or strides are negative or no integers")
    if math.prod(filter(None, shape)) > MOST_ELEMENTS:
        raise ValueError("a tensor's shape is absurd")
    if not math.prod(shape):
        return Tensor(storage.key, storage.kind, 0, shape, (0,) * len(shape))
    if math.prod(shape) > storage.numel:
        raise ValueError(f"a tensor has more elements than its storage {shown(storage.key)}")
    strides = tuple(s if n > 1 else 0 for n, s in zip(shape, strides, strict=True))
    tensor = Tensor(storage.key, storage.kind, storage.first + offset, shape, strides)
    if offset + tensor.span > storage.numel:
        raise ValueError(f"a tensor leaves its storage {shown(storage.key)}")
    return tensor


def read_pickle(window: Window, storages: dict[str, Storage] | None = None) -> Any:
    """Reads one pickle from where a window stands, up to its STOP.

    Args:
        window: the part of the file that may be read.
        storages: takes the storages that the pickle names, by key. None where none may occur.

    Returns:
        Numbers, strings, tuples and lists as they are, dicts as `Pairs`, tensors as `Tensor`,
        and `INERT` for everything else.

    Raises:
        ValueError: at the first global or opcode that a state dict has no use for, before
            anything behind it is read, or where the pickle is truncated or corrupt.
    """
    return _Machine(storages).run(window)
