"""Checkpoints of PyTorch in both layouts, written here without it and, where it is, by it."""

import builtins
import collections
import io
import os
import pickle
import pickletools
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from panns_tf.weights import torch_pickle
from panns_tf.weights.torch_file import LEGACY_HEAD, read_torch_state

SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
KINDS = {
    "Float": np.float32,
    "Double": np.float64,
    "Half": np.float16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}


class Named:
    """Is pickled as a global of this name, whether it exists or not."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __call__(self):
        raise NotImplementedError("pickle asks that it can be called")


class Call:
    """Is pickled as a call, and a state if there is one."""

    def __init__(self, function: object, *arguments: object, state: object = None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


class Storage:
    """Is pickled as PyTorch pickles a storage; its bytes are written by the layouts below."""

    def __init__(self, kind: str, data: np.ndarray, **claims: object):
        self.kind, self.data, self.claims = kind, data, claims


class Pickler(pickle._Pickler):
    """Pickles the classes above; storages get the keys 0, 1, ... as they come."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def __init__(self, file: io.BytesIO, protocol: int, view: tuple):
        super().__init__(file, protocol)
        self.view = view
        self.storages: dict[int, Storage] = {}

    def persistent_id(self, value: object):
        if not isinstance(value, Storage):
            return None
        self.storages.setdefault(id(value), value)
        key = str(list(self.storages).index(id(value)))
        claims = {"key": key, "numel": value.data.size, **value.claims}
        kind = Named("torch", f"{value.kind}Storage")
        return "storage", kind, claims["key"], "cpu", claims["numel"], *self.view

    def save_named(self, value: Named) -> None:
        if self.proto >= 4:
            self.save(value.module)
            self.save(value.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        self.memoize(value)

    dispatch[Named] = save_named


def pickled(value: object, protocol: int = 2, view: tuple = ()) -> tuple[bytes, list[np.ndarray]]:
    """Returns a pickle and the arrays of its storages. Bytes are a finished pickle."""
    if isinstance(value, bytes):
        return value, []
    file = io.BytesIO()
    pickler = Pickler(file, protocol, view)
    pickler.dump(value)
    return file.getvalue(), [storage.data for storage in pickler.storages.values()]


def write_zip(path: Path, value: object, protocol: int = 2, order: bytes = b"little") -> Path:
    stream, arrays = pickled(value, protocol)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", stream)
        if order:
            archive.writestr("net/byteorder", order)
        for key, array in enumerate(arrays):
            archive.writestr(f"net/data/{key}", array.tobytes())
        archive.writestr("net/version", "3\n")
    return path


def write_legacy(path: Path, value: object, protocol: int = 2, **parts: object) -> Path:
    stream, arrays = pickled(value, protocol, view=(None,))
    keys = sorted(map(str, range(len(arrays))), reverse=True)
    magic, version = LEGACY_HEAD
    standard = {"magic": magic, "version": version, "system": SYSTEM, "value": stream, "keys": keys}
    with path.open("wb") as file:
        for part in (standard | parts).values():
            file.write(pickled(part, protocol)[0])
        for key in keys:
            file.write(struct.pack("<q", arrays[int(key)].size) + arrays[int(key)].tobytes())
    return path


LAYOUTS = {"zip": write_zip, "legacy": write_legacy}
layouts = pytest.mark.parametrize("write", LAYOUTS.values(), ids=LAYOUTS)


def tensor(array: np.ndarray, kind: str = "Float", **changes: object) -> Call:
    """The pickle of a tensor with a new storage, like PyTorch's."""
    storage = changes.pop("storage", None) or Storage(kind, array.ravel(order="K"))
    strides = tuple(stride // array.itemsize for stride in array.strides)
    parts = {"offset": 0, "shape": array.shape, "strides": strides, **changes}
    hooks = False, collections.OrderedDict()
    return Call(Named("torch._utils", "_rebuild_tensor_v2"), storage, *parts.values(), *hooks)


def floats(*shape: int) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def small() -> dict:
    model = {"a.weight": tensor(floats(2, 3)), "a.num": tensor(np.array(7), "Long")}
    return {"iteration": 5, "model": model, "sampler": {"indexes": [np.arange(4)]}}


def refusal(path: Path) -> str:
    """Why a file is refused, in one line that begins with its path; empty if it is read."""
    try:
        for array in read_torch_state(path).values():
            assert isinstance(array, np.ndarray)
    except ValueError as error:
        message = str(error)
        assert message.startswith(f"{path} is refused: ")
        assert message.isprintable()
        return message.removeprefix(f"{path} is refused: ")
    return ""


def peak_of(function, *arguments) -> int:
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# what is read


@layouts
def test_arrays_come_as_they_were_written(write, tmp_path):
    generator = np.random.default_rng(0)
    arrays = {kind: (generator.normal(size=(2, 3, 4)) * 9).astype(KINDS[kind]) for kind in KINDS}
    model = {kind: tensor(array, kind) for kind, array in arrays.items()}
    for protocol in range(2, 6):
        state = read_torch_state(write(tmp_path / f"{protocol}.pth", {"model": model}, protocol))
        assert list(state) == list(KINDS)
        assert "Complex" not in state
        for name, array in arrays.items():
            assert state[name].dtype == array.dtype
            np.testing.assert_array_equal(state[name], array)


@layouts
def test_views_and_odd_shapes(write, tmp_path):
    whole = floats(60)
    storage = Storage("Float", whole)
    views = {
        "all": whole.reshape(3, 4, 5),
        "transposed": whole.reshape(3, 4, 5).transpose(2, 0, 1),
        "channels_last": whole.reshape(3, 4, 1, 5).transpose(0, 3, 1, 2),
        "slice": whole[7:19].reshape(3, 4)[:, 1:3],
        "apart": whole[2::7],
        "scalar": whole[11:12].reshape(()),
        "empty": whole[:0].reshape(0, 3),
        "expanded": np.lib.stride_tricks.as_strided(whole, (4, 3), (0, 4)),
        "overlapping": np.lib.stride_tricks.as_strided(whole, (5, 3), (4, 4)),
    }
    begin = whole.__array_interface__["data"][0]
    model = {}
    for name, view in views.items():
        offset = (view.__array_interface__["data"][0] - begin) // 4
        model[name] = tensor(view, storage=storage, offset=offset)
    state = read_torch_state(write(tmp_path / "x.pth", model))
    for name, view in views.items():
        np.testing.assert_array_equal(state[name], view)
        assert state[name].shape == view.shape
        if view.size:  # elements of its own, each
            array, expected = state[name], view.copy()
            array.flat[0] = expected.flat[0] = -1
            np.testing.assert_array_equal(array, expected)
            np.testing.assert_array_equal(state[name], view)


@layouts
def test_bfloat16_and_odd_truth_values(write, tmp_path):
    values = np.array([1.5, -2, 3e38, np.inf, 0], np.float32)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    model = {
        "b": tensor(upper, "BFloat16"),
        "t": tensor(np.array([0, 1, 2, 255], np.uint8), "Bool"),
        "u": tensor(upper.view(np.uint8), "Untyped"),
    }
    state = read_torch_state(write(tmp_path / "x.pth", model))
    assert state["b"].dtype == np.float32
    np.testing.assert_array_equal(state["b"], (upper.astype(np.uint32) << 16).view(np.float32))
    assert state["t"].tobytes() == b"\0\1\1\1"
    assert state["u"].tobytes() == upper.tobytes()


@layouts
def test_checkpoints_with_a_model_beside_other_things(write, tmp_path):
    numpy1 = Named("numpy.core.multiarray", "_reconstruct"), Named("numpy", "ndarray")
    arrays = [np.arange(3000), np.array([]), np.int64(4), np.array([b"x", None], object)]
    content = {
        "iteration": 600_000,
        "rate": 1e-3,
        "name": "Cnn14",
        "nothing": None,
        ("a", 1): 4,
        "sampler": {"arrays": arrays, "old": Call(*numpy1, (0,), b"b", state=(1, (0,), b""))},
        "optimizer": {"state": {0: {"exp_avg": tensor(floats(3))}}, "groups": [{"lr": 0.1}]},
        "kind": Named("torch", "float32"),
    }
    for protocol in range(2, 6):
        for key in ("model", "state_dict"):
            tensors = {"weight": tensor(floats(3))}
            path = write(tmp_path / "x.pth", {**content, key: tensors, "last": 1}, protocol)
            state = read_torch_state(path)
            extra = {"iteration": 600_000, "rate": 1e-3, "name": "Cnn14", "last": 1}
            assert state.extra == extra
            assert {name: array.tolist() for name, array in state.items()} == {"weight": [1, 2, 3]}


@layouts
def test_bare_states_parameters_and_metadata(write, tmp_path):
    rebuild = Named("torch._utils", "_rebuild_parameter")
    parameter = Call(rebuild, tensor(floats(2)), True, collections.OrderedDict())
    inner = collections.OrderedDict(model=parameter, b=tensor(floats(3)))
    inner._metadata = collections.OrderedDict({"": {"version": 1}})
    state = read_torch_state(write(tmp_path / "x.pth", inner))
    assert {k: a.tolist() for k, a in state.items()} == {"model": [1, 2], "b": [1, 2, 3]}
    assert state.extra == {}


@layouts
def test_the_prefix_of_data_parallel_is_dropped(write, tmp_path):
    one = {"module.a": tensor(floats(1)), "module.module.b": tensor(floats(2))}
    assert list(read_torch_state(write(tmp_path / "x.pth", one))) == ["a", "module.b"]
    one["c"] = tensor(floats(1))
    assert list(read_torch_state(write(tmp_path / "x.pth", one))) == list(one)


def test_tensors_are_read_when_asked_for(tmp_path):
    path = write_zip(tmp_path / "x.pth", {"a": tensor(floats(2**20)), "b": tensor(floats(2))})
    assert peak_of(read_torch_state, path) < 2**20
    state = read_torch_state(path)
    assert peak_of(state.get, "b") < 2**18
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(0, 0))
    with pytest.raises(ValueError, match=r"x\.pth is refused: it has changed"):
        state["b"]
    path.unlink()
    for read in (lambda: state["b"], lambda: read_torch_state(path)):
        with pytest.raises(FileNotFoundError):
            read()


# what is refused


def wrong(**changes: object) -> dict:
    return {"w": tensor(floats(6), **changes)}


@layouts
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (wrong(shape=(7,)), "leaves its storage 0"),
        (wrong(shape=(2**20, 2**20), strides=(0, 0)), "leaves its storage 0"),
        (wrong(shape=(2**31, 2**31), strides=(0, 0)), "are not those of an array"),
        (wrong(shape=(0, 2**62), strides=(1, 1)), "are not those of an array"),
        (wrong(shape=(1,) * 33, strides=(1,) * 33), "are not those of an array"),
        (wrong(shape=(True,)), "are not those of an array"),
        (wrong(offset=1), "leaves its storage 0"),
        (wrong(shape=(2, 2), strides=(2**62, 1)), "leaves its storage 0"),
        (wrong(strides=(-1,)), "are not those of an array"),
        (wrong(storage=Storage("Float", floats(6), numel=2**40)), "storage 0 is"),
        (wrong(storage=Storage("Double", floats(6))), "storage 0 is|corrupt"),
        (wrong(storage=Storage("Float", floats(6), key="9")), "storage 9|list of storages"),
        (wrong(storage=Storage("Float", floats(6), key="../version")), "storage|list"),
        (wrong(storage=Storage("Float", floats(6), key=b"0")), "a storage has an invalid id"),
        (wrong(storage=Storage("ComplexFloat", floats(6))), "asks for torch.ComplexFloatStorage,"),
        ({"w": tensor(floats(6)), "n\n2": np.zeros(3)}, r"'n\n2' in its state dict does not name"),
        ({"w": tensor(floats(6)), 3: tensor(floats(6))}, "a key in its state dict does not name"),
        ({"model": {"a": {"w": tensor(floats(6))}}}, "no state dict in it"),
        ([tensor(floats(6))], "no state dict in it"),
        (7, "no state dict in it"),
        (Named("torch.nn.modules.linear", "Linear"), "asks for torch.nn.modules.linear.Linear,"),
    ],
)
def test_what_is_no_state_is_refused(write, value, message, tmp_path):
    found = refusal(write(tmp_path / "x.pth", value))
    assert any(part in found for part in message.split("|")), found


