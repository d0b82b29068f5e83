"""The interpreter of pickles: it admits what a state dict needs, and stands up to the rest."""

import io
import pickle
import pickletools
import random
import struct
import tracemalloc
import warnings

import numpy as np
import pytest

from panns_tf.weights import torch_pickle
from panns_tf.weights.torch_pickle import INERT, Pairs, Storage, Tensor, Window, read_pickle

OPCODES = """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINSTRING SHORT_BINSTRING
    BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT MEMOIZE
    BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID
"""
ADMITTED = OPCODES.split()

FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
ARRAY = b"cnumpy\nndarray\n"
ORDERED = b"ccollections\nOrderedDict\n"


def read(stream: bytes, storages: dict | None = None):
    return read_pickle(Window(io.BytesIO(stream), 0, len(stream)), storages)


def reason(stream: bytes) -> str:
    """Why a pickle is refused; empty if it is not. Anything but ValueError goes on."""
    try:
        read(stream, {})
    except ValueError as error:
        return str(error)
    return ""


def peak_of(function, *arguments) -> int:
    """The most memory that a function takes, of Python and NumPy."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def plain(value: object) -> bytes:
    """The opcodes of a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def storage_of(key: str, numel: int, view: object = None) -> bytes:
    items = plain("storage") + FLOATS + plain(key) + plain("cpu") + plain(numel) + plain(view)
    return b"(" + items + b"tQ"


def tensor_of(storage: bytes, *numbers: object) -> bytes:
    return REBUILD + b"(" + storage + b"".join(map(plain, numbers)) + b"NNtR"


STORAGE = storage_of("k", 12)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_values(protocol):
    value = [1, -(2**40), 2**80, 1.5, True, None, "ü", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]
    assert read(pickle.dumps([value, value], protocol)) == [value, value]
    pairs = read(pickle.dumps({"a": 1, 2: {"b": [3]}}, protocol))
    assert type(pairs) is Pairs
    assert pairs == [("a", 1), (2, [("b", [3])])]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_numpy_is_inert(protocol):
    things = [
        *(np.arange(5), np.arange(5000), np.array([]), np.asfortranarray(np.eye(3)), np.int64(3)),
        *(np.float32(1), np.bool_(True), np.array(["ab"]), np.array([None, "x"], object)),
        *(np.zeros(2, [("a", "i4"), ("b", "f8")]), np.dtype("<f4"), b"", b"ab", bytearray(b"ab")),
    ]
    stream = pickle.dumps({"before": 1, "things": things, "after": 2}, protocol)
    expected = [("before", 1), ("things", [INERT] * len(things)), ("after", 2)]
    assert read(stream) == expected
    if protocol < 4:  # as NumPy 1 names it
        assert read(stream.replace(b"cnumpy._core.", b"cnumpy.core.")) == expected


def test_bytes_and_long_arguments_are_passed_over():
    for protocol in range(2, 6):
        for value in ("x" * 2000, b"x" * 2000, b"x"):
            assert read(pickle.dumps([1, value, "after"], protocol)) == [1, INERT, "after"]
    longest = "x" * torch_pickle.LONGEST_STRING
    assert read(pickle.dumps(longest, 2)) == longest
    python2 = b"\x80\x02](U\x03abcT\x02\x00\x00\x00dee."
    assert read(python2) == ["abc", "de"]


def test_long_arguments_take_no_memory():
    assert (
        peak_of(read, pickle.dumps(["x" * 2**24, b"x" * 2**24, np.zeros(2**24, "i1")], 2)) < 2**23
    )
    assert (
        peak_of(read, pickle.dumps([np.zeros(2**8)] + [f"{i}" * 500 for i in range(9)], 4)) < 2**20
    )


def test_storages_and_tensors():
    storages = {}
    stream = tensor_of(STORAGE, 2, (2, 3), (3, 1))
    tensor = read(b"\x80\x02" + stream + b".", storages)
    assert tensor == Tensor("k", "float32", 2, (2, 3), (3, 1))
    assert storages == {"k": Storage("k", "float32", 12)}
    view = tensor_of(storage_of("k", 12, ("v", 4, 6)), 1, (5,), (1,))
    assert read(view + b".", {}) == Tensor("k", "float32", 5, (5,), (1,))
    first = REBUILD.replace(b"_v2", b"") + b"(" + STORAGE
    assert read(first + b"K\x00K\x03\x85K\x01\x85tR.", {}).shape == (3,)
    assert read(PARAMETER + b"(" + stream + b"\x88}tR.", {}) == tensor
    assert read(b"ctorch\nSize\n" + plain(((1, 2),)) + b"R.") == (1, 2)
    assert len(read(b"]ctorch\nfloat32\na.")) == 1


