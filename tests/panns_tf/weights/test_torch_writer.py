"""Checkpoints written without PyTorch; where it is, it reads them."""

import contextlib
import pickletools
import struct
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from panns_tf.weights.torch_checkpoint import read_torch_state
from panns_tf.weights.torch_writer import write_torch_state

RNG = np.random.default_rng(0)

#: What the networks have, and what else an array may be.
ARRAYS = {
    "conv.weight": RNG.normal(size=(4, 3, 5, 2)).astype("float32"),
    "fc.weight": RNG.normal(size=(2, 3)).astype("float32"),
    "fc.bias": RNG.normal(size=3).astype("float32"),
    "bn.num_batches_tracked": np.array(600_000, "int64"),
    "scale": np.array(0.25, "float32"),
    "indices": RNG.integers(-(2**62), 2**62, 7),
    "empty": np.zeros((0, 3), "float32"),
    "transposed": RNG.normal(size=(3, 4, 5)).astype("float32").transpose(2, 0, 1),
    "every_other": RNG.normal(size=9).astype("float32")[::2],
    "backwards": RNG.normal(size=(3, 2)).astype("float32")[::-1],
    "big_endian": RNG.normal(size=(2, 3)).astype(">f4"),
    "limits": np.array([np.nan, -np.inf, -0.0, 1e-45], "float32"),
    "länge": np.ones(1, "float32"),
}
#: What ``torch.load(weights_only=True)`` knows without being told.
ALLOWED = {
    *("torch._utils _rebuild_tensor_v2", "torch FloatStorage", "torch LongStorage"),
    "collections OrderedDict",
}
EXTRA = {"iteration": 600_000, "rate": 1e-3, "name": "Cnn14", "done": True, "many": 2**40}


def read(path: Path) -> dict[str, np.ndarray]:
    return dict(read_torch_state(path))