class Runs:
    """A live pickle: loading it makes the witness."""

    def __init__(self, function: object, *arguments: str):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


TOUCH = "import pathlib; pathlib.Path('witness').touch()"
COMMAND = pickle.dumps("touch witness", 2)[2:-1]
EVALUATED = f"exec({TOUCH!r})"

#: Pickles, and what stands in the message. Those of the first group do harm when loaded.
LIVE = {
    "global": (b"\x80\x02cos\nsystem\n" + COMMAND + b"\x85R.", "os.system"),
    "stack_global": (pickled(Call(Named("os", "system"), "touch witness"), 4)[0], "os.system"),
    "eval": (pickle.dumps(Runs(builtins.eval, EVALUATED), 4), "builtins.eval"),
    "exec": (pickle.dumps(Runs(builtins.exec, TOUCH), 2), "__builtin__.eval|__builtin__.exec"),
    "inst": (b"\x80\x02(" + COMMAND + b"ios\nsystem\n.", "opcode INST"),
    "obj": (b"\x80\x02(cos\nsystem\n" + COMMAND + b"o.", "os.system"),
    "value": (pickle.dumps({"model": {"w": Runs(builtins.eval, EVALUATED)}}, 2), "eval"),
    "in_array": (pickle.dumps(np.array([Runs(builtins.eval, EVALUATED)], object), 2), "eval"),
    "popped": (b"\x80\x02cos\nsystem\n" + COMMAND + b"\x85R0N.", "os.system"),
}
DEAD = {
    "newobj": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
    "extension": (b"\x80\x02\x82\x01" + COMMAND + b"\x85R.", "opcode EXT1"),
    "persid": (b"\x80\x02Pos.system\n.", "opcode PERSID"),
    "torch_load": (pickled(Named("torch", "load"))[0], "torch.load,"),
    "dotted": (pickled(Named("torch", "_utils._rebuild_tensor_v2"), 4)[0], "torch._utils._rebu"),
    "reconstruct": (pickled(Named("copyreg", "_reconstructor"))[0], "copyreg._reconstructor,"),
    "getattr": (pickled(Named("builtins", "getattr"))[0], "builtins.getattr,"),
}
POSITIONS = {
    **LAYOUTS,
    "magic": lambda path, stream: write_legacy(path, small(), magic=stream),
    "keys": lambda path, stream: write_legacy(path, small(), keys=stream),
}


