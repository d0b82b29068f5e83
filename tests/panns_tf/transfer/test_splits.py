"""Splits: shares of classes, whole groups, duplicates, few clips."""

import collections
import dataclasses

import numpy as np
import pytest

from panns_tf.transfer.dataset import (
    Split,
    check_splits,
    fold_numbers,
    group_duplicates,
    make_splits,
    subset,
    with_validation,
)
from tests.panns_tf.transfer.support import dataset


def random_labels(seed, clips, classes, several=False):
    rng = np.random.default_rng(seed)
    if several:
        table = rng.random((clips, classes)) < rng.uniform(0.03, 0.3, classes)
        return [tuple(np.flatnonzero(row).tolist()) for row in table]
    return [(int(label),) for label in rng.integers(0, classes, clips)]


@pytest.mark.parametrize("several", [False, True])
def test_folds_have_equal_shares_and_whole_groups(several):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        folds, clips = int(rng.integers(2, 8)), int(rng.integers(100, 400))
        labels = random_labels(seed, clips, 6, several)
        data = dataset(labels, classes=6)
        dealt = fold_numbers(data, range(clips), folds, seed)
        assert np.ptp(np.bincount(dealt, minlength=folds)) <= folds
        target = data.target()
        counts = np.stack([target[dealt == fold].sum(0) for fold in range(folds)])
        bound = 1 if not several else 3 + 0.35 * target.sum(0) / folds
        assert (np.abs(counts - target.sum(0) / folds) <= bound).all()
        groups = [str(group) for group in rng.integers(0, 30, clips)]
        dealt = fold_numbers(dataset(labels, groups, classes=6), range(clips), folds, seed)
        assert len(set(zip(groups, dealt, strict=True))) == len(set(groups))
        assert len(set(dealt)) == folds


