"""The pipeline: contents, workers, damage, and what it keeps. `tests/contract` has the orders."""

import errno
import gc
import itertools
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import tfrecords
from tfrecords import schema, shard, storage
from tfrecords.files import TFRecordsError
from tfrecords.index import Index, load_index
from tfrecords.records import RecordReader
from tfrecords.sampling import RUN_CLIPS, SAMPLINGS, WINDOW_CLIPS
from tfrecords.storage import Files

MANY = 4 * WINDOW_CLIPS


def batches_of(directory: Path, count: int | None = None, **options) -> list[list[bytes]]:
    data = tfrecords.dataset(directory, **options)
    return [batch["clip_id"].numpy().tolist() for batch in itertools.islice(data, count)]


def ids_of(directory: Path, count: int | None = None, **options) -> list[bytes]:
    return list(itertools.chain.from_iterable(batches_of(directory, count, **options)))


def test_sequential_reads_everything_once_in_index_order(packed, source, tmp_path, settings):
    index = load_index(packed)
    data = tfrecords.dataset(packed, batch_size=16)
    assert data.cardinality() == 4
    batches = list(data)
    assert [len(batch["clip_id"]) for batch in batches] == [16, 16, 16, 12]
    merged = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    assert merged["clip_id"].tolist() == index.clip_ids.tolist()
    np.testing.assert_array_equal(merged["target"], index.targets())
    assert (merged["target"].dtype, merged["waveform"].dtype) == (np.float32, np.int16)
    for clip_id, waveform in zip(merged["clip_id"], merged["waveform"], strict=True):
        audio, _ = soundfile.read(source / "audio" / clip_id.decode())
        np.testing.assert_array_equal(waveform, np.rint(audio * 32767))
    assert len(batches_of(packed, batch_size=16, start=59)) == 1
    assert batches_of(packed, batch_size=16, start=60) == []
    tfrecords.pack_clips(settings(source, tmp_path / "flac", codec="flac"), progress=False)
    for first, second in zip(
        batches, tfrecords.dataset(tmp_path / "flac", batch_size=16), strict=True
    ):
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])


@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param(name, marks=pytest.mark.full if name == "alternate" else ())
        for name in SAMPLINGS
    ],
)
def test_shapes_selection_and_seeds(packed, sampling):
    index = load_index(packed)
    excluded = index.clip_ids[:20].tolist()
    options = {"batch_size": 7, "sampling": sampling, "exclude": [*excluded, "x"], "fraction": 0.7}
    data = tfrecords.dataset(packed, **options)
    found = list(
        itertools.islice((clip for batch in data for clip in batch["clip_id"].numpy()), 400)
    )
    kept = set(index.clip_ids[index.select(excluded, 0.7)].tolist())
    assert len(kept) < 40
    assert set(found) <= kept
    if sampling != "balanced":  # which does not reach every clip of each class so soon
        assert set(found) == kept
    if sampling != "sequential":
        assert data.element_spec["waveform"] == tf.TensorSpec((7, 2000), tf.int16)
        assert data.element_spec["target"] == tf.TensorSpec((7, 4), tf.float32)
        assert ids_of(packed, 3, **options) == found[:21] != ids_of(packed, 3, seed=1, **options)


def test_mistakes_are_found_before_reading(packed, tmp_path):
    for options, part in (
        ({"sampling": "random"}, "sampling must be one of"),
        ({"start": -1}, "start must be at least 0"),
        ({"start": 61}, "start must be at most the 60"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": 1.5}, r"seed must be a whole number, received 1\.5"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": 2, "worker": 2}, r"worker must be at least 0 and at most 1; received 2"),
        ({"worker": -1}, r"worker must be at least 0 and at most 0"),
        ({"workers": 2, "start": 3}, "multiple of the 2 workers, received 3"),
        ({"on_corrupt": "ignore"}, "on_corrupt must be one of raise, skip"),
        ({"damaged": "ignore"}, "on_corrupt must be one of raise, skip"),
        ({"flac_decoder": "x"}, "flac_decoder must be one of"),
        ({"sample_rate": 16000}, "pack them again"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            tfrecords.dataset(packed, **({"batch_size": 1} | options))
    with pytest.raises(TypeError, match="unexpected keyword argument 'batches'"):
        tfrecords.dataset(packed, batch_size=1, batches=3)
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        tfrecords.dataset(tmp_path, batch_size=1)
    assert ids_of(packed, 1, batch_size=np.int64(4)) == ids_of(packed, 1, batch_size=4)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "swap", "shorten"])