def test_ordered_dict_with_metadata():
    metadata = b"}" + plain("_metadata") + b"}sb"
    assert read(ORDERED + b")R" + plain("a") + b"K\x01s" + metadata + b".") == [("a", 1)]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, (4, 4), (4, 1)), "more elements"),
        ((0, (2**31, 2**31), (0, 0)), "absurd"),
        ((0, (13,), (0,)), "more elements"),
        ((1, (12,), (1,)), "leaves its storage"),
        ((0, (2, 2), (2**62, 1)), "leaves its storage"),
        ((2**70, (1,), (1,)), "leaves its storage"),
        ((0, (2,), (-1,)), "negative"),
        ((-1, (2,), (1,)), "negative"),
        ((0, (-2, -2), (1, 1)), "negative"),
        ((0, (0, 2**62), (1, 1)), "absurd"),
        ((0, (True,), (1,)), "no integers"),
        ((0, (2.0,), (1,)), "no integers"),
        ((0, ("a",), (1,)), "no integers"),
        ((0, (2,), (1, 1)), "absurd"),
        ((0, (1,) * 33, (1,) * 33), "absurd"),
        ((0, [2], (1,)), "wrong parts"),
    ],
)
def test_tensors_beyond_their_storage_are_refused(numbers, message):
    assert read(tensor_of(STORAGE, 0, (3, 4), (1, 3)) + b".", {}).span == 12
    assert message in reason(tensor_of(STORAGE, *numbers) + b".")


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (tensor_of(storage_of("k", 12, ("v", 8, 5)), 0, (1,), (1,)), "view leaves"),
        (tensor_of(storage_of("k", 12, ("v", 4, 6)), 1, (6,), (1,)), "leaves its storage"),
        (storage_of("k", 12, (1,)), "no view"),
        (storage_of("k", 12, ("v", -4, 6)), "no view"),
        (b"]" + STORAGE + b"a" + storage_of("k", 13) + b"a", "two types or lengths"),
        (storage_of("k", -1), "no id of a storage"),
        (storage_of("k", True), "no id of a storage"),
        (STORAGE.replace(b"storage", b"storagf"), "no id of a storage"),
        (STORAGE.replace(FLOATS, ARRAY), "no id of a storage"),
        (b"(K\x01K\x02tQ", "no id of a storage"),
        (b"K\x01Q", "no id of a storage"),
        (REBUILD + b"(" + STORAGE + b"K\x00))NN}tR", "with 7 arguments"),
        (REBUILD + b")R", "with 0 arguments"),
        (ORDERED + b"]\x85R", "OrderedDict with 1 arguments"),
        (b"ctorch\nfloat32\n)R", "torch.float32 with 0 arguments"),
        (PARAMETER + b"N\x85R", "_rebuild_parameter with 1 arguments"),
        (b"K\x01)R", "calls what is no function"),
        (ARRAY + b")R)R", "calls what is no function"),
        (ARRAY + b"]R", "calls what is no function"),
        (b"]}b", "gives a state"),
        (b"K\x01}b", "gives a state"),
        (ARRAY + b"}b", "gives a state"),
        (b"}K\x01a", "puts elements"),
        (b"]K\x01K\x01s", "puts elements"),
        (ARRAY + b")RK\x01a", "puts elements"),
        (b"}(K\x01u", "without a value"),
        (b"K\x01K\x02\x93", "without a name"),
        (b"h\x07", "has not kept"),
        (b"j\xff\xff\xff\xff", "has not kept"),
        (b"K\x01(\x86", "empty stack"),
        (b"(K\x01\x85\x85\x86", "empty stack"),
        (b"K\x01t", "mark is missing"),
        (b"]](ae", "mark is missing"),
        (b"", "empty stack"),
        (b"cos\nsystem\n", "it asks for os.system, which no state dict needs"),
        (plain("os") + plain("system") + b"\x93", "it asks for os.system"),
        (b"c" + b"o" * 500 + b"\nsystem\n", "ooo..., which"),
        (plain("o\ns") + plain("system") + b"\x93", r"it asks for 'o\ns.system'"),
        (b"c" + b"o" * 5000, "its pickle is corrupt: no newline"),
        (b"c" + b"o" * 50, "it is truncated: it ends within a name"),
        (b"\xff", "its pickle is corrupt: at position"),
        (b"X\x02\x00\x00\x00\xff\xff", "its pickle is corrupt: 'utf-8'"),
    ],
)
def test_corrupt_pickles_are_refused(stream, message):
    assert message in reason(stream + b".")


