"""Checkpoints written without PyTorch; where it is, it reads them."""

import pickletools
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from panns_tf.weights.torch_file import read_torch_state, write_torch_state

RNG = np.random.default_rng(0)

#: What the networks have, and what else an array may be.
ARRAYS = {
    "conv.weight": RNG.normal(size=(4, 3, 5, 2)).astype("float32"),
    "fc.bias": RNG.normal(size=3).astype("float32"),
    "bn.num_batches_tracked": np.array(600_000, "int64"),
    "scale": np.array(0.25, "float32"),
    "indices": RNG.integers(-(2**62), 2**62, 7),
    "empty": np.zeros((0, 3), "float32"),
    "transposed": RNG.normal(size=(3, 4, 5)).astype("float32").transpose(2, 0, 1),
    "backwards": RNG.normal(size=(3, 2)).astype("float32")[::-1],
    "big_endian": RNG.normal(size=(2, 3)).astype(">f4"),
    "limits": np.array([np.nan, -np.inf, -0.0, 1e-45], "float32"),
    "länge": np.ones(1, "float32"),
}
#: Names that ``torch.load(weights_only=True)`` allows by default.
ALLOWED = {
    *("torch._utils _rebuild_tensor_v2", "torch FloatStorage", "torch LongStorage"),
    "collections OrderedDict",
}
EXTRA = {"iteration": 600_000, "rate": 1e-3, "name": "Cnn14", "done": True, "many": 2**40}


def names_in(path: Path) -> set[str]:
    """What the pickle of a checkpoint has a reader look up, hence import."""
    with zipfile.ZipFile(path) as archive:
        opcodes = pickletools.genops(archive.read("archive/data.pkl"))
    return {argument for opcode, argument, _ in opcodes if "GLOBAL" in opcode.name}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(bytes(1_000_000))  # an older file is replaced
    write_torch_state(path, {**EXTRA, "model": ARRAYS})
    state = read_torch_state(path)
    assert list(state) == list(ARRAYS)
    assert state.extra == EXTRA
    for name, array in ARRAYS.items():
        assert state[name].dtype == array.dtype.newbyteorder("=")
        assert state[name].shape == array.shape
        np.testing.assert_array_equal(state[name], array)
    assert np.signbit(state["limits"][2])
    assert names_in(path) == ALLOWED
    write_torch_state(path, ARRAYS)  # a state dict alone
    assert list(read_torch_state(path)) == list(ARRAYS)


def test_every_storage_is_aligned(tmp_path):
    path = tmp_path / "größe.pth"
    # past 9 and 99 the members' names grow; the sizes leave every rest
    state = {f"layer{i}": np.full(i, i, "float32") for i in range(120)}
    write_torch_state(path, {"model": state})
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        members = [m for m in archive.infolist() if "/data/" in m.filename]
    assert len(members) == 120
    for member in members:
        lengths = struct.unpack_from("<HH", data, member.header_offset + 26)
        assert (member.header_offset + 30 + sum(lengths)) % 64 == 0
        assert member.compress_type == zipfile.ZIP_STORED


def test_equal_input_gives_equal_files(tmp_path):
    for name, change in (("a", 0), ("b", 0), ("c", 1)):
        state = {**ARRAYS, "fc.bias": ARRAYS["fc.bias"] + change}
        write_torch_state(tmp_path / name, {**EXTRA, "model": state})
    files = [(tmp_path / name).read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    with zipfile.ZipFile(tmp_path / "a") as archive:  # not the time of day
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(
    "value",
    [
        *(np.zeros(2, kind) for kind in ("float64", "float16", "int32", "bool", "complex64", "U3")),
        *([np.float32(1)], np.int64(1), zipfile.ZipFile, b"cos\nsystem\n"),
    ],
    ids=str,
)
def test_what_is_no_state_is_refused_before_a_file_is_touched(value, tmp_path):
    path = tmp_path / "net.pth"
    with pytest.raises(ValueError, match="received") as caught:
        write_torch_state(path, {"model": {**ARRAYS, "last": value}})
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_torch_reads_it_without_running_anything(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pth"
    write_torch_state(path, {**EXTRA, "model": ARRAYS})
    for mmap in (False, True):
        loaded = torch.load(path, weights_only=True, mmap=mmap)
        state = loaded.pop("model")
        assert loaded == EXTRA
        for name, array in ARRAYS.items():
            assert state[name].is_contiguous()
            assert state[name].data_ptr() % 64 == 0 or not mmap
            np.testing.assert_array_equal(state[name].numpy(), array)
