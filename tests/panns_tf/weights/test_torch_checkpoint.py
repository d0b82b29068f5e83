"""Checkpoints of PyTorch in both layouts, written here without it and, where it is, by it."""

import builtins
import collections
import io
import itertools
import os
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from panns_tf.weights.torch_checkpoint import MAGIC, PROTOCOL, read_torch_state

ROOT = Path(__file__).parents[3]
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"int": 4}}

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

    def identity(self, key: str, view: tuple) -> tuple:
        claims = {"kind": Named("torch", f"{self.kind}Storage"), "numel": self.data.size}
        claims |= {"key": key, "view": view, **self.claims}
        return "storage", claims["kind"], claims["key"], "cpu", claims["numel"], *claims["view"]


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
        return value.identity(str(list(self.storages).index(id(value))), self.view)

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
    """Returns a pickle and the arrays of its storages. Bytes are taken for a finished pickle."""
    if isinstance(value, bytes):
        return value, []
    file = io.BytesIO()
    pickler = Pickler(file, protocol, view)
    pickler.dump(value)
    return file.getvalue(), [storage.data for storage in pickler.storages.values()]


def write_zip(
    path: Path, value: object, protocol: int = 2, order: bytes | None = b"little", mode: int = 0
) -> Path:
    stream, arrays = pickled(value, protocol)
    with zipfile.ZipFile(path, "w", mode) as archive:
        archive.writestr("net/data.pkl", stream)
        if order is not None:
            archive.writestr("net/byteorder", order)
        for key, array in enumerate(arrays):
            archive.writestr(f"net/data/{key}", array.tobytes())
        archive.writestr("net/version", "3\n")
    return path


def write_legacy(path: Path, value: object, protocol: int = 2, **parts: object) -> Path:
    stream, arrays = pickled(value, protocol, view=(None,))
    keys = sorted(map(str, range(len(arrays))), reverse=True)
    standard = {"magic": MAGIC, "version": PROTOCOL, "system": SYSTEM, "value": stream}
    with path.open("wb") as file:
        for part in ({**standard, "keys": keys} | parts).values():
            file.write(pickled(part, protocol)[0])
        for key in keys:
            file.write(struct.pack("<q", arrays[int(key)].size) + arrays[int(key)].tobytes())
    return path


LAYOUTS = {"zip": write_zip, "legacy": write_legacy}


def tensor(array: np.ndarray, kind: str = "Float", **changes: object) -> Call:
    """The pickle of a tensor with a storage of its own, like PyTorch's."""
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
        caught = error
    else:
        return ""
    message = str(caught)
    assert type(caught) is ValueError
    assert message.startswith(f"{path} is refused: ")
    assert message.isprintable()
    return message.removeprefix(f"{path} is refused: ")


layouts = pytest.mark.parametrize("write", LAYOUTS.values(), ids=LAYOUTS)


