"""Reading by position, many files, and directories in TensorFlow's file systems."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfrecords
from tfrecords import storage
from tfrecords.storage import TFRecordsError
from tfrecords.sampling import SAMPLINGS
from tfrecords.storage import MOST_BUFFERS, Files, is_remote, join

CONTENT = np.random.default_rng(0).bytes(20000)


def buffers_of(*lengths: int) -> list[bytearray]:
    return [bytearray(length) for length in lengths]


def copy_remote(folder: Path, address: str) -> str:
    """Copy a folder into TensorFlow's file system in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            target = f"{address}/{path.relative_to(folder).as_posix()}"
            tf.io.gfile.makedirs(target.rsplit("/", 1)[0])
            with tf.io.gfile.GFile(target, "wb") as file:
                file.write(path.read_bytes())
    return address


@pytest.fixture(params=["local", "remote"])
def path(request, tmp_path) -> str:
    (tmp_path / "x").write_bytes(CONTENT)
    if request.param == "local":
        return str(tmp_path / "x")
    return copy_remote(tmp_path, f"ram://{request.node.name}") + "/x"


@pytest.fixture(scope="module")
def remote(packed) -> str:
    return copy_remote(packed, "ram://bucket/packed/train")


@pytest.mark.parametrize("number", [1, 3, MOST_BUFFERS - 1, MOST_BUFFERS, 3 * MOST_BUFFERS + 5])
def test_fills_any_number_of_buffers(path, number):
    lengths = np.random.default_rng(number).integers(1, 7, number).tolist()
    buffers = buffers_of(*lengths)
    assert Files().read_into(path, 11, buffers) == sum(lengths)
    assert b"".join(buffers) == CONTENT[11 : 11 + sum(lengths)]


def test_fills_arrays_and_empty_buffers(path):
    rows = np.zeros((2, 5), np.int16)
    buffers = [bytearray(0), rows[1], bytearray(0), memoryview(bytearray(4))]
    assert Files().read_into(path, 6, buffers) == 14
    np.testing.assert_array_equal(rows[1], np.frombuffer(CONTENT[6:16], np.int16))
    assert not rows[0].any()
    assert bytes(buffers[3]) == CONTENT[16:20]


def test_a_file_that_ends_before(path):
    files = Files()
    for offset, found in ((19990, 10), (20000, 0), (30000, 0)):
        buffers = buffers_of(7, 7, 7)
        assert files.read_into(path, offset, buffers) == found
        assert b"".join(buffers) == CONTENT[offset : offset + 21].ljust(21, b"\0")


def test_a_file_that_is_not_there(path):
    with pytest.raises(OSError, match="not there"):
        Files().read_into(f"{path} not there", 0, buffers_of(1))


def test_reads_that_come_in_pieces_go_on(path, monkeypatch):
    """As after a signal, or beyond the 2 GiB of one call."""
    preadv = storage.os.preadv
    monkeypatch.setattr(
        storage.os, "preadv", lambda file, parts, place: preadv(file, [parts[0][:3]], place)
    )
    buffers = buffers_of(2, 10, 1, 8)
    assert Files().read_into(path, 5, buffers) == 21
    assert b"".join(buffers) == CONTENT[5:26]


def test_more_files_than_are_kept_open_from_many_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_OPEN_FILES", 8)
    for number in range(40):
        (tmp_path / str(number)).write_bytes(CONTENT[number : number + 1000])
    files = Files()

    def read(draw: int) -> bool:
        number, offset = draw * 7 % 40, draw % 500
        (buffer,) = buffers_of(100)
        files.read_into(str(tmp_path / str(number)), offset, [buffer])
        return buffer == CONTENT[number + offset : number + offset + 100]

    def opened() -> int:
        links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
        return sum(str(link.readlink()).startswith(str(tmp_path)) for link in links)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(4000)))
    if Path("/proc/self/fd").is_dir():
        assert opened() == 8
        del files
        assert opened() == 0


