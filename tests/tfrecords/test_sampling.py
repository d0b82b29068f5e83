"""The order of draws, over small indexes and over AudioSet's 527 class counts."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import TFRecordsError
from tfrecords.sampling import (
    RUN_CLIPS,
    SAMPLINGS,
    WINDOW_CLIPS,
    check_sampling,
    draw_tables,
    draws,
)

COUNTS = Path(__file__).parents[2] / "panns_tf" / "data" / "training_clips_per_class.csv"
LABELS = [(0,), (0, 1), (0,), (2,), (0, 2), (), (0,), (1,), (0,), (2,)]


@pytest.fixture(scope="module")
def small(make_index):
    return draw_tables(make_index(LABELS, num_classes=5))


@pytest.fixture(scope="module")
def audioset(make_index):
    """AudioSet's class sizes divided by 50, one label a clip; class number i has counts[i]."""
    with COUNTS.open(newline="") as file:
        counts = [int(row["training_clips"]) // 50 + 1 for row in csv.DictReader(file)]
    labels = [(number,) for number, count in enumerate(counts) for _ in range(count)]
    return make_index(labels, num_classes=527), np.array(counts)


def drawn(tables, sampling, count, *, seed=0, start=0, batch_size=1) -> np.ndarray:
    d = tf.range(start, start + count, dtype=tf.int64)
    return draws(tables, sampling, seed, d, batch_size).numpy()


def test_balanced_visits_each_of_527_classes_once_a_round(audioset):
    index, counts = audioset
    tables = draw_tables(index)
    clips = drawn(tables, "balanced", 40 * 527)
    classes = index.label_values[clips].reshape(40, 527)
    for draw_round in classes:
        np.testing.assert_array_equal(np.sort(draw_round), np.arange(527))
    assert (classes[0] != classes[1]).any()
    # No clip of a class comes twice before all of the class have come.
    per_class = np.array(clips).reshape(40, 527)
    for number in (int(np.argmax(counts)), int(np.argmin(counts))):
        of_class = per_class[classes == number]
        size = counts[number]
        for first in range(0, 40 - size + 1, size):
            assert len(set(of_class[first : first + size])) == size
        if size >= 40:
            assert len(set(of_class)) == 40


def test_balanced_exhausts_each_class_before_it_repeats(small):
    clips = drawn(small, "balanced", 3 * 60).reshape(60, 3)
    members = {0: [0, 1, 2, 4, 6, 8], 1: [1, 7], 2: [3, 4, 9]}
    # Classes 3 and 4 have no clips and are left out; clip 5 has no labels and is never drawn.
    assert 5 not in clips
    keys = np.concatenate([draw_order(small, 60)])
    for number, expected in members.items():
        of_class = clips[keys == number]
        passes = of_class.reshape(-1, len(expected))
        for one in passes:
            assert sorted(one) == expected
        assert len({tuple(one) for one in passes}) > 1  # reshuffled between passes


def draw_order(tables, rounds: int) -> np.ndarray:
    """Which class each draw is for, from draws of an index in which clips tell their class."""
    alone = type(tables)(
        clips=np.arange(3),
        classes=tables.classes,
        class_clips=np.repeat(np.arange(3), np.diff(tables.class_starts)).astype(np.int32),
        class_starts=tables.class_starts,
        runs=np.zeros(3, np.int32),
    )
    return drawn(alone, "balanced", 3 * rounds).reshape(rounds, 3)


def test_balanced_evens_out_classes(audioset):
    index, _ = audioset
    clips = drawn(draw_tables(index), "balanced", 20 * 527)
    assert set(Counter(index.label_values[clips].tolist()).values()) == {20}
    # Control: shuffled follows the class sizes.
    clips = drawn(draw_tables(index), "shuffled", 20 * 527)
    assert max(Counter(index.label_values[clips].tolist()).values()) > 2000


def test_shuffled_draws_each_clip_once_an_epoch(small):
    epochs = drawn(small, "shuffled", 50).reshape(5, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_alternate_takes_turns_of_a_batch(small):
    clips = drawn(small, "alternate", 60, batch_size=6).reshape(5, 2, 6)
    np.testing.assert_array_equal(clips[:, 0].ravel(), drawn(small, "balanced", 30))
    np.testing.assert_array_equal(clips[:, 1].ravel(), drawn(small, "shuffled", 30))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("start", [1, 6, 7])
def test_stream_from_start_is_the_rest(small, sampling, start):
    whole = drawn(small, sampling, 10, batch_size=3)
    rest = drawn(small, sampling, 10 - start, start=start, batch_size=3)
    np.testing.assert_array_equal(rest, whole[start:])


@pytest.mark.parametrize("sampling", SAMPLINGS[1:])
def test_far_along_and_any_seed(small, sampling):
    for seed in (0, -1, 2**63, 2**64 - 1):
        late = drawn(small, sampling, 20, seed=seed, start=2**62, batch_size=4)
        assert ((late >= 0) & (late < 10)).all()
    far = drawn(small, sampling, 40, seed=2**40, batch_size=4)
    assert (far != drawn(small, sampling, 40, seed=2**41, batch_size=4)).any()
    same = drawn(small, sampling, 40, seed=2**64 + 2**40, batch_size=4)
    np.testing.assert_array_equal(far, same)


def test_seeds_are_independent(make_index):
    tables = draw_tables(make_index([(0,)] * 1000, num_classes=1))
    orders = [drawn(tables, "shuffled", 1000, seed=seed) for seed in range(5)]
    orders += [drawn(tables, "balanced", 1000, seed=seed) for seed in range(5)]
    correlations = np.corrcoef(orders)[np.triu_indices(10, 1)]
    assert np.abs(correlations).max() < 0.15
    assert all(sorted(order) == list(range(1000)) for order in orders)


def test_a_class_keeps_its_order_when_others_lose_clips(make_index):
    index = make_index([(0,)] * 70 + [(1,)] * 5, num_classes=2)
    first = drawn(draw_tables(index), "balanced", 140)
    fewer = drawn(draw_tables(index, np.arange(73)), "balanced", 140)
    np.testing.assert_array_equal(first[first < 70], fewer[fewer < 70])


def test_a_subset_alone_is_drawn(make_index):
    index = make_index(LABELS, num_classes=5)
    kept = np.array([0, 1, 5, 7])
    tables = draw_tables(index, kept)
    np.testing.assert_array_equal(tables.classes, [0, 1])
    assert set(drawn(tables, "balanced", 50)) == {0, 1, 7}
    assert set(drawn(tables, "shuffled", 50)) == {0, 1, 5, 7}
    assert set(drawn(tables, "alternate", 50, batch_size=4)) == {0, 1, 5, 7}
    np.testing.assert_array_equal(drawn(tables, "sequential", 4), kept)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_eager_and_graph_agree(small, sampling):
    def compute(d):
        return draws(small, sampling, 1, d, 3)

    d = tf.range(10, dtype=tf.int64)
    np.testing.assert_array_equal(tf.function(compute)(d), compute(d))


def test_mistakes(small, make_index):
    unlabelled = draw_tables(make_index([()], num_classes=1))
    for tables, sampling, start, batch_size, part in (
        (small, "random", 0, 1, "must be one of sequential, shuffled, balanced, alternate"),
        (small, "shuffled", -1, 1, "start must be 0 or more"),
        (small, "sequential", 11, 1, "at most the 10 clips"),
        (small, "shuffled", 0, 0, "batch_size must be at least 1"),
        (unlabelled, "balanced", 0, 1, "needs clips with labels"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            check_sampling(tables, sampling, start, batch_size)
    check_sampling(small, "sequential", 10, 1)
    check_sampling(unlabelled, "shuffled", 10**12, 1)
    with pytest.raises(TFRecordsError, match="must be one of"):
        drawn(small, "random", 1)


@pytest.fixture(scope="module")
def shards(make_index):
    """2500 clips in 5 shards: 4 windows of `streamed` and a part of one."""
    index = make_index([(number % 3,) for number in range(2500)], num_classes=3)
    return replace(index, shard=np.repeat(np.arange(5, dtype=np.int32), 500))


def windows(order: np.ndarray) -> list[np.ndarray]:
    return np.split(order, range(WINDOW_CLIPS, len(order), WINDOW_CLIPS))


def runs_in(clips: np.ndarray) -> int:
    """How many runs of neighbours the clips are, each of which can be read at once."""
    return int((np.diff(np.sort(clips)) != 1).sum()) + 1


def test_streamed_draws_each_clip_once_an_epoch(shards):
    tables = draw_tables(shards)
    epochs = drawn(tables, "streamed", 7500).reshape(3, 2500)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(2500))
    other = drawn(tables, "streamed", 2500, seed=1)
    np.testing.assert_array_equal(np.sort(other), np.arange(2500))
    orders = [*epochs, other]
    correlations = np.corrcoef(orders)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.1


def test_streamed_is_in_long_runs(shards):
    order = drawn(draw_tables(shards), "streamed", 2500)
    for window in windows(order):
        # A shard ends in a run of 4; a window may cut two.
        assert runs_in(window) <= len(window) / RUN_CLIPS + 7
    # Control: shuffled.
    window = drawn(draw_tables(shards), "shuffled", WINDOW_CLIPS)
    assert runs_in(window) > 0.7 * len(window)


def test_streamed_mixes_clips_of_all_shards(shards):
    order = drawn(draw_tables(shards), "streamed", 2500)
    for window in windows(order)[:4]:
        counts = np.bincount(shards.shard[window], minlength=5)
        assert counts.min() > 25
    # Within a window, neighbours in time are no neighbours on disk, and time tells nothing.
    assert np.mean(np.abs(np.diff(order)) < RUN_CLIPS) < 0.1
    assert abs(np.corrcoef(np.arange(2500), order)[0, 1]) < 0.1
    batches = order[:2496].reshape(-1, 32)
    assert np.mean([len(set(shards.shard[batch])) for batch in batches]) > 4.5


def test_streamed_over_a_selection(shards):
    kept = np.flatnonzero(np.random.default_rng(0).random(2500) < 0.5)
    order = drawn(draw_tables(shards, kept), "streamed", 2 * len(kept)).reshape(2, -1)
    for epoch in order:
        np.testing.assert_array_equal(np.sort(epoch), kept)


@pytest.mark.parametrize("start", [1, 511, 512, 2499, 2500, 2501, 40001])
def test_streamed_starts_anywhere(shards, start):
    tables = draw_tables(shards)
    whole = drawn(tables, "streamed", 600, start=start - start % 500)
    rest = drawn(tables, "streamed", 600 - start % 500, start=start)
    np.testing.assert_array_equal(rest, whole[start % 500 :])
