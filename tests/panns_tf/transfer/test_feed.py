import collections

import numpy as np
import pytest

from panns_tf.config import TrainConfig
from panns_tf.transfer.feed import draws, training_batches

RNG = np.random.default_rng(0)
TARGET = np.eye(3, dtype="float32")[[0] * 12 + [1] * 3 + [2] * 5]


class Sounds:
    """A store whose recordings say their number in every sample."""

    sample_rate = 100
    lengths = np.arange(20) * 10 + 5

    def __getitem__(self, number):
        return np.full(self.lengths[number], number + 1, np.int16)


def test_shuffled_draws_take_every_clip_once_in_a_round():
    numbers = [3, 5, 7, 11]
    drawn = draws(numbers, TARGET, 10, "shuffled", 0)
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == numbers
    assert len(drawn) == 10


def test_balanced_draws_take_every_class_once_in_a_round():
    drawn = draws(range(20), TARGET, 3 * 12, "balanced", 1)
    classes = TARGET[drawn].argmax(1).reshape(-1, 3)
    assert (np.sort(classes, axis=1) == [0, 1, 2]).all()
    of_rare = drawn[TARGET[drawn][:, 1] > 0]
    assert sorted(of_rare[:3]) == [12, 13, 14]  # each before one comes again


def test_a_class_without_training_clips_is_not_drawn():
    drawn = draws(range(12), TARGET, 30, "balanced", 1)
    assert set(TARGET[drawn].argmax(1)) == {0}


def test_draws_depend_on_the_seed_alone():
    first, again, other = (draws(range(20), TARGET, 50, "shuffled", s) for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("mixup", ["none", "features"])
def test_batches_hold_windows_of_the_drawn_clips(mixup):
    config = TrainConfig(steps=3, batch_size=4, mixup=mixup, seed=5)
    drawn = draws(range(20), TARGET, 3 * config.clips_per_step, "shuffled", 0)
    batches = list(training_batches(config, Sounds(), drawn, TARGET, 60))
    assert len(batches) == 3
    for step, batch in enumerate(batches):
        numbers = drawn.reshape(3, -1)[step]
        waveform = batch["waveform"].numpy()
        assert waveform.shape == (config.clips_per_step, 60)
        np.testing.assert_array_equal(waveform[:, 0], numbers + 1)
        heard = (waveform != 0).sum(1)
        np.testing.assert_array_equal(heard, np.minimum(60, Sounds.lengths[numbers]))
        np.testing.assert_array_equal(batch["target"], TARGET[numbers])
    if mixup == "none":
        assert "mixup_lambda" not in batches[0]
    else:
        weights = np.concatenate([batch["mixup_lambda"] for batch in batches])
        np.testing.assert_allclose(weights[0::2] + weights[1::2], 1, rtol=1e-6)
        assert weights.std() > 0.1


def test_crops_differ_from_round_to_round():
    class Ramp(Sounds):
        def __getitem__(self, number):
            return np.arange(1000, dtype=np.int16)

    config = TrainConfig(steps=40, batch_size=1, mixup="none")
    batches = training_batches(config, Ramp(), np.zeros(40, np.int64), TARGET, 10)
    starts = [int(batch["waveform"][0, 0]) for batch in batches]
    assert len(set(starts)) > 30
    assert max(collections.Counter(starts).values()) < 4
    assert max(starts) <= 990
