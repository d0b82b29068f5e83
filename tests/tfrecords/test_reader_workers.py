"""Several workers that share one stream, streamed reading, and damaged clips that are skipped."""

import itertools
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfrecords
from tfrecords.storage import TFRecordsError
from tfrecords.index import load_index
from tfrecords.sampling import RUN_CLIPS, WINDOW_CLIPS
from tfrecords.storage import Files

MANY = 4 * WINDOW_CLIPS


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
            "tfrecords.shard.decode_clip",
            lambda path, rate, samples: np.full(samples, int(Path(path).name[1:]), np.int16),
        )
        tfrecords.pack_clips(options, progress=False)
    return folder / "packed"


def batches_of(directory: Path, count: int | None = None, **options) -> list[list[bytes]]:
    data = tfrecords.dataset(directory, **options)
    return [batch["clip_id"].numpy().tolist() for batch in itertools.islice(data, count)]


def flat(batches: list[list[bytes]]) -> list[bytes]:
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize(
    ("sampling", "start"), [("balanced", 30), ("shuffled", 0), ("alternate", 20)]
)
def test_batches_of_all_workers_are_a_large_one(packed, sampling, start):
    options = {"sampling": sampling, "seed": 3, "start": start}
    whole = batches_of(packed, 6, batch_size=10, **options)
    parts = [
        batches_of(packed, 6, batch_size=5, workers=2, worker=worker, **options)
        for worker in range(2)
    ]
    for large, *small in zip(whole, *parts, strict=True):
        assert large == flat(small)
        assert [len(batch) for batch in small] == [5, 5]
    assert parts[0] != parts[1]


@pytest.mark.parametrize(("workers", "start"), [(2, 0), (3, 6), (4, 60)])
def test_sequential_is_covered_once(packed, workers, start):
    ids = load_index(packed).clip_ids.tolist()[start:]
    found = []
    for worker in range(workers):
        options = {"batch_size": 4, "workers": workers, "worker": worker, "start": start}
        own = flat(batches_of(packed, **options))
        assert own == ids[worker::workers]
        assert tfrecords.dataset(packed, **options).cardinality() == -(-len(own) // 4)
        found += own
    assert sorted(found) == sorted(ids)


def test_shuffled_workers_never_share_a_clip_of_an_epoch(packed):
    parts = [
        flat(batches_of(packed, 6, batch_size=5, sampling="shuffled", workers=2, worker=worker))
        for worker in range(2)
    ]
    assert len(set(parts[0])) == len(set(parts[1])) == 30
    assert not set(parts[0]) & set(parts[1])


def test_streamed_workers_take_turns_of_a_window(many):
    whole = flat(batches_of(many, MANY // 64, batch_size=64, sampling="streamed", seed=1))
    assert sorted(whole) == sorted(load_index(many).clip_ids.tolist())
    of_window = [whole[first : first + WINDOW_CLIPS] for first in range(0, MANY, WINDOW_CLIPS)]
    for worker in range(2):
        options = {"batch_size": 50, "sampling": "streamed", "seed": 1, "workers": 2}
        own = flat(batches_of(many, 20, worker=worker, **options))
        assert own == (of_window[worker] + of_window[2 + worker])[:1000]
        later = flat(batches_of(many, 2, worker=worker, start=1600, **options))
        assert later == own[800:900]


@pytest.mark.parametrize("batch_size", [7, 512, 600])
def test_streamed_batches_of_any_size_from_anywhere(many, batch_size):
    options = {"sampling": "streamed", "seed": 2}
    whole = flat(batches_of(many, 45, batch_size=64, **options))  # beyond the first epoch
    start = MANY - 100
    rest = flat(batches_of(many, 1, batch_size=batch_size, start=start, **options))
    assert rest == whole[start : start + batch_size]


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


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"workers": 2, "worker": 2}, "got 2 of 2"),
        ({"worker": 1}, "got 1 of 1"),
        ({"worker": -1}, "got -1 of 1"),
        ({"workers": 2, "start": 3}, "multiple of that, got 3"),
        ({"workers": 1.5}, "workers must be a whole number"),
        ({"damaged": "ignore"}, "damaged must be one of raise, skip"),
    ],
)
def test_mistakes(packed, options, part):
    with pytest.raises(TFRecordsError, match=part):
        tfrecords.dataset(packed, batch_size=4, **options)