@layouts
@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_come_as_they_were_written(write, protocol, tmp_path):
    generator = np.random.default_rng(0)
    arrays = {kind: (generator.normal(size=(2, 3, 4)) * 9).astype(KINDS[kind]) for kind in KINDS}
    model = {kind: tensor(array, kind) for kind, array in arrays.items()}
    state = read_torch_state(write(tmp_path / "x.pth", {"model": model}, protocol))
    assert list(state) == list(KINDS)
    assert len(state) == len(KINDS)
    for name, array in arrays.items():
        assert state.shape(name) == array.shape
        assert state.dtype(name) == state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array)
        assert state[name] is not state[name]


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
    path = write(tmp_path / "x.pth", model)
    assert path.stat().st_size < 3500  # the storage is there once
    state = read_torch_state(path)
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
    assert state.dtype("b") == state["b"].dtype == np.float32
    np.testing.assert_array_equal(state["b"], (upper.astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_allclose(state["b"], values, rtol=0.01)
    assert state["t"].tolist() == [False, True, True, True]
    assert state["t"].tobytes() == b"\0\1\1\1"
    assert state["u"].tobytes() == upper.tobytes()


@layouts
@pytest.mark.parametrize("protocol", range(2, 6))
def test_checkpoints_with_a_model_beside_other_things(write, protocol, tmp_path):
    numpy1 = Named("numpy.core.multiarray", "_reconstruct"), Named("numpy", "ndarray")
    arrays = [np.arange(3000), np.array([]), np.int64(4), np.array([b"x", None], object)]
    content = {
        "iteration": 600_000,
        "rate": 1e-3,
        "name": "Cnn14",
        "done": True,
        "nothing": None,
        3: 4,
        ("a", 1): 4,
        "sampler": {"arrays": arrays, "old": Call(*numpy1, (0,), b"b", state=(1, (0,), b""))},
        "optimizer": {"state": {0: {"exp_avg": tensor(floats(3))}}, "groups": [{"lr": 0.1}]},
        "kind": Named("torch", "float32"),
    }
    tensors = {"weight": tensor(floats(3))}
    for key in ("model", "state_dict"):
        path = write(tmp_path / "x.pth", {**content, key: tensors, "last": 1}, protocol)
        state = read_torch_state(path)
        scalars = {"iteration": 600_000, "rate": 1e-3, "name": "Cnn14", "done": True, "last": 1}
        assert state.extra == scalars
        assert list(state) == ["weight"]
        assert state["weight"].tolist() == [1, 2, 3]


@layouts
def test_bare_states_parameters_and_metadata(write, tmp_path):
    ordered = Named("collections", "OrderedDict")
    rebuild = Named("torch._utils", "_rebuild_parameter")
    parameter = Call(rebuild, tensor(floats(2)), True, collections.OrderedDict())
    inner = collections.OrderedDict(model=parameter, b=tensor(floats(3)))
    inner._metadata = collections.OrderedDict({"": {"version": 1}})
    state = read_torch_state(write(tmp_path / "x.pth", inner))
    assert {name: array.tolist() for name, array in state.items()} == {
        "model": [1, 2],
        "b": [1, 2, 3],
    }
    assert state.extra == {}
    assert refusal(write(tmp_path / "x.pth", Call(ordered)))


@layouts
def test_the_prefix_of_data_parallel_is_dropped(write, tmp_path):
    one = {"module.a": tensor(floats(1)), "module.module.b": tensor(floats(2))}
    assert list(read_torch_state(write(tmp_path / "x.pth", one))) == ["a", "module.b"]
    one["c"] = tensor(floats(1))
    assert list(read_torch_state(write(tmp_path / "x.pth", one))) == list(one)


@layouts
def test_tensors_are_read_when_asked_for(write, tmp_path, monkeypatch):
    path = write(tmp_path / "x.pth", small())
    state = read_torch_state(str(path))
    opened = []
    true_open = Path.open
    monkeypatch.setattr(Path, "open", lambda *a: opened.append(a) or true_open(*a))
    assert "a.weight" in state
    assert "b" not in state
    assert state.shape("a.weight") == (2, 3)
    assert state.dtype("a.num") == np.int64
    assert not opened
    assert state["a.num"] == 7
    assert len(opened) == 1
    with pytest.raises(KeyError):
        state["b"]
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"x\.pth is refused: it has changed"):
        state["a.num"]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        state["a.num"]
    with pytest.raises(FileNotFoundError):
        read_torch_state(path)


def test_what_does_not_fit_in_memory_is_refused(tmp_path, monkeypatch):
    state = read_torch_state(write_zip(tmp_path / "x.pth", small()))
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", Mock(side_effect=MemoryError))
        with pytest.raises(ValueError, match="does not fit in memory"):
            state["a.weight"]


def test_a_view_of_a_storage_in_the_legacy_layout(tmp_path):
    storage = Storage("Float", floats(12), view=[("v", 4, 6)])
    model = {"w": tensor(floats(5), storage=storage, offset=1)}
    state = read_torch_state(write_legacy(tmp_path / "x.pth", model))
    assert state["w"].tolist() == [6, 7, 8, 9, 10]


def wrong(**changes: object) -> dict:
    return {"w": tensor(floats(6), **changes)}


@layouts
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (wrong(shape=(7,)), "more elements than its storage 0"),
        (wrong(shape=(2**20, 2**20), strides=(0, 0)), "more elements than its storage 0"),
        (wrong(offset=1), "leaves its storage 0"),
        (wrong(strides=(-1,)), "negative"),
        (wrong(storage=Storage("Float", floats(6), numel=2**40)), "storage 0 is"),
        (wrong(storage=Storage("Float", floats(6), numel=7)), "storage 0 is"),
        (wrong(storage=Storage("Double", floats(6))), "torch|storage 0|truncated"),
        (wrong(storage=Storage("Float", floats(6), key="9")), "storage 9|list of storages"),
        (wrong(storage=Storage("Float", floats(6), key="../version")), "storage|list"),
        (wrong(storage=Storage("Float", floats(6), key=b"0")), "no id of a storage"),
        (wrong(storage=Storage("ComplexFloat", floats(6))), "asks for torch.ComplexFloatStorage,"),
        ({"w": tensor(floats(6)), "n": 3}, "n in its state dict is no tensor"),
        ({"w": tensor(floats(6)), "n": {}}, "n in its state dict is no tensor"),
        ({"w": tensor(floats(6)), "n\n2": np.zeros(3)}, r"'n\n2' in its state dict is no tensor"),
        ({"w": tensor(floats(6)), 3: tensor(floats(6))}, "a name in its state dict is no string"),
        ({"w": tensor(floats(6)), "n" * 2000: tensor(floats(6))}, "is no string"),
        ({"model": {"a": {"w": tensor(floats(6))}}}, "no state dict in it"),
        ({"model": {}}, "no state dict in it"),
        ({"model": 3}, "no state dict in it"),
        ([tensor(floats(6))], "no state dict in it"),
        (tensor(floats(6)), "no state dict in it"),
        (b"\x80\x02}.", "no state dict in it"),
        (7, "no state dict in it"),
        (
            Named("torch.nn.modules.linear", "Linear"),
            "asks for torch.nn.modules.linear.Linear, which",
        ),
    ],
)
def test_what_is_no_state_is_refused(write, value, message, tmp_path):
    found = refusal(write(tmp_path / "x.pth", value))
    assert any(part in found for part in message.split("|")), found