def starts(path: Path) -> dict[str, int]:
    """Where the contents of an archive's members begin."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    found = {}
    for member in members:
        lengths = struct.unpack_from("<HH", data, member.header_offset + 26)
        found[member.filename] = member.header_offset + 30 + sum(lengths)
    return found


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "net.pth"
    write_torch_state(path, {**EXTRA, "model": ARRAYS})
    state = read_torch_state(path)
    assert list(state) == list(ARRAYS)
    assert state.extra == EXTRA
    for name, array in ARRAYS.items():
        assert state.shape(name) == array.shape
        assert state.dtype(name) == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(state[name], array)
    assert np.signbit(state["limits"][2])


def test_a_state_dict_may_stand_alone(tmp_path):
    write_torch_state(tmp_path / "x.pth", ARRAYS)
    assert list(read(tmp_path / "x.pth")) == list(ARRAYS)


def test_the_archive_is_laid_out_as_by_torch(tmp_path):
    path = tmp_path / "my net.v2.pth"
    write_torch_state(path, {"model": ARRAYS})
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        members = archive.infolist()
        assert archive.read("archive/byteorder") == b"little"
        assert archive.read("archive/version") == b"3\n"
    names = [f"archive/data/{number}" for number in range(len(ARRAYS))]
    first, last = ["archive/data.pkl", "archive/byteorder"], ["archive/version"]
    assert [member.filename for member in members] == first + names + last
    assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
    # in the order and the bytes of the arrays
    data, at = path.read_bytes(), starts(path)
    for name, array in zip(names, ARRAYS.values(), strict=True):
        expected = array.astype(array.dtype.newbyteorder("<")).tobytes()
        assert data[at[name] : at[name] + len(expected)] == expected


@pytest.mark.parametrize("stem", ["a", "Cnn14_mAP=0.431", "x" * 63, "größe"])
def test_every_storage_is_aligned(stem, tmp_path):
    path = tmp_path / f"{stem}.pth"
    # past 9 and 99 the members' names grow; the sizes leave every rest
    state = {f"layer{i}": np.full(i, i, "float32") for i in range(120)}
    write_torch_state(path, {"model": state})
    found = {name: start for name, start in starts(path).items() if "/data/" in name}
    assert len(found) == 120
    assert {name: start % 64 for name, start in found.items() if start % 64} == {}
    for name, array in read(path).items():
        np.testing.assert_array_equal(array, state[name])


def test_equal_input_gives_equal_files(tmp_path):
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "net.pth")
        copies = {name: array.copy() for name, array in ARRAYS.items()}
        write_torch_state(files[-1], {**EXTRA, "model": copies})
    assert files[0].read_bytes() == files[1].read_bytes()
    with zipfile.ZipFile(files[0]) as archive:  # not the time of day, which may not have moved
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    other = {**ARRAYS, "fc.bias": ARRAYS["fc.bias"] + 1}
    write_torch_state(files[1], {**EXTRA, "model": other})
    assert files[0].read_bytes() != files[1].read_bytes()


@pytest.mark.parametrize(
    "kind", ["float64", "float16", "int32", "uint8", "bool", "complex64", "U3"]
)
def test_other_types_are_refused_before_a_file_is_touched(kind, tmp_path):
    path, absent = tmp_path / "net.pth", tmp_path / "absent.pth"
    path.write_bytes(b"before")
    for where in (path, absent):
        with pytest.raises(ValueError, match="must be of float32 or int64; received") as caught:
            write_torch_state(where, {"model": {**ARRAYS, "last": np.zeros(2, kind)}})
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"before"
    assert not absent.exists()


def names_in(path: Path) -> set[str]:
    """What the pickle of a checkpoint has a reader look up, hence import."""
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    found = pickletools.genops(pickled)
    return {argument for opcode, argument, _ in found if "GLOBAL" in opcode.name}


def test_nothing_but_tensors_is_named_in_it(tmp_path):
    write_torch_state(tmp_path / "net.pth", {**EXTRA, "model": ARRAYS})
    assert names_in(tmp_path / "net.pth") == ALLOWED


@pytest.mark.parametrize(
    "value",
    [[np.float32(1)], np.int64(1), keras.ops.ones(2), zipfile.ZipFile],
    ids=["list", "numpy", "tensor", "class"],
)
def test_what_is_neither_number_nor_array_gets_into_no_file(value, tmp_path):
    path = tmp_path / "net.pth"
    with contextlib.suppress(ValueError):  # or it becomes a plain number
        write_torch_state(path, {"odd": value, "model": {**ARRAYS, "odd": value}})
        assert names_in(path) <= ALLOWED


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(bytes(1_000_000))
    write_torch_state(path, {"model": {"a": np.ones(3, "float32")}})
    assert path.stat().st_size < 2000
    np.testing.assert_array_equal(read(path)["a"], np.ones(3))


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_reads_it_without_running_anything(mmap, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pth"
    write_torch_state(path, {**EXTRA, "model": ARRAYS})
    loaded = torch.load(path, weights_only=True, mmap=mmap)
    state = loaded.pop("model")
    assert loaded == EXTRA
    assert list(state) == list(ARRAYS)
    for name, array in ARRAYS.items():
        tensor = state[name]
        assert tensor.dtype == (torch.int64 if array.dtype == "int64" else torch.float32)
        assert tensor.is_contiguous()
        assert not tensor.requires_grad
        if mmap:
            assert tensor.data_ptr() % 64 == 0
        assert tuple(tensor.shape) == array.shape
        np.testing.assert_array_equal(tensor.numpy(), array)
    assert state["bn.num_batches_tracked"].item() == 600_000


def test_torch_loads_it_into_a_module(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 5), torch.nn.BatchNorm1d(4))
    state = {
        name: np.full(tensor.shape, i, "int64" if tensor.dtype == torch.int64 else "float32")
        for i, (name, tensor) in enumerate(module.state_dict().items())
    }
    write_torch_state(tmp_path / "net.pth", {"model": state})
    module.load_state_dict(torch.load(tmp_path / "net.pth", weights_only=True)["model"])
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])
