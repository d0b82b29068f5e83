"""Records, index and ``dataset.json`` of format 2, byte by byte."""

import hashlib
import json
import zipfile
from pathlib import Path

import crc32c
import numpy as np
import pytest
import tensorflow as tf

import tfrecords
from tests import commands
from tests.contract.inputs import PACKING, stored, write_source
from tests.support import FIXTURES

PACKED = FIXTURES / "v0_1_0" / "packed"
FLAC = FIXTURES / "v0_1_0" / "packed_flac"
FEATURES = {
    "clip_id": tf.io.FixedLenFeature((), tf.string),
    "labels": tf.io.VarLenFeature(tf.int64),
    "waveform": tf.io.FixedLenFeature((), tf.string),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


def pack(source: Path, output: Path, *more) -> None:
    words = ["--metadata", source / "metadata.csv", "--audio", source / "audio"]
    words += ["--clip-seconds", "0.05", *PACKING]
    assert commands.tfrecords("pack", *words, *more, "--output", output) == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_packing_gives_the_bytes_of_version_0_1_0(source, tmp_path):
    pack(source, tmp_path / "packed")
    found, expected = contents(tmp_path / "packed"), contents(PACKED)
    for name, content in expected.items():
        if name.endswith(".tfrecord"):
            assert found[name] == content, name
    ours, theirs = (json.loads(files["dataset.json"]) for files in (found, expected))
    for info in (ours, theirs):  # they name the program's own plan and file
        for key in ("plan", "sha256", "index_sha256"):
            info.pop(key)
    assert ours == theirs
    with np.load(tmp_path / "packed" / "index.npz") as ours, np.load(PACKED / "index.npz") as index:
        assert set(ours.files) >= set(index.files)
        for key in index.files:
            np.testing.assert_array_equal(ours[key], index[key])
            assert ours[key].dtype == index[key].dtype


@pytest.mark.full
def test_workers_change_no_byte(source, tmp_path):
    pack(source, tmp_path / "one")
    pack(source, tmp_path / "two", "--workers", "2")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_tensorflow_alone_reads_the_records():
    paths = sorted(str(path) for path in PACKED.glob("*.tfrecord"))
    classes = json.loads((PACKED / "dataset.json").read_text())["classes"]
    seen = set()
    for record in tf.data.TFRecordDataset(paths):
        example = tf.io.parse_single_example(record, FEATURES)
        number = int(example["clip_id"].numpy()[5:9])
        waveform = np.frombuffer(example["waveform"].numpy(), "<i2")
        np.testing.assert_array_equal(waveform, stored(number, 400))
        labels = {classes[label] for label in example["labels"].values.numpy()}
        more = {"d"} if number % 5 == 0 else set()
        assert labels == {"abc"[number % 3]} | more | ({"rare"} if number % 20 == 0 else set())
        seen.add(number)
        # The bytes are those that TensorFlow writes.
        again = tf.train.Example.FromString(record.numpy())
        assert again.SerializeToString(deterministic=True) == record.numpy()
    assert len(seen) == 60


def test_the_index_says_where_every_record_lies():
    with np.load(PACKED / "index.npz") as index:
        arrays = dict(index)
    info = json.loads((PACKED / "dataset.json").read_text())
    kinds = {name: array.dtype for name, array in arrays.items()}
    assert kinds.pop("clip_ids").kind == "S"
    assert kinds == {
        "shard": np.int32,
        "offset": np.int64,
        "length": np.int32,
        "checksum": np.uint32,
        "label_values": np.uint16,
        "label_starts": np.int64,
    }
    assert info["format_version"] == 2
    content = (PACKED / "index.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == info["index_sha256"]
    assert zipfile.ZipFile(PACKED / "index.npz").testzip() is None
    for number, clip_id in enumerate(arrays["clip_ids"]):
        shard = (PACKED / info["shards"][arrays["shard"][number]]["name"]).read_bytes()
        framed = shard[arrays["offset"][number] :][: arrays["length"][number]]
        data = framed[12:-4]  # length and its checksum before, a checksum behind
        assert int.from_bytes(framed[:8], "little") == len(data)
        assert crc32c.crc32c(data) == arrays["checksum"][number]
        example = tf.train.Example.FromString(data)
        assert example.features.feature["clip_id"].bytes_list.value[0] == clip_id
        first, last = arrays["label_starts"][number : number + 2]
        labels = list(example.features.feature["labels"].int64_list.value)
        assert labels == arrays["label_values"][first:last].tolist()


@pytest.mark.parametrize("directory", [PACKED, FLAC, FIXTURES / "v0_1_0" / "view"])
def test_the_reader_gives_what_was_packed(directory):
    count = 0
    for batch in tfrecords.dataset(directory, batch_size=7):
        assert set(batch) == {"clip_id", "waveform", "target"}
        assert batch["waveform"].dtype == tf.int16
        assert batch["target"].shape[1] == 5
        rows = zip(*(batch[key].numpy() for key in ("clip_id", "waveform", "target")), strict=True)
        for clip_id, waveform, target in rows:
            number = int(clip_id[5:9])
            np.testing.assert_array_equal(waveform, stored(number, 400))
            assert target.tolist() == [
                *(float(number % 3 == label) for label in range(3)),
                float(number % 5 == 0),
                float(number % 20 == 0),
            ]
            count += 1
    assert count == (34 if directory.name == "view" else 60)


def test_every_byte_is_verified(tmp_path, capsys):
    assert commands.tfrecords("verify", PACKED) == 0
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name, content in contents(PACKED).items():
        changed = bytearray(content)
        if name == "train-00001-of-00004.tfrecord":
            changed[1000] ^= 1
        (damaged / name).write_bytes(changed)
    capsys.readouterr()
    assert commands.tfrecords("verify", damaged) == 1
    printed = capsys.readouterr()
    assert "train-00001-of-00004.tfrecord" in printed.out + printed.err