def test_the_live_pickles_do_run_in_pickle(tmp_path, monkeypatch):
    for case, (stream, _) in LIVE.items():
        (tmp_path / case).mkdir()
        monkeypatch.chdir(tmp_path / case)
        pickle.loads(stream)
        assert Path("witness").exists()


@pytest.mark.parametrize("position", POSITIONS)
def test_nothing_is_run(position, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stream, message in {**LIVE, **DEAD}.values():
        found = refusal(POSITIONS[position](Path("x.pth"), stream))
        assert any(part in found for part in message.split("|")), found
        assert "which no state dict needs" in found
        assert not Path("witness").exists()


def test_a_state_is_given_to_nothing(tmp_path):
    """BUILD sets attributes, of frozen objects too: a tensor would leave its storage by it."""
    tampered = {"offset": 2**40, "shape": (2**40,), "function": 3}
    rebuild, arguments = tensor(floats(6)).reduced
    with_state = Call(rebuild, *arguments, state=tampered)
    assert "corrupt" in refusal(write_zip(tmp_path / "x.pth", {"w": with_state}))
    with_slots = Call(rebuild, *arguments, state=(None, {"offset": 2**40}))
    assert "corrupt" in refusal(write_zip(tmp_path / "x.pth", {"w": with_slots}))
    for stream in (
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nFloatStorage\n",
        b"]",
        b"}",
    ):
        stream += pickle.dumps(tampered, 2)[2:-1] + b"b."
        assert "corrupt" in refusal(write_zip(tmp_path / "x.pth", stream))
    assert not refusal(write_zip(tmp_path / "x.pth", small()))


NEST = b")" + b"\x85" * 50_000
TWINS = b")" + b"q\x00h\x00\x86" * 64  # doubles with each: hashing it would not end


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"}" + NEST + b"K\x01s", "a tuple of more than 10000 members"),
        (b"}" + TWINS + b"K\x01s", "a tuple of more than 10000 members"),
        (b"ctorch\nSize\n" + NEST + b"R", "a tuple of more than 10000 members"),
        (b"]" * 50_000 + b"a" * 49_999, "no state dict in it"),
        (b"}" + b"K\x01}" * 50_000 + b"s" * 50_000, "no state dict in it"),
        (b"]q\x00h\x00a", "no state dict in it"),
        (b"K\x01r\xff\xff\xff\x7f", "writes memo entry 2147483647"),
        (b"h\x07", "corrupt"),
        (b"K\x01(\x86", "corrupt"),
        (b"K\x01t", "corrupt"),
        (b"}(K\x01u", "corrupt"),
        (b"K\x01)R", "corrupt"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "corrupt"),
        (b"K\x01Q", "corrupt"),
        (b"", "corrupt"),
        (b"\xff", "corrupt"),
        (b"c" + b"o" * 500 + b"\nsystem\n", "ooo..., which"),
        *(
            (code + struct.pack(f"<{form}", claim % 256 ** struct.calcsize(f"<{form}")) + b"ab", "")
            for claim in (2000, 2**31 - 1, 2**62, 2**63 + 5)
            for code, form in zip((b"B", b"T", b"X", b"\x8e", b"\x96"), "IIIQQ", strict=True)
        ),
    ],
)
def test_bombs_take_neither_memory_nor_time(stream, message, tmp_path):
    path = write_zip(tmp_path / "x.pth", b"\x80\x02" + stream + b".")
    begin = time.monotonic()
    found = refusal(path)
    assert found
    assert message in found
    assert peak_of(refusal, path) < 2**25
    assert time.monotonic() - begin < 30