@layouts
def test_a_name_that_comes_twice_is_refused(write, tmp_path):
    twice = Call(Named("collections", "OrderedDict"))
    twice.reduced = (*twice.reduced, None, None, iter([("w", tensor(floats(2)))] * 2))
    assert "w is twice in its state dict" in refusal(write(tmp_path / "x.pth", twice))


class Runs:
    """A live pickle: loading it makes the witness."""

    def __init__(self, function: object, *arguments: str):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


TOUCH = "import pathlib; pathlib.Path('witness').touch()"
COMMAND = pickle.dumps("touch witness", 2)[2:-1]
EVALUATED = f"exec({TOUCH!r})"
SYSTEM_CALL = Named("os", "system")

#: Pickles, and what stands in the message. Those of the first group do harm when loaded.
LIVE = {
    "global": (b"\x80\x02cos\nsystem\n" + COMMAND + b"\x85R.", "os.system"),
    "stack_global": (pickled(Call(SYSTEM_CALL, "touch witness"), 4)[0], "os.system"),
    "reduce": (pickle.dumps(Runs(os.system, "touch witness"), 2), f"{os.system.__module__}.system"),
    "eval": (pickle.dumps(Runs(builtins.eval, EVALUATED), 4), "builtins.eval"),
    "exec": (pickle.dumps(Runs(builtins.exec, TOUCH), 2), "__builtin__.eval|__builtin__.exec"),
    "inst": (b"\x80\x02(" + COMMAND + b"ios\nsystem\n.", "opcode INST"),
    "obj": (b"\x80\x02(cos\nsystem\n" + COMMAND + b"o.", "os.system"),
    "value": (pickle.dumps({"model": {"w": Runs(builtins.eval, EVALUATED)}}, 2), "eval"),
    "state": (pickle.dumps({"sampler": [np.zeros(2), Runs(builtins.eval, EVALUATED)]}, 2), "eval"),
    "in_array": (pickle.dumps(np.array([Runs(builtins.eval, EVALUATED)], object), 2), "eval"),
    "popped": (b"\x80\x02cos\nsystem\n" + COMMAND + b"\x85R0N.", "os.system"),
}
DEAD = {
    "in_call": (
        pickled(Call(Named("numpy", "dtype"), Call(SYSTEM_CALL, "touch witness")))[0],
        "os",
    ),
    "newobj": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
    "newobj_ex": (b"\x80\x04ccollections\nOrderedDict\n)}\x92.", "opcode NEWOBJ_EX"),
    "extension": (b"\x80\x02\x82\x01" + COMMAND + b"\x85R.", "opcode EXT1"),
    "persid": (b"\x80\x02Pos.system\n.", "opcode PERSID"),
    "runstring": (pickled(Named("numpy.testing._private.utils", "runstring"))[0], "runstring,"),
    "torch_load": (pickled(Named("torch", "load"))[0], "torch.load,"),
    "dotted": (pickled(Named("torch", "_utils._rebuild_tensor_v2"), 4)[0], "torch._utils._rebu"),
    "reconstruct": (pickled(Named("copyreg", "_reconstructor"))[0], "copyreg._reconstructor,"),
    "getattr": (pickled(Named("builtins", "getattr"))[0], "builtins.getattr,"),
}
PLACES = {
    **LAYOUTS,
    **{
        part: lambda path, stream, part=part: write_legacy(path, small(), **{part: stream})
        for part in ("magic", "version", "system", "keys")
    },
}


