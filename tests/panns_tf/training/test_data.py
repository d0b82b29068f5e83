import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers.mixup import MixupLambda
from panns_tf.training import data as data_module
from panns_tf.training.data import RecordData, add_mixup, augment, make_demo_data
from panns_tf.training.distribution import Distribution
from tfrecords import dataset, load_index

SAMPLES, RATE = 1000, 8000


@pytest.fixture
def config(data):
    return TrainConfig(data=str(data / "train"), batch_size=3, seed=5)


def records(config) -> RecordData:
    return RecordData(config, RATE, Distribution(tf.distribute.get_strategy()))


def batches(config, step: int, count: int) -> list[dict]:
    found = itertools.islice(records(config).batches(step), count)
    return [{name: x.numpy() for name, x in batch.items()} for batch in found]


def expected_batches(config, count: int) -> list[dict]:
    """What the data set itself gives."""
    options = {"sampling": config.sampling, "seed": config.seed}
    data = dataset(config.data, batch_size=config.clips_per_step, **options)
    return list(data.take(count).as_numpy_iterator())


def test_batches_are_the_data_sets_with_their_mixup_weights(config):
    weights, found = MixupLambda(5), batches(config, 0, 3)
    for batch, clips in zip(found, expected_batches(config, 3), strict=True):
        assert batch.keys() == {"waveform", "target", "mixup_lambda"}
        np.testing.assert_array_equal(batch["waveform"], clips["waveform"])
        np.testing.assert_array_equal(batch["target"], clips["target"])
        np.testing.assert_array_equal(batch["mixup_lambda"], weights.draw(3))
    assert (found[0]["waveform"].dtype, len(found[0]["waveform"])) == (np.int16, 6)
    (plain,) = batches(dataclasses.replace(config, mixup="none"), 0, 1)
    assert plain.keys() == {"waveform", "target"}
    assert len(plain["target"]) == 3


def test_resumed_at_a_step_equals_the_rest(config):
    for sampling, mixup in (
        ("balanced", "features"),
        ("shuffled", "none"),
        ("streamed", "waveform"),
    ):
        config = dataclasses.replace(config, sampling=sampling, mixup=mixup, mixup_alpha=0.4)
        whole = batches(config, 0, 7)
        for a, b in zip(batches(config, 5, 2), whole[5:], strict=True):
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
        assert not np.array_equal(whole[4]["waveform"], whole[5]["waveform"])


def test_clip_ids_are_those_of_the_update_and_excluded_clips_never_come(config, tmp_path):
    ids = [[clip.decode() for clip in batch["clip_id"]] for batch in expected_batches(config, 3)]
    assert [records(config).clip_ids(number) for number in (1, 3)] == [ids[0], ids[2]]
    config = dataclasses.replace(config, batch_size=200)
    every = sorted(set(records(config).clip_ids(1)))
    exclude_list = tmp_path / "black.txt"
    exclude_list.write_text("\n".join(every[:20]))
    fewer = records(dataclasses.replace(config, exclude=str(exclude_list))).clip_ids(1)
    assert set(fewer) == set(every[20:])
    assert set(records(dataclasses.replace(config, fraction=0.5)).clip_ids(1)) < set(every)


def test_mixup_weights_of_workers_and_devices_together_are_those_of_one(config):
    config = dataclasses.replace(config, batch_size=8, mixup_alpha=0.3)
    empty = tf.data.Dataset.from_tensors({"target": 0}).repeat()

    def weights(count: int, *of) -> list[np.ndarray]:
        found = add_mixup(empty, config, *of).take(count).as_numpy_iterator()
        return [batch["mixup_lambda"] for batch in found]

    for workers, step in ((2, 0), (4, 3)):
        (alone,) = weights(1, step)
        parts = [weights(1, step, 16 // workers, workers, n)[0] for n in range(workers)]
        np.testing.assert_array_equal(np.concatenate(parts), alone)
        assert not np.array_equal(parts[0], parts[1])
    # Two workers of two devices each: two rounds of four clips a worker make one update.
    rounds = zip(*(weights(4, 0, 4, 2, worker) for worker in range(2)), strict=True)
    updates = np.concatenate([part for pair in rounds for part in pair])
    np.testing.assert_array_equal(updates, np.concatenate(weights(2, 0)))


def seed(replica: int = 0, step: int = 0):
    return tf.constant([replica, step], tf.int64)


def shifts(clips: int, most: int, seed) -> np.ndarray:
    """By how many samples each clip was moved to the right."""
    ramps = tf.tile(tf.range(SAMPLES, dtype=tf.float32)[None], (clips, 1))
    first = augment(ramps, seed, shift=most).numpy()[:, 0]
    return -(first - SAMPLES * (first > SAMPLES / 2)).astype(int)


def decibels(clips: int, most: float, seed) -> np.ndarray:
    return 20 * np.log10(augment(tf.ones((clips, 1)), seed, gain=most).numpy()[:, 0])


def test_clips_are_rotated_by_uniform_shifts():
    x = tf.random.normal((6, SAMPLES))
    np.testing.assert_array_equal(augment(x, seed()), x)
    rotated = [np.roll(x[i], by) for i, by in enumerate(shifts(6, 300, seed()))]
    np.testing.assert_array_equal(augment(x, seed(), shift=300), rotated)
    assert set(shifts(500, 2, seed())) == {-2, -1, 0, 1, 2}
    short = tf.range(5, dtype=tf.float32)[None]
    assert sorted(augment(short, seed(), shift=1000).numpy()[0]) == [0, 1, 2, 3, 4]


def test_gains_are_uniform_in_decibels():
    found = decibels(2000, 6.0, seed())
    assert -6 <= found.min() < -5.9
    assert 5.9 < found.max() <= 6
    assert abs(found.mean()) < 0.3
    x = tf.random.normal((2000, 4))
    louder = augment(x, seed(), gain=6.0) / x
    np.testing.assert_allclose(louder, np.tile(10 ** (found[:, None] / 20), 4), rtol=1e-4)


def test_augmentation_is_a_function_of_the_seed():
    for amounts in (lambda s: shifts(50, 400, s), lambda s: decibels(50, 6, s)):
        first = amounts(seed(1, 2))
        np.testing.assert_array_equal(amounts(seed(1, 2)), first)
        for other in (seed(0, 2), seed(2, 2), seed(1, 1), seed(1, 3)):
            assert abs(np.corrcoef(amounts(other), first)[0, 1]) < 0.5
    # Shift and gain are independent of each other.
    assert abs(np.corrcoef(shifts(200, 400, seed()), decibels(200, 6, seed()))[0, 1]) < 0.2


def test_the_demo_makes_its_data_once(tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "DEMO_CLIPS", {"train": 24, "eval": 12})
    make_demo_data(tmp_path, RATE, seed=3)
    indexes = [load_index(tmp_path / "data" / split) for split in ("train", "eval")]
    assert [index.num_clips for index in indexes] == [24, 12]
    assert indexes[0].info.sample_rate == RATE
    written = [index.shard_path(0) for index in indexes]
    times = [tf.io.gfile.stat(path).mtime_nsec for path in written]
    make_demo_data(tmp_path, RATE, seed=3)
    assert [tf.io.gfile.stat(path).mtime_nsec for path in written] == times
    (tmp_path / "other/data/train").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no packed records; the demo makes its own"):
        make_demo_data(tmp_path / "other", RATE, seed=3)
