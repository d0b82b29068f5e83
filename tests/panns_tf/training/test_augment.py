import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training.augment import augment

SAMPLES = 1000


def seed(replica: int = 0, step: int = 0):
    return tf.constant([replica, step], tf.int64)


def ramps(clips: int):
    """Clips that tell at each place where it was."""
    return tf.tile(tf.range(SAMPLES, dtype=tf.float32)[None], (clips, 1))


def shifts(clips: int, most: int, seed) -> np.ndarray:
    """By how many samples each clip was moved to the right."""
    first = augment(ramps(clips), seed, shift=most).numpy()[:, 0]
    return -(first - SAMPLES * (first > SAMPLES / 2)).astype(int)


def decibels(clips: int, most: float, seed) -> np.ndarray:
    return 20 * np.log10(augment(tf.ones((clips, 1)), seed, gain=most).numpy()[:, 0])


def test_without_settings_nothing_is_changed():
    x = tf.random.normal((3, 7))
    np.testing.assert_array_equal(augment(x, seed()), x)


def test_clips_are_rotated_and_nothing_is_lost():
    moved = shifts(6, 300, seed())
    rotated = [np.roll(np.arange(SAMPLES), by) for by in moved]
    np.testing.assert_array_equal(augment(ramps(6), seed(), shift=300), rotated)
    assert len(set(moved)) > 1, "each clip has a draw of its own"


def test_shifts_reach_both_ends_and_no_further():
    assert set(shifts(500, 2, seed())) == {-2, -1, 0, 1, 2}


def test_a_shift_longer_than_the_clip_goes_round():
    x = tf.range(5, dtype=tf.float32)[None]
    found = augment(x, seed(), shift=1000)
    assert sorted(found.numpy()[0]) == [0, 1, 2, 3, 4]


def test_gains_are_uniform_in_decibels():
    found = decibels(2000, 6.0, seed())
    assert -6 <= found.min() < -5.9
    assert 5.9 < found.max() <= 6
    assert abs(found.mean()) < 0.3
    x = tf.random.normal((2000, 4))
    louder = augment(x, seed(), gain=6.0) / x
    np.testing.assert_allclose(louder, np.tile(10 ** (found[:, None] / 20), 4), rtol=1e-4)


@pytest.mark.parametrize("draws", [lambda s: shifts(50, 400, s), lambda s: decibels(50, 6, s)])
def test_the_same_seed_draws_the_same_and_another_replica_or_step_does_not(draws):
    first = draws(seed(1, 2))
    np.testing.assert_array_equal(draws(seed(1, 2)), first)
    for other in (seed(0, 2), seed(2, 2), seed(1, 1), seed(1, 3)):
        assert abs(np.corrcoef(draws(other), first)[0, 1]) < 0.5


def test_shift_and_gain_have_seeds_of_their_own(monkeypatch):
    seeds = []
    draw = tf.random.stateless_uniform

    def noted(shape, seed, *more, **options):
        seeds.append(tuple(np.asarray(seed)))
        return draw(shape, seed, *more, **options)

    monkeypatch.setattr(tf.random, "stateless_uniform", noted)
    augment(ramps(2), seed(3, 4), shift=10, gain=3.0)
    assert len(seeds) == len(set(seeds)) == 2


def test_is_a_function_of_the_seed_when_compiled_too():
    x = tf.random.normal((4, 50))
    compiled = tf.function(lambda x, s: augment(x, s, shift=10, gain=3.0), jit_compile=True)
    np.testing.assert_array_equal(compiled(x, seed()), compiled(x, seed()))
    assert np.abs(compiled(x, seed(0, 1)) - compiled(x, seed())).max() > 0.1