@pytest.mark.parametrize("case", LIVE)
def test_the_live_pickles_do_run_in_pickle(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(LIVE[case][0])
    assert Path("witness").exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", [*LIVE, *DEAD])
def test_nothing_is_run(case, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream, message = {**LIVE, **DEAD}[case]
    found = refusal(PLACES[place](Path("x.pth"), stream))
    assert any(part in found for part in message.split("|")), found
    assert "which no state dict needs" in found
    assert not Path("witness").exists()


def test_the_message_of_a_refusal(tmp_path):
    path = write_zip(tmp_path / "x.pth", LIVE["global"][0])
    with pytest.raises(ValueError) as caught:
        read_torch_state(path)
    assert (
        str(caught.value) == f"{path} is refused: it asks for os.system, which no state dict needs"
    )


@layouts
def test_every_truncation_is_refused(write, tmp_path):
    path = write(tmp_path / "x.pth", small())
    content = path.read_bytes()
    assert not refusal(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"x\.pth is refused: it "):
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html>\n<html>", "begins with b'<!DOCTYPE ht'"),
        (b"iteration: 5\n", "it is no file of torch.save"),
        (bytes(257) + b"ustar\0" + bytes(300), "the tar layout"),
        (b"\x89HDF\r\n\x1a\n", "it is no file of torch.save"),
        (b"PK\3\4", "zip archive"),
        (b"PK\3\4" + bytes(100), "zip archive"),
        (b"\x80", "truncated"),
        (b"\x80\x02K\x07.", "a pickle, but none of torch.save"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xea\x03.", "none of torch.save"),
        (pickle.dumps({"weights": np.zeros(3)}), "a pickle, but none of torch.save"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert message in refusal(path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"system": {**SYSTEM, "little_endian": False}}, "not little-endian"),
        ({"system": 3}, "not little-endian"),
        ({"version": 1000}, "none of torch.save"),
        ({"magic": True}, "none of torch.save"),
        ({"keys": ["0"]}, "list of storages is not that"),
        ({"keys": ["0", "1", "1"]}, "list of storages is not that"),
        ({"keys": ["0", "1", "2"]}, "list of storages is not that"),
        ({"keys": ["0", "1"]}, "not as long as it claims"),  # written the other way round
        ({"keys": [["0"], "1"]}, "list of storages is corrupt"),
        ({"keys": ("0", "1")}, "list of storages is corrupt"),
        ({"keys": ["1", "0"]}, ""),
    ],
)
def test_wrong_parts_of_the_legacy_layout_are_refused(parts, message, tmp_path):
    found = refusal(write_legacy(tmp_path / "x.pth", small(), **parts))
    assert message in found
    assert bool(message) == bool(found)


def test_what_follows_the_legacy_layout_is_refused(tmp_path):
    path = write_legacy(tmp_path / "x.pth", small())
    path.write_bytes(path.read_bytes() + bytes(5))
    assert "goes on for 5 bytes" in refusal(path)


def test_byte_orders_of_the_zip_layout(tmp_path):
    for order in (b"big", b"", b"x" * 3000, b"little "):
        found = refusal(write_zip(tmp_path / "x.pth", small(), order=order))
        assert "not little-endian" in found
    assert not refusal(write_zip(tmp_path / "x.pth", small(), order=None))


def test_archives_of_other_content_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    for names in (["a"], ["data.pkl"], ["a/data.pkl", "b/data.pkl"], ["a/b/data.pkl"]):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, pickled({})[0])
        assert "no single data.pkl" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled({})[0])
        archive.writestr("a/data.pkk", pickled({})[0])
    path.write_bytes(path.read_bytes().replace(b"data.pkk", b"data.pkl"))
    assert "a/data.pkl overlaps another" in refusal(path)