@pytest.mark.parametrize(
    ("directory", "file", "expected"),
    [
        ("/a/b", "c.x", "/a/b/c.x"),
        ("gs://a/b", "c.x", "gs://a/b/c.x"),
        ("gs://a/b/", "c.x", "gs://a/b/c.x"),
        (Path("a"), "../c.x", "a/../c.x"),
    ],
)
def test_join(directory, file, expected):
    assert join(directory, file) == expected
    assert is_remote(directory) == expected.startswith("gs://")


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_remote_directory_gives_the_same_batches(packed, remote, sampling):
    options = {"batch_size": 16, "sampling": sampling, "start": 8}
    here = list(tfrecords.dataset(packed, **options).take(3))
    there = list(tfrecords.dataset(remote, **options).take(3))
    assert len(here) == 3
    for first, second in zip(here, there, strict=True):
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])


def test_a_remote_directory_is_verified_and_its_damage_named(packed):
    address = copy_remote(packed, "ram://bucket/damaged")
    assert tfrecords.verify_directory(address) == []
    index = tfrecords.load_index(address)
    clip = int(np.flatnonzero(index.shard == 2)[3])
    shard = index.shard_path(2)
    with tf.io.gfile.GFile(shard, "rb") as file:
        content = bytearray(file.read())
    content[index.offset[clip] + 99] ^= 8
    tf.io.gfile.remove(shard)  # this file system would append
    with tf.io.gfile.GFile(shard, "wb") as file:
        file.write(bytes(content))
    found = tfrecords.verify_directory(address)
    assert any(index.clip_ids[clip].decode() in problem for problem in found)
    with pytest.raises(tf.errors.InvalidArgumentError, match=index.clip_ids[clip].decode()):
        list(tfrecords.dataset(address, batch_size=16))
    tf.io.gfile.remove(shard)
    assert any("16 clips" in problem for problem in tfrecords.verify_directory(address))
    with pytest.raises(tf.errors.InvalidArgumentError, match="missing, truncated or damaged"):
        list(tfrecords.dataset(address, batch_size=16))


def test_a_view_that_was_copied_with_its_parts(packed, tmp_path):
    folder = tmp_path / "whole"
    shutil.copytree(packed, folder / "train")
    index = tfrecords.make_view(folder / "views" / "half", [folder / "train"], fraction=0.5)
    address = copy_remote(folder, "ram://bucket/views")
    batches = list(tfrecords.dataset(f"{address}/views/half", batch_size=8))
    ids = [clip_id for batch in batches for clip_id in batch["clip_id"].numpy()]
    assert ids == index.clip_ids.tolist()
    assert tfrecords.verify_directory(f"{address}/views/half") == []


def test_a_remote_directory_that_is_not_there(remote):
    for address in ("ram://bucket/packed", "ram://nowhere"):
        with pytest.raises(TFRecordsError, match="not a packed directory"):
            tfrecords.load_index(address)


def test_a_scheme_that_nobody_reads_is_one_line():
    for address in ("s3://bucket/train", "nonsense://x/train"):
        for read in (tfrecords.load_index, tfrecords.verify_directory):
            try:
                found = read(address)
            except TFRecordsError as error:
                found = [str(error)]
            (line,) = found
            assert address in line
            assert "tensorflow-io" in line
            assert "\n" not in line


def test_remote_reads_are_few(packed, monkeypatch):
    """Neighbours are read at once: 60 clips in 4 shards, one after the other, are 4 reads."""
    calls = []
    read = storage._read_remote

    def counted(path, offset, buffers):
        calls.append((path, offset))
        return read(path, offset, buffers)

    address = copy_remote(packed, "ram://bucket/counted")
    monkeypatch.setattr(storage, "_read_remote", counted)
    assert len(list(tfrecords.dataset(address, batch_size=60))) == 1
    assert len(calls) == 4