def test_storages_are_refused_where_none_belong():
    with pytest.raises(ValueError, match="out of place"):
        read(STORAGE + b".")


@pytest.mark.parametrize("opcode", pickletools.opcodes, ids=lambda opcode: opcode.name)
def test_each_opcode_is_admitted_or_refused(opcode):
    texts = {"stringnl": b"'a'\n", "stringnl_noescape_pair": b"os\nsystem\n"}
    argument = b""
    if opcode.arg and opcode.arg.n == pickletools.UP_TO_NEWLINE:
        argument = texts.get(opcode.arg.name, b"1\n")
    elif opcode.arg:  # zeros, also for the length of what has a length in 1, 4, 4 or 8 bytes
        argument = bytes({-2: 1, -3: 4, -4: 4, -5: 8}.get(opcode.arg.n, opcode.arg.n))
    message = reason(b"NN(NN" + opcode.code.encode("latin-1") + argument + b".")
    refused = f"opcode {opcode.name}, which no state dict needs" in message
    assert refused == (opcode.name not in ADMITTED)


@pytest.mark.parametrize("claim", [2000, 2**31 - 1, 2**62, 2**63 + 5])
@pytest.mark.parametrize(("code", "form"), [*zip("BXT\x8b\x8d\x8e\x96", "IIIIQQQ", strict=True)])
def test_no_argument_is_allocated_before_it_is_there(code, form, claim):
    claim %= 256 ** struct.calcsize(f"<{form}")
    stream = code.encode("latin-1") + struct.pack(f"<{form}", claim) + b"ab"
    assert reason(stream)
    assert peak_of(reason, stream) < 2**23


def test_absurd_memo_indices_take_no_memory():
    stream = b"K\x01r\xff\xff\xff\xff\x85j\xff\xff\xff\xff."
    assert read(stream) == 1
    assert peak_of(read, stream) < 2**23


NEST = b")" + b"\x85" * 50_000


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (NEST, ""),
        (b"]" * 50_000 + b"a" * 49_999, ""),
        (b"}" + b"K\x01}" * 50_000 + b"s" * 50_000, ""),
        (b"(" * 50_000 + b"t" * 50_000, ""),
        (b"]q\x00h\x00a", ""),
        (b"}" + NEST + b"K\x01s", ""),
        (ARRAY + NEST + b"R", ""),
        (b"ctorch\nSize\n" + NEST + b"R", ""),
        (NEST + b"Q", "corrupt"),
        (b"(" + NEST + FLOATS + NEST + NEST + b"NtQ", "corrupt"),
        (REBUILD + b"(" + STORAGE + b"K\x00" + NEST + NEST + b"NNtR", "no integers"),
    ],
    ids=str.split("tuples lists dicts marks cycle key call size id id-parts shape"),
)
def test_deep_nesting_does_no_harm(stream, message):
    found = reason(stream + b".")
    assert message in found
    assert bool(message) == bool(found)


def test_the_number_of_opcodes_is_bounded(monkeypatch):
    monkeypatch.setattr(torch_pickle, "MOST_OPCODES", 1000)
    assert len(read(b"](" + b"N" * 996 + b"e.")) == 996
    assert "more than 1000 opcodes" in reason(b"](" + b"N" * 997 + b"e.")


def test_text_that_warns_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "corrupt" in reason(b"S'\\q'\n.")


def test_random_opcodes_raise_nothing_else():
    letters = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    letters += [FLOATS, REBUILD, plain((2, 3)), plain("storage"), STORAGE] * 8
    generator = random.Random(0)
    messages = [
        reason(b"".join(generator.choices(letters, k=generator.randint(1, 12))) + b".")
        for _ in range(3000)
    ]
    assert {bool(message) for message in messages} == {True, False}
    assert len(set(messages)) > 30