def peak_of(function, *arguments) -> int:
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("member", ["net/data.pkl", "net/data/0", "net/byteorder"])
def test_a_deflated_bomb_is_refused(member, tmp_path):
    path = write_zip(tmp_path / "x.pth", small())
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**23)) + packer.flush(zlib.Z_FULL_FLUSH)
    content[member] = block * 128 + packer.flush()  # a gigabyte of zeros
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    patched(path, member.encode(), 10, "<H", zipfile.ZIP_DEFLATED)
    patched(path, member.encode(), 24, "<I", 2**30)
    assert path.stat().st_size < 2**21
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        assert file.read(2**24) == bytes(2**24)
    assert f"{member} is compressed" in refusal(path)
    assert peak_of(refusal, path) < 2**23


def patched(path: Path, name: bytes, offset: int, form: str, *values: int) -> Path:
    """Changes fields in a member's entry in the table of contents, or in the member's header."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(name) - 46
    assert content[entry : entry + 4] == b"PK\1\2"
    struct.pack_into(form, content, entry + offset, *values)
    path.write_bytes(content)
    return path


def test_lying_archives_are_refused(tmp_path):
    path, name = tmp_path / "x.pth", b"net/data/0"

    def lying(*change: object) -> str:
        write_zip(path, small())
        assert not refusal(path)
        found = refusal(patched(path, name, *change))
        assert peak_of(refusal, path) < 2**23
        return found

    assert "overlaps another or leaves the file" in lying(20, "<II", 2**30, 2**30)
    assert "overlaps another or leaves the file" in lying(20, "<II", 200, 200)
    assert "is missing or shorter" in lying(20, "<II", 20, 20)
    assert "is compressed" in lying(24, "<I", 2**30)
    assert "is compressed" in lying(8, "<H", 1)  # encrypted
    assert "is not where the archive says" in lying(42, "<I", path.read_bytes().index(name) - 29)
    assert "overlaps another or leaves the file" in lying(42, "<I", 0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled({})[0])
        archive.infolist()[0].header_offset = 2**63 + 5
    assert refusal(path)
    write_zip(path, small())
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\5\6") + 12, 2**31)
    path.write_bytes(content)
    assert "zip archive" in refusal(path)


def test_an_endless_table_of_contents_is_refused(tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled({})[0])
        archive.infolist()[0].comment = bytes(60_000)
        archive.filelist *= 100
    assert "its table of contents takes" in refusal(path)
    assert peak_of(refusal, path) < 2**23


MEASURE = """
import sys, types
for name in ("panns_tf", "panns_tf.weights"):
    package = types.ModuleType(name)
    package.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from panns_tf.weights.torch_checkpoint import read_torch_state

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

warm = [array.sum() for array in read_torch_state(sys.argv[2]).values()]
base = peak()
state = read_torch_state(sys.argv[3])
table = peak() - base
for name in state:
    state[name]