def test_damage_names_shard_and_clip(packed, tmp_path, damage):
    copy = shutil.copytree(packed, tmp_path / "copy")
    index = load_index(copy)
    clip = int(np.flatnonzero(index.shard == 1)[5])
    path = copy / index.info.shards[1].name
    content = bytearray(path.read_bytes())
    middle = int(index.offset[clip] + index.length[clip] // 2)
    if damage == "flip":
        content[middle] ^= 1
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(content[:middle])
    elif damage == "delete":
        path.unlink()
    elif damage == "swap":  # whole records in the wrong places
        shutil.copy(copy / index.info.shards[2].name, path)
    else:
        record = next(tf.data.TFRecordDataset(str(path)).skip(5).as_numpy_iterator())
        _, waveform, labels = schema.decode(record)
        with tf.io.TFRecordWriter(str(path)) as writer:
            front = schema.front(index.clip_ids[16], len(waveform) - 1, labels)
            writer.write(front + bytes(waveform[:-1]))
    first = clip if damage in ("flip", "truncate") else 16
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        ids_of(copy, batch_size=1, start=16)
    message = str(caught.value)
    assert "missing, truncated or damaged" in message
    assert f"shard {path.name}, clip {index.clip_ids[first].decode()}: " in message
    assert "python -m tfrecords verify" in message
    # What lies before the damage, and the other shards, can be read.
    assert len(ids_of(copy, 16, batch_size=1)) == 16
    assert len(ids_of(copy, batch_size=1, start=32)) == 28


@pytest.mark.full
def test_nothing_outlives_a_data_set(packed):
    def alive() -> int:
        gc.collect()
        return sum(isinstance(thing, RecordReader | Index) for thing in gc.get_objects())

    before = alive()
    for sampling in ("sequential", "balanced", "streamed"):
        batches = iter(tfrecords.dataset(packed, batch_size=4, sampling=sampling).take(2))
        gc.collect()  # the iterator alone keeps what it reads with
        assert len(list(batches)) == 2
        del batches
    assert alive() <= before


@pytest.mark.full
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


def test_a_disk_that_is_gone_is_no_damage(packed, tmp_path, monkeypatch):
    copy = shutil.copytree(packed, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    data = tfrecords.dataset("copy", batch_size=30, on_corrupt="skip")
    monkeypatch.chdir("/")
    assert len(list(data)) == 2  # the folder of a relative path stays
    data = tfrecords.dataset(copy, batch_size=30, on_corrupt="skip")
    copy.rename(tmp_path / "gone")
    with pytest.raises(tf.errors.OpError, match="No such file or directory"):
        list(data)

    def none_left(self, path):
        raise OSError(errno.EMFILE, "Too many open files", path)

    monkeypatch.setattr(storage._File, "__init__", none_left)
    monkeypatch.setattr(storage._File, "__del__", lambda self: None)
    with pytest.raises(tf.errors.OpError, match="Too many open files"):
        list(tfrecords.dataset(packed, batch_size=4, on_corrupt="skip"))


@pytest.fixture(scope="module")
def many(settings, tmp_path_factory) -> Path:
    """2048 clips of 4 samples, in 8 shards. Read only."""
    folder = tmp_path_factory.mktemp("many")
    rows = "".join(f"c{number:04d},{'abcd'[number % 4]}\n" for number in range(MANY))
    (folder / "metadata.csv").write_text(f"filename,labels\n{rows}")
    options = settings(
        folder, folder / "packed", audio=folder, clip_seconds=4 / 8000, clips_per_shard=MANY // 8
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            shard,
            "decode_clip",
            lambda path, rate, samples: np.full(samples, int(Path(path).name[1:]), np.int16),
        )
        tfrecords.pack_clips(options, progress=False)
    return folder / "packed"


@pytest.mark.parametrize(("sampling", "start"), [("balanced", 30), ("alternate", 20)])
def test_batches_of_all_workers_are_a_large_one(packed, sampling, start):
    options = {"sampling": sampling, "seed": 3, "start": start}
    whole = batches_of(packed, 6, batch_size=10, **options)
    parts = [
        batches_of(packed, 6, batch_size=5, workers=2, worker=worker, **options)
        for worker in range(2)
    ]
    for large, *small in zip(whole, *parts, strict=True):
        assert large == [*small[0], *small[1]]
    assert parts[0] != parts[1]


def test_sequential_and_streamed_are_shared_by_workers(packed, many):
    for workers, start in ((2, 0), (3, 6), (4, 60)):
        ids = load_index(packed).clip_ids.tolist()[start:]
        for worker in range(workers):
            options = {"batch_size": 4, "workers": workers, "worker": worker, "start": start}
            own = ids_of(packed, **options)
            assert own == ids[worker::workers]
            assert tfrecords.dataset(packed, **options).cardinality() == -(-len(own) // 4)
    whole = ids_of(many, MANY // 64, batch_size=64, sampling="streamed", seed=1)
    assert sorted(whole) == sorted(load_index(many).clip_ids.tolist())
    windows = [whole[first : first + WINDOW_CLIPS] for first in range(0, MANY, WINDOW_CLIPS)]
    for worker in range(2):
        options = {"batch_size": 50, "sampling": "streamed", "seed": 1, "workers": 2}
        own = ids_of(many, 20, worker=worker, **options)
        assert own == (windows[worker] + windows[2 + worker])[:1000]
        assert ids_of(many, 2, worker=worker, start=1600, **options) == own[800:900]


def test_streamed_reads_runs_and_the_right_records(many, monkeypatch):
    calls = []
    read_into = Files.read_into

    def counted(self, path, offset, buffers):
        calls.append(path)
        return read_into(self, path, offset, buffers)

    monkeypatch.setattr(Files, "read_into", counted)
    data = tfrecords.dataset(many, batch_size=WINDOW_CLIPS, sampling="streamed")
    for batch in data.take(4):
        numbers = np.array([int(clip_id[1:]) for clip_id in batch["clip_id"].numpy()])
        np.testing.assert_array_equal(batch["waveform"], np.tile(numbers[:, None], 4))
        np.testing.assert_array_equal(np.argmax(batch["target"], axis=1), numbers % 4)
    # What is read ahead counts too: two batches wait and two are under way.
    assert len(calls) <= 9 * WINDOW_CLIPS / RUN_CLIPS


@pytest.fixture(scope="module")
def damaged(packed, tmp_path_factory):
    """A copy with 8 damaged clips, and their ids."""
    copy = shutil.copytree(packed, tmp_path_factory.mktemp("damaged") / "copy")
    index = load_index(copy)
    clips = [0, 1, 17, 18, 19, 31, 40, 59]
    for clip in clips:
        path = Path(index.shard_path(index.shard[clip]))
        content = bytearray(path.read_bytes())
        content[index.offset[clip] + 200] ^= 1
        path.write_bytes(content)
    return copy, [index.clip_ids[clip] for clip in clips]


def test_sequential_leaves_damaged_clips_out(packed, damaged):
    directory, bad = damaged
    seen = []
    options = {"on_corrupt": "skip", "on_damage": seen.append}
    batches = batches_of(directory, batch_size=8, **options)
    whole = ids_of(packed, batch_size=8)
    assert list(itertools.chain(*batches)) == [clip for clip in whole if clip not in bad]
    assert [len(batch) for batch in batches] == [8] * 6 + [4]
    assert Counter(damage.clip_id.encode() for damage in seen) == Counter(bad)
    assert seen[0].reason == "the record is missing, truncated or damaged"
    from_there = ids_of(directory, batch_size=8, start=18, **options)
    assert from_there == [clip for clip in whole[18:] if clip not in bad]
    with pytest.raises(tf.errors.InvalidArgumentError, match=bad[0].decode()):
        ids_of(directory, batch_size=60)
    # Of a batch the first is named in the order of the samples, not of the shards.
    options = {"batch_size": 60, "sampling": "shuffled"}
    first = next(clip for clip in ids_of(packed, 1, **options) if clip in bad)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"clip {first.decode()}: "):
        ids_of(directory, 1, **options)


@pytest.mark.parametrize("sampling", ["balanced", "streamed"])
def test_a_clip_of_the_same_class_is_read_instead(packed, damaged, sampling):
    directory, bad = damaged
    options = {"batch_size": 10, "sampling": sampling, "seed": 4}
    seen = []
    skip = {"damaged": "skip", "on_damage": seen.append}  # the name of version 0.1.0
    expected = ids_of(packed, 12, **options)
    index = load_index(packed)
    (whole,) = tfrecords.dataset(packed, batch_size=60)
    number = {clip_id: clip for clip, clip_id in enumerate(index.clip_ids)}
    found = []
    for batch in tfrecords.dataset(directory, **options, **skip).take(12):
        rows = [number[clip_id] for clip_id in batch["clip_id"].numpy()]
        for key in ("waveform", "target"):
            np.testing.assert_array_equal(batch[key], whole[key].numpy()[rows])
        found += batch["clip_id"].numpy().tolist()
    replaced = 0
    for clip_id, other in zip(expected, found, strict=True):
        if clip_id not in bad:
            assert other == clip_id
            continue
        replaced += 1
        assert other not in bad
        assert set(index.labels_of(number[clip_id])) & set(index.labels_of(number[other]))
    assert replaced > 8
    assert {damage.clip_id.encode() for damage in seen} <= set(bad)
    # The same again, and from the middle.
    assert ids_of(directory, 3, **options, **skip, start=30) == found[30:60]


def test_nothing_that_could_be_read_instead_is_an_error(packed, tmp_path):
    copy = shutil.copytree(packed, tmp_path / "copy")
    for path in copy.glob("*.tfrecord"):
        path.unlink()
    assert batches_of(copy, batch_size=4, on_corrupt="skip") == []
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"clip clip_.*: the record is damaged, and so is"
    ):
        batches_of(copy, 1, batch_size=4, sampling="shuffled", on_corrupt="skip")
