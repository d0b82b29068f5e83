import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers import MixupLambda
from panns_tf.training import feed
from panns_tf.training.distribution import Distribution
from tfrecords import dataset


@pytest.fixture
def config(data):
    return TrainConfig(data=str(data / "train"), batch_size=3, seed=5)


def one_device() -> Distribution:
    return Distribution(tf.distribute.get_strategy())


def taken(config, step: int, count: int) -> list[dict]:
    found = itertools.islice(feed.batches(config, step, one_device()), count)
    return [{name: x.numpy() for name, x in batch.items()} for batch in found]


def drawn(config, count: int, **options) -> list[dict]:
    """What the dataset itself gives."""
    options = {"sampling": config.sampling, "seed": config.seed, **options}
    data = dataset(config.data, batch_size=config.clips_per_step, **options)
    return list(data.take(count).as_numpy_iterator())


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_batches_are_the_datasets_with_their_weights(config):
    weights = MixupLambda(5)
    found = taken(config, 0, 3)
    for batch, clips in zip(found, drawn(config, 3), strict=True):
        assert batch.keys() == {"waveform", "target", "mixup_lambda"}
        np.testing.assert_array_equal(batch["waveform"], clips["waveform"])
        np.testing.assert_array_equal(batch["target"], clips["target"])
        np.testing.assert_array_equal(batch["mixup_lambda"], weights.draw(3))
    assert found[0]["waveform"].dtype == np.int16
    assert found[0]["waveform"].shape[0] == 6


def test_without_mixup_there_are_no_weights_and_half_the_clips(config):
    (batch,) = taken(dataclasses.replace(config, mixup="none"), 0, 1)
    assert batch.keys() == {"waveform", "target"}
    assert len(batch["target"]) == 3


@pytest.mark.parametrize(
    ("sampling", "mixup"),
    [
        ("balanced", "features"),
        ("shuffled", "none"),
        ("alternate", "none"),
        ("streamed", "waveform"),
    ],
)
def test_resumed_at_a_step_equals_the_rest(config, sampling, mixup):
    config = dataclasses.replace(config, sampling=sampling, mixup=mixup, mixup_alpha=0.4)
    whole = taken(config, 0, 7)
    assert_same(taken(config, 5, 2), whole[5:])
    assert not np.array_equal(whole[4]["waveform"], whole[5]["waveform"])


def test_clips_left_out_never_come(config, tmp_path):
    config = dataclasses.replace(config, batch_size=200)
    ids = sorted(set(feed.clip_ids(config, 1)))
    assert len(ids) == 60
    black_list = tmp_path / "black.txt"
    black_list.write_text("\n".join(ids[:20]))
    found = set(feed.clip_ids(dataclasses.replace(config, exclude=str(black_list)), 1))
    assert found == set(ids[20:])
    fewer = set(feed.clip_ids(dataclasses.replace(config, fraction=0.5), 1))
    assert fewer < set(ids)


def test_clip_ids_are_those_of_the_update(config):
    ids = [[clip_id.decode() for clip_id in batch["clip_id"]] for batch in drawn(config, 3)]
    assert [feed.clip_ids(config, number) for number in (1, 3)] == [ids[0], ids[2]]
    assert ids[0] != ids[2]


@pytest.mark.parametrize(("workers", "step"), [(2, 0), (4, 3)])
def test_weights_of_several_workers_put_together_are_those_of_one(config, workers, step):
    config = dataclasses.replace(config, batch_size=8, mixup_alpha=0.3)
    (alone, *_) = feed.mixup_weights(config, step, 16).take(1).as_numpy_iterator()
    parts = [
        next(feed.mixup_weights(config, step, 16 // workers, workers, worker).as_numpy_iterator())
        for worker in range(workers)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), alone)
    assert not np.array_equal(parts[0], parts[1])


def test_devices_of_a_worker_take_the_rounds_one_after_the_other(config):
    # Two workers of two devices each: two rounds of four clips a worker make one update.
    config = dataclasses.replace(config, batch_size=8)
    rounds = [
        list(feed.mixup_weights(config, 0, 4, 2, worker).take(4).as_numpy_iterator())
        for worker in range(2)
    ]
    updates = np.concatenate([part for pair in zip(*rounds, strict=True) for part in pair])
    np.testing.assert_array_equal(updates, MixupLambda(5).draw(16))