one = peak() - base
every = dict(state)
print(table, one, peak() - base)
others = {"torch", "keras", "tensorflow", "pickle"} & set(sys.modules)
print(*sorted(others))
"""


@layouts
def test_memory(write, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")
    size = 2**23
    indexes = np.random.default_rng(0).integers(2**62, size=size // 8)
    parts = [indexes[i::527] for i in range(527)]
    model = {f"layer{i}": tensor(floats(size // 4)) for i in range(6)}
    content = {"model": model, "sampler": {"all": indexes, "parts": parts}}
    path = write(tmp_path / "x.pth", content)
    little = write(tmp_path / "small.pth", small())
    command = [sys.executable, "-c", MEASURE, ROOT, little, path]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    numbers, others = run.stdout.splitlines()
    table, one, every = map(int, numbers.split())
    whole = path.stat().st_size
    print(f"of {whole / 2**20:.0f} MiB: {np.array([table, one, every]) / 2**20} MiB")
    assert whole > 8 * size  # the sampler makes up two parts and more
    assert table < 2**22
    assert size * 0.9 < one < size + 2**22
    assert 6 * size * 0.9 < every < 7 * size + 2**22 < 1.5 * whole
    assert others in ("", "pickle")  # NumPy's own


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_equal_to_torch(torch, new, protocol, tmp_path):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 6, generator=generator) * 9
    names = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
    model = {name: values.to(getattr(torch, name)) for name in names.split()}
    shared = torch.arange(24.0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    model |= {
        **net.to(memory_format=torch.channels_last).state_dict(),
        **dict(torch.nn.Linear(2, 3).named_parameters("parameter")),
        **{"transposed": shared.reshape(4, 6).T, "shared": shared, "part": shared[3:9:2]},
        **{"scalar": torch.tensor(3), "empty": torch.zeros(0, 3), "expanded": shared[:1].expand(4)},
        **{"untouched": torch.nn.Parameter(shared[:3], requires_grad=False)},
    }
    ordered = collections.OrderedDict(model)
    ordered._metadata = net.state_dict()._metadata
    sampler = {"indexes": [np.arange(9), np.zeros(0)], "pointer": np.int64(3), "queue": [1, 2]}
    path = tmp_path / "x.pth"
    content = {"iteration": 7, "model": ordered, "sampler": sampler}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    assert zipfile.is_zipfile(path) == new
    expected = torch.load(path, weights_only=False)["model"]
    state = read_torch_state(path)
    assert state.extra == {"iteration": 7}
    assert list(state) == list(expected)
    for name, value in expected.items():
        array = (value.float() if value.dtype is torch.bfloat16 else value).detach().numpy()
        assert state[name].dtype == state.dtype(name) == array.dtype
        assert state[name].shape == state.shape(name) == array.shape
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_equal_to_torch_on_whole_networks(torch, new, tmp_path):
    net = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GRU(4, 5)))
    path = tmp_path / "x.pth"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=new)
    state = read_torch_state(path)
    assert list(state) == list(net.module.state_dict())
    for name, value in net.module.state_dict().items():
        np.testing.assert_array_equal(state[name], value)
    torch.save(net, path, _use_new_zipfile_serialization=new)
    assert "asks for torch.nn.parallel.data_parallel.DataParallel, which" in refusal(path)


def test_torch_reads_what_is_written_here(torch, tmp_path):
    for (name, write), protocol in itertools.product(LAYOUTS.items(), range(2, 6)):
        path = write(tmp_path / f"{name}{protocol}.pth", small(), protocol)
        loaded = torch.load(path, weights_only=False)
        assert loaded["iteration"] == 5
        np.testing.assert_array_equal(loaded["model"]["a.weight"], floats(2, 3))
        np.testing.assert_array_equal(loaded["model"]["a.num"], 7)


@pytest.mark.parametrize("case", ["complex", "negated", "uint16", "tensor_with_attribute"])
def test_tensors_beyond_numpy_are_refused(torch, case, tmp_path):
    value = torch.zeros(3, dtype=torch.complex64)
    if case == "negated":
        value = torch.ones(3, dtype=torch.complex64).conj().imag
        assert value.is_neg()
    elif case == "uint16":
        value = torch.zeros(3, dtype=torch.uint16)
    elif case == "tensor_with_attribute":
        value = torch.zeros(3)
        value.note = "x"
    torch.save({"w": value}, tmp_path / "x.pth")
    assert refusal(tmp_path / "x.pth")