def test_the_number_of_opcodes_is_bounded(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_pickle, "MAX_OPCODES", 1000)
    for count, message in ((995, "no state dict"), (996, "more than 1000 opcodes")):
        stream = b"\x80\x02](" + b"N" * count + b"e."
        assert message in refusal(write_zip(tmp_path / "x.pth", stream))


def test_every_other_opcode_is_refused(tmp_path):
    texts = {"stringnl": b"'a'\n", "stringnl_noescape_pair": b"os\nsystem\n"}
    for opcode in pickletools.opcodes:
        argument = b""
        if opcode.arg and opcode.arg.n == pickletools.UP_TO_NEWLINE:
            argument = texts.get(opcode.arg.name, b"1\n")
        elif opcode.arg:  # zeros, also for the length of what has a length in 1, 4, 4 or 8 bytes
            argument = bytes({-2: 1, -3: 4, -4: 4, -5: 8}.get(opcode.arg.n, opcode.arg.n))
        stream = b"NN(NN" + opcode.code.encode("latin-1") + argument + b"."
        refused = f"opcode {opcode.name}, which" in refusal(write_zip(tmp_path / "x.pth", stream))
        assert refused == (opcode.name not in torch_pickle.ALLOWED)
    assert not {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "POP", "DUP", "PERSID"} & {
        *torch_pickle.ALLOWED
    }