def test_seeds_and_too_many_folds():
    data = dataset([n % 3 for n in range(90)])
    one, two, other = (fold_numbers(data, range(90), 5, seed) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
    for folds in (0, 1, 4):
        with pytest.raises(ValueError, match="folds of 4 clips in 3 groups; expected from 2 to 3"):
            fold_numbers(dataset([0] * 4, ["a", "a", None, None]), range(4), folds, 0)


def test_one_split_and_folds():
    data = dataset([n % 4 for n in range(80)])
    (split,) = make_splits(data, test=0.25, validation=0.2, seed=5).splits
    assert split.name == "test"
    assert (len(split.train), len(split.validation), len(split.test)) == (48, 12, 20)
    for part in split.parts().values():
        assert part == tuple(sorted(part))
        counts = collections.Counter(data.clips[number].labels for number in part)
        assert max(counts.values()) == min(counts.values())
    made = make_splits(data, folds=5, seed=5)
    assert [split.name for split in made.splits] == ["1", "2", "3", "4", "5"]
    assert sorted(n for split in made.splits for n in split.test) == list(range(80))
    for share in (0.05, 0.1, 0.3, 0.6, 0.9):
        (split,) = make_splits(data, test=share, validation=0).splits
        assert abs(len(split.test) / 80 - share) <= 0.02


@pytest.mark.parametrize("clips", [2, 3, 5])
def test_small_classes_are_trained_and_tested(clips):
    for seed in range(5):
        made = make_splits(dataset([0] * clips + [1] * 40), validation=0.3, seed=seed)
        for part in (made.splits[0].train, made.splits[0].test):
            assert {made.clips[number].labels for number in part} == {("class0",), ("class1",)}
        assert made.notes == ()


def test_given_splits_are_kept():
    given = (Split("x", (0, 1, 2, 3), (4, 5)), Split("y", (2, 4), (0,), (5,)))
    made = make_splits(dataset([0, 1, 0, 1, 0, 1], splits=given), folds=5, validation=0.5)
    assert [split.test for split in made.splits] == [(4, 5), (0,)]
    assert made.splits[1].validation == (5,)
    assert sorted(made.splits[0].train + made.splits[0].validation) == [0, 1, 2, 3]
    assert "2 splits of their own; 5 folds" in made.notes[0]


def test_validation_leaves_every_class_a_training_clip():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels = random_labels(seed, 40, 8, True)
        groups = [str(group) for group in rng.integers(0, 12, 40)]
        data = dataset(labels, groups, classes=8)
        split = Split("test", tuple(range(30)), tuple(range(30, 40)))
        made = with_validation(split, data, 0.4, seed)
        assert sorted(made.train + made.validation) == list(range(30))
        assert (made.test, bool(made.validation)) == (split.test, True)
        target = data.target()
        assert (target[list(made.train)].any(0) == target[list(split.train)].any(0)).all()
        assert not {groups[n] for n in made.train} & {groups[n] for n in made.validation}
        assert with_validation(split, data, 0, seed) == split
        assert with_validation(made, data, 0.4, seed) == made


def test_splits_that_leak_or_are_empty():
    data = dataset([0, 0, 1, 1], ["a", "a", None, "a"])
    for split, error in (
        (Split("1", (0, 1, 2), (3,)), "0.wav in training and 3.wav in test are of group a"),
        (Split("1", (0, 3), (2,), (1,)), "0.wav in training and 1.wav in validation are of group"),
        (Split("1", (0, 1, 2, 3), (2,)), "2.wav in test are one clip"),
        (Split("1", (), (2,)), "no training clip"),
        (Split("1", (2,), ()), "no test clip"),
    ):
        with pytest.raises(ValueError, match=error):
            check_splits(dataclasses.replace(data, splits=(split,)))
    made = make_splits(dataset([0] * 10 + [1] * 30, ["a"] * 10 + [None] * 30), validation=0)
    assert made.notes == ("split test has no test clip of class0",)


def fold_groups(data):
    """The groups numbered by their first appearance."""
    groups = [clip.group or clip.clip_id for clip in data.clips]
    return [list(dict.fromkeys(groups)).index(group) for group in groups]


def test_duplicates_stay_together():
    data = dataset([n % 2 for n in range(60)])
    hashes = [str(n // 6 if n % 2 else 100 + n // 6) for n in range(60)]  # three of each
    grouped = group_duplicates(data, hashes)
    assert "several names: 60 clips, 20 different; each sound" in grouped.notes[0]
    for split in make_splits(grouped, folds=4).splits:
        assert not {hashes[n] for n in split.test} & {hashes[n] for n in split.train}
    for groups, sounds, alike in (
        (["b", "a", None, "c", None], "xxyyz", [0, 0, 1, 1, 2]),
        (["b", "a", "b", None], "xyzy", [0, 1, 0, 1]),
        (["b", "a", "b", None], "xxzz", [0, 0, 0, 0]),
    ):
        made = group_duplicates(dataset([0] * len(groups), groups), list(sounds))
        assert fold_groups(made) == alike
    assert group_duplicates(data, [str(n) for n in range(60)]) == data
    splits = [Split("1", (0, 2), (1, 3)), Split("2", (0, 1), (2, 3))]
    given = dataset([0, 0, 1, 1], splits=splits)
    seen = group_duplicates(given, list("xxyz"))
    assert (seen.clips, seen.splits) == (given.clips, given.splits)
    assert seen.notes == (
        "split 1: 1 test clips are also trained on or validated with: 1.wav is 0.wav",
    )


@pytest.mark.parametrize("several", [False, True])
def test_fewer_clips_are_among_more(several):
    for seed in range(3):
        data = dataset(random_labels(seed, 200, 6, several), classes=6)
        split = Split("1", tuple(range(150)), tuple(range(150, 200)))
        have, before = data.target()[:150].sum(0), set()
        for wanted in (1, 2, 5, 10, 20):
            made, _ = subset(split, data, wanted, seed)
            assert before <= set(made.train) <= set(split.train)
            counts = data.target()[list(made.train)].sum(0)
            assert (counts >= np.minimum(wanted, have)).all()
            assert several or (counts == np.minimum(wanted, have)).all()
            before = set(made.train)
        assert subset(split, data, 5, seed) != subset(split, data, 5, seed + 1)


def test_few_clips_are_of_different_groups_and_short_classes_are_noted():
    groups = [str(number // 4) for number in range(40)]
    data = dataset([number // 20 for number in range(40)], groups)
    split = Split("1", tuple(range(40)), ())
    assert len({groups[number] for number in subset(split, data, 5, 0)[0].train}) == 10
    counts = collections.Counter(groups[number] for number in subset(split, data, 7, 0)[0].train)
    assert max(counts.values()) == 2
    data, split = dataset([0, 0, 0, 1, 2, 2]), Split("3", tuple(range(6)), ())
    assert subset(split, data, 1, 0)[1] == []
    whole, notes = subset(split, data, 3, 0)
    assert notes == [
        "split 3: 2 of 3 classes have fewer than 3 training clips: class1 (1), class2 (2)"
    ]
    assert whole == split
