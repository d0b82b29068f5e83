"""The pipeline: contents, order, resumption, and damage that is named."""

import errno
import gc
import itertools
import shutil

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import tfrecords
from tfrecords import schema, storage
from tfrecords.storage import TFRecordsError
from tfrecords.index import Index, load_index
from tfrecords.records import RecordReader
from tfrecords.sampling import SAMPLINGS


def ids_of(data: tf.data.Dataset, batches: int | None = None) -> list[bytes]:
    rows = itertools.islice(data, batches)
    return [clip_id for batch in rows for clip_id in batch["clip_id"].numpy()]


def test_sequential_reads_everything_once_in_index_order(packed, source):
    index = load_index(packed)
    data = tfrecords.dataset(packed, batch_size=16)
    assert data.cardinality() == 4
    batches = list(data)
    assert [len(batch["clip_id"]) for batch in batches] == [16, 16, 16, 12]
    merged = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    assert merged["clip_id"].tolist() == index.clip_ids.tolist()
    np.testing.assert_array_equal(merged["target"], index.targets())
    assert merged["target"].dtype == np.float32
    assert merged["waveform"].dtype == np.int16
    for clip_id, waveform in zip(merged["clip_id"], merged["waveform"], strict=True):
        audio, _ = soundfile.read(source / "audio" / clip_id.decode())
        np.testing.assert_array_equal(waveform, np.rint(audio * 32767))


@pytest.mark.parametrize("sampling", SAMPLINGS[1:])
def test_others_are_endless_with_static_shapes(packed, sampling):
    data = tfrecords.dataset(packed, batch_size=7, sampling=sampling)
    assert data.element_spec["waveform"] == tf.TensorSpec((7, 2000), tf.int16)
    assert data.element_spec["target"] == tf.TensorSpec((7, 4), tf.float32)
    assert len(ids_of(data, 30)) == 210


@pytest.mark.parametrize(
    ("sampling", "start"),
    [("sequential", 17), ("shuffled", 17), ("balanced", 17), ("alternate", 14), ("alternate", 17)],
)
def test_stream_from_start_is_the_rest(packed, sampling, start):
    options = {"batch_size": 7, "sampling": sampling, "seed": 5}
    whole = ids_of(tfrecords.dataset(packed, **options), 8)
    rest = ids_of(tfrecords.dataset(packed, **options, start=start), 3)
    assert rest == whole[start : start + 21]