@layouts
def test_every_truncation_is_refused(write, tmp_path):
    path = write(tmp_path / "x.pth", small())
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"x\.pth is refused: it"):
            read_torch_state(path)


@layouts
def test_a_corrupt_byte_gives_a_result_or_a_refusal(write, tmp_path):
    path = write(tmp_path / "x.pth", small())
    content = path.read_bytes()
    generator = random.Random(1)
    messages = []
    for _ in range(500):
        corrupt = bytearray(content)
        corrupt[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(corrupt)
        messages.append(refusal(path))
    assert len(set(messages)) > 20
    assert messages.count("") > 20


def test_random_opcodes_raise_nothing_else(tmp_path):
    letters = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    storage, _ = pickled(Storage("Float", floats(6)))
    letters += [storage[2:-1], b"ctorch._utils\n_rebuild_tensor_v2\n", b"K\x02K\x03\x86"] * 12
    generator = random.Random(0)
    for _ in range(1000):
        stream = b"".join(generator.choices(letters, k=generator.randint(1, 12)))
        assert refusal(write_zip(tmp_path / "x.pth", stream + b"."))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with b''"),
        (b"<!DOCTYPE html>\n<html>", "begins with b'<!DOCTYPE ht'"),
        (bytes(257) + b"ustar\0" + bytes(300), "not written by torch.save"),
        (b"PK\3\4" + bytes(100), "corrupt or truncated (BadZipFile"),
        (b"\x80\x02K\x07.", "a pickle, but not of torch.save"),
        (pickle.dumps({"weights": np.zeros(3)}), "a pickle, but not of torch.save"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    assert message in refusal(tmp_path / "x.pth")


#: Lists that hold the one before twice: none of their members may be printed.
DOUBLES = b"\x80\x02]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(64)) + b"."


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"system": {**SYSTEM, "little_endian": False}}, "not little-endian"),
        ({"system": 3}, "not little-endian"),
        ({"version": 1000}, "not of torch.save"),
        ({"keys": ["0", "1", "1"]}, "list of storages is not that"),
        ({"keys": [["0"], "1"]}, "list of storages is not that"),
        ({"keys": DOUBLES}, "list of storages is not that"),
        ({"keys": ["0", "1"]}, "not as long as it claims"),  # written the other way round
        ({"keys": ["1", "0"]}, ""),
    ],
)
def test_wrong_parts_of_the_legacy_layout_are_refused(parts, message, tmp_path):
    path = write_legacy(tmp_path / "x.pth", small(), **parts)
    found = refusal(path)
    assert message in found
    assert bool(message) == bool(found)
    if not message:
        path.write_bytes(path.read_bytes() + bytes(5))
        assert "goes on for 5 bytes" in refusal(path)