@pytest.fixture(scope="module")
def damaged(packed, tmp_path_factory):
    """A copy with 8 damaged clips, and their ids."""
    copy = shutil.copytree(packed, tmp_path_factory.mktemp("damaged") / "copy")
    index = load_index(copy)
    clips = [0, 1, 17, 18, 19, 31, 40, 59]
    for clip in clips:
        shard = Path(index.shard_path(index.shard[clip]))
        content = bytearray(shard.read_bytes())
        content[index.offset[clip] + 200] ^= 1
        shard.write_bytes(content)
    return copy, [index.clip_ids[clip] for clip in clips]


def test_sequential_leaves_damaged_clips_out(packed, damaged):
    directory, bad = damaged
    seen = []
    options = {"damaged": "skip", "on_damage": seen.append}
    batches = batches_of(directory, batch_size=8, **options)
    whole = flat(batches_of(packed, batch_size=8))
    assert flat(batches) == [clip_id for clip_id in whole if clip_id not in bad]
    assert [len(batch) for batch in batches] == [8] * 6 + [4]
    assert Counter(damage.clip_id.encode() for damage in seen) == Counter(bad)
    assert seen[0].reason == "the record is missing, truncated or damaged"
    from_there = flat(batches_of(directory, batch_size=8, start=18, **options))
    assert from_there == [clip_id for clip_id in whole[18:] if clip_id not in bad]


@pytest.mark.parametrize("sampling", ["shuffled", "balanced", "streamed"])
def test_a_clip_of_the_same_class_stands_in(packed, damaged, sampling):
    directory, bad = damaged
    options = {"batch_size": 10, "sampling": sampling, "seed": 4}
    seen = []
    skip = {"damaged": "skip", "on_damage": seen.append}
    expected = flat(batches_of(packed, 12, **options))
    found = flat(batches_of(directory, 12, **options, **skip))
    index = load_index(packed)
    number = {clip_id: clip for clip, clip_id in enumerate(index.clip_ids)}
    replaced = 0
    for clip_id, other in zip(expected, found, strict=True):
        if clip_id not in bad:
            assert other == clip_id
            continue
        replaced += 1
        assert other not in bad
        labels = [set(index.labels_of(number[one]).tolist()) for one in (clip_id, other)]
        assert labels[0] & labels[1]
    assert replaced > 8
    assert {damage.clip_id.encode() for damage in seen} <= set(bad)
    assert len(seen) >= replaced
    # The same again, and from the middle.
    assert flat(batches_of(directory, 3, **options, **skip, start=30)) == found[30:60]


def test_the_waveform_and_target_are_those_of_the_clip_that_stands_in(packed, damaged):
    directory, bad = damaged
    whole = {}
    for batch in tfrecords.dataset(packed, batch_size=60):
        rows = zip(*(batch[key].numpy() for key in ("clip_id", "waveform", "target")), strict=True)
        whole.update({clip_id: (waveform, target) for clip_id, waveform, target in rows})
    data = tfrecords.dataset(directory, batch_size=60, sampling="shuffled", damaged="skip")
    batch = next(iter(data))
    assert not set(bad) & set(batch["clip_id"].numpy())
    for row, clip_id in enumerate(batch["clip_id"].numpy()):
        np.testing.assert_array_equal(batch["waveform"][row], whole[clip_id][0])
        np.testing.assert_array_equal(batch["target"][row], whole[clip_id][1])


def test_an_error_names_the_first_of_the_batch(packed, damaged):
    directory, bad = damaged
    with pytest.raises(tf.errors.InvalidArgumentError, match=bad[0].decode()):
        batches_of(directory, batch_size=60)
    with pytest.raises(tf.errors.InvalidArgumentError, match=bad[2].decode()):
        batches_of(directory, batch_size=60, start=2)
    # In the order of the draws, not of the shards.
    options = {"batch_size": 60, "sampling": "shuffled"}
    first = next(clip_id for clip_id in flat(batches_of(packed, 1, **options)) if clip_id in bad)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"clip {first.decode()}: "):
        batches_of(directory, 1, **options)


def test_nothing_that_could_stand_in_is_an_error(packed, tmp_path):
    copy = shutil.copytree(packed, tmp_path / "copy")
    for shard in copy.glob("*.tfrecord"):
        shard.unlink()
    options = {"batch_size": 4, "damaged": "skip"}
    assert batches_of(copy, **options) == []
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"clip clip_.*: the record is damaged, and so is"
    ):
        batches_of(copy, 1, sampling="shuffled", **options)