@pytest.mark.parametrize("sampling", ["shuffled", "alternate"])
def test_repeatable_and_seeded(packed, sampling):
    orders = [
        ids_of(tfrecords.dataset(packed, batch_size=20, sampling=sampling, seed=seed), 3)
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_sequential_ends_and_starts_anywhere(packed):
    assert len(ids_of(tfrecords.dataset(packed, batch_size=16, start=59))) == 1
    assert ids_of(tfrecords.dataset(packed, batch_size=16, start=60)) == []


def test_balanced_over_records(packed):
    rows = itertools.islice(tfrecords.dataset(packed, batch_size=4, sampling="balanced"), 60)
    # A round of 4 draws is a, b, c and rare; the 3 rare clips are a, b or c besides.
    assert all(batch["target"].numpy().max(axis=0).all() for batch in rows)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_exclude_and_fraction(packed, sampling):
    index = load_index(packed)
    excluded = index.clip_ids[:20].tolist()
    data = tfrecords.dataset(
        packed, batch_size=8, sampling=sampling, exclude=[*excluded, "x"], fraction=0.7
    )
    found = set(ids_of(data, 60))
    kept = set(index.clip_ids[index.select(excluded, 0.7)].tolist())
    assert found <= kept
    assert len(kept) < 40
    if sampling != "balanced":  # 160 draws reach every clip of these, but not of every class
        assert found == kept


def test_clip_without_labels_has_an_empty_target(tmp_path, settings):
    soundfile.write(tmp_path / "x.wav", np.zeros(2000), 8000)
    (tmp_path / "metadata.csv").write_text("filename,labels\nx.wav,\n")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    tfrecords.pack_clips(
        settings(tmp_path, tmp_path / "out", audio=tmp_path, labels=tmp_path / "labels.txt"),
        progress=False,
    )
    (batch,) = tfrecords.dataset(tmp_path / "out", batch_size=1)
    np.testing.assert_array_equal(batch["target"], [[0, 0]])


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "swap", "shorten"])
def test_damage_names_shard_and_clip(packed, tmp_path, damage):
    copy = shutil.copytree(packed, tmp_path / "copy")
    index = load_index(copy)
    clip = int(np.flatnonzero(index.shard == 1)[5])
    shard = copy / index.info.shards[1].name
    content = bytearray(shard.read_bytes())
    middle = int(index.offset[clip] + index.length[clip] // 2)
    if damage == "flip":
        content[middle] ^= 1
        shard.write_bytes(content)
    elif damage == "truncate":
        shard.write_bytes(content[:middle])
    elif damage == "delete":
        shard.unlink()
    elif damage == "swap":  # whole records in the wrong places
        shutil.copy(copy / index.info.shards[2].name, shard)
    else:
        _, waveform, labels = schema.decode(
            next(tf.data.TFRecordDataset(str(shard)).skip(5).as_numpy_iterator())
        )
        clip_id = index.clip_ids[index.shard == 1][0]
        with tf.io.TFRecordWriter(str(shard)) as writer:
            writer.write(schema.encode(clip_id, waveform[:-1], labels))
    first = clip if damage in ("flip", "truncate") else int(np.flatnonzero(index.shard == 1)[0])
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        ids_of(tfrecords.dataset(copy, batch_size=1, start=16))
    message = str(caught.value)
    expected = "instead" if damage == "swap" else "missing, truncated or damaged"
    assert expected in message
    assert f"shard {shard.name}, clip {index.clip_ids[first].decode()}: " in message
    assert "python -m tfrecords verify" in message
    # What lies before the damage, and the other shards, can be read.
    assert len(ids_of(tfrecords.dataset(copy, batch_size=1), 16)) == 16
    assert len(ids_of(tfrecords.dataset(copy, batch_size=1, start=32))) == 28


def test_mistakes_are_found_before_reading(packed, tmp_path):
    for options, part in (
        ({"sampling": "random"}, "sampling must be one of"),
        ({"fraction": 0}, "fraction"),
        ({"start": -1}, "start"),
        ({"start": 61}, "start must be at most the 60"),
        ({"exclude": load_index(packed).clip_ids.tolist()}, "no clips are left"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            tfrecords.dataset(packed, batch_size=1, **options)
    with pytest.raises(TFRecordsError, match="batch_size"):
        tfrecords.dataset(packed, batch_size=0)
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        tfrecords.dataset(tmp_path, batch_size=1)


def test_whole_numbers_may_be_numpys_and_others_are_refused(packed):
    ids = [
        next(
            iter(
                tfrecords.dataset(packed, batch_size=number(4), sampling="shuffled", seed=number(3))
            )
        )
        for number in (int, np.int64)
    ]
    np.testing.assert_array_equal(ids[0]["clip_id"], ids[1]["clip_id"])
    with pytest.raises(TFRecordsError, match=r"seed must be a whole number, got 1\.5"):
        tfrecords.dataset(packed, batch_size=4, seed=1.5)
    with pytest.raises(TFRecordsError, match="exclude must hold clip ids"):
        tfrecords.dataset(packed, batch_size=4, exclude=[5])


def test_nothing_outlives_a_data_set(packed):
    def alive() -> int:
        gc.collect()
        return sum(isinstance(thing, RecordReader | Index) for thing in gc.get_objects())

    before = alive()
    for sampling in SAMPLINGS:
        for _ in range(2):
            batches = iter(tfrecords.dataset(packed, batch_size=4, sampling=sampling).take(2))
            gc.collect()  # the iterator alone keeps what it reads with
            assert len(list(batches)) == 2
            del batches
    assert alive() <= before


def test_a_data_set_made_in_a_graph(packed):
    @tf.function
    def count():
        total = tf.constant(0)
        for batch in tfrecords.dataset(packed, batch_size=4, sampling="balanced").take(3):
            total += tf.size(batch["clip_id"])
        return total

    assert count() == 12
    gc.collect()
    assert count() == 12


@pytest.mark.parametrize("damaged", ["raise", "skip"])
def test_a_disk_that_is_gone_is_no_damage(packed, tmp_path, damaged):
    copy = shutil.copytree(packed, tmp_path / "copy")
    data = tfrecords.dataset(copy, batch_size=4, damaged=damaged)
    copy.rename(tmp_path / "gone")
    with pytest.raises(tf.errors.OpError, match="No such file or directory"):
        list(data)


def test_too_many_open_files_is_no_damage(packed, monkeypatch):
    def none_left(self, path):
        raise OSError(errno.EMFILE, "Too many open files", path)

    monkeypatch.setattr(storage._LocalFile, "__init__", none_left)
    monkeypatch.setattr(storage._LocalFile, "__del__", lambda self: None)
    with pytest.raises(tf.errors.OpError, match="Too many open files"):
        list(tfrecords.dataset(packed, batch_size=4, damaged="skip"))


def test_the_folder_of_a_relative_path_stays(packed, tmp_path, monkeypatch):
    shutil.copytree(packed, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    data = tfrecords.dataset("copy", batch_size=30)
    monkeypatch.chdir("/")
    assert len(list(data)) == 2