# archives


def test_archives_of_other_content_are_refused(tmp_path):
    for order in (b"big", b"x" * 3000, b"little "):
        found = refusal(write_zip(tmp_path / "x.pth", small(), order=order))
        assert "not little-endian" in found
    assert not refusal(write_zip(tmp_path / "x.pth", small(), order=b""))
    for names in (["a"], ["data.pkl"], ["a/data.pkl", "b/data.pkl"], ["a/b/data.pkl"]):
        with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
            for name in names:
                archive.writestr(name, pickled({})[0])
        assert "no single data.pkl" in refusal(tmp_path / "x.pth")


def patched(path: Path, name: bytes, offset: int, form: str, *values: int) -> Path:
    """Changes fields in a member's entry in the table of contents."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(name) - 46
    assert content[entry : entry + 4] == b"PK\1\2"
    struct.pack_into(form, content, entry + offset, *values)
    path.write_bytes(content)
    return path


def test_lying_archives_are_refused(tmp_path):
    path, name = tmp_path / "x.pth", b"net/data/0"
    for message, *change in (
        ("is not where the archive says", 20, "<II", 2**30, 2**30),
        ("is missing or shorter", 20, "<II", 20, 20),
        ("is compressed", 24, "<I", 2**30),
        ("is compressed", 8, "<H", 1),  # encrypted
        ("is not where the archive says", 42, "<I", 31),
    ):
        write_zip(path, small())
        assert not refusal(path)
        assert message in refusal(patched(path, name, *change))
        assert peak_of(refusal, path) < 2**23


def test_bombs_of_archives_are_refused(tmp_path):
    path = write_zip(tmp_path / "x.pth", small())
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**23)) + packer.flush(zlib.Z_FULL_FLUSH)
    content["net/data.pkl"] = block * 128 + packer.flush()  # a gigabyte of zeros
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    patched(path, b"net/data.pkl", 10, "<H", zipfile.ZIP_DEFLATED)
    patched(path, b"net/data.pkl", 24, "<I", 2**30)
    assert "net/data.pkl is compressed" in refusal(path)
    assert peak_of(refusal, path) < 2**23
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled({})[0])
        archive.infolist()[0].comment = bytes(60_000)
        archive.filelist *= 100
    assert "its table of contents takes" in refusal(path)
    assert peak_of(refusal, path) < 2**23


# PyTorch itself


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_equal_to_torch(new, tmp_path):
    torch = pytest.importorskip("torch")
    values = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) * 9
    names = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
    shared = torch.arange(24.0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    model = {
        **{name: values.to(getattr(torch, name)) for name in names.split()},
        **net.to(memory_format=torch.channels_last).state_dict(),
        **dict(torch.nn.Linear(2, 3).named_parameters("parameter")),
        **{"transposed": shared.reshape(4, 6).T, "shared": shared, "part": shared[3:9:2]},
        **{"scalar": torch.tensor(3), "empty": torch.zeros(0, 3), "expanded": shared[:1].expand(4)},
    }
    ordered = collections.OrderedDict(model)
    ordered._metadata = net.state_dict()._metadata
    sampler = {"indexes": [np.arange(9), np.zeros(0)], "pointer": np.int64(3), "queue": [1, 2]}
    path = tmp_path / "x.pth"
    content = {"iteration": 7, "model": ordered, "sampler": sampler}
    for protocol in range(2, 6):
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
        state = read_torch_state(path)
        assert state.extra == {"iteration": 7}
        assert list(state) == list(model)
        for name, value in model.items():
            array = (value.float() if value.dtype is torch.bfloat16 else value).detach().numpy()
            assert state[name].dtype == array.dtype
            assert state[name].shape == array.shape
            np.testing.assert_array_equal(state[name], array)
    torch.save(net, path, _use_new_zipfile_serialization=new)
    assert "asks for torch.nn.modules.container.Sequential, which" in refusal(path)
    noted = torch.zeros(3)
    noted.note = "x"
    negated = torch.ones(3, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    for beyond_numpy in (torch.zeros(3, dtype=torch.complex64), negated, noted):
        torch.save({"w": beyond_numpy}, path, _use_new_zipfile_serialization=new)
        assert refusal(path)
