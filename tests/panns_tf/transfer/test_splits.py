"""Splits: shares of classes, whole groups, few shots."""

import collections
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from panns_tf.transfer.clips import Collection, LabelledClip, Split
from panns_tf.transfer.splits import (
    check_splits,
    fold_numbers,
    make_splits,
    short_classes,
    subset,
    with_validation,
)


def collection(labels, groups=None, splits=(), classes=None):
    """A collection of clips with these labels."""
    labels = [row if isinstance(row, tuple) else (row,) for row in labels]
    groups = groups or [None] * len(labels)
    count = classes or max(max(row, default=0) for row in labels) + 1
    clips = tuple(
        LabelledClip(f"{number}.wav", Path(f"{number}.wav"), row, group=group)
        for number, (row, group) in enumerate(zip(labels, groups, strict=True))
    )
    names = tuple(f"class{number}" for number in range(count))
    return Collection("own", names, clips, tuple(splits), any(len(row) != 1 for row in labels))


def random_target(rng, clips, classes, multi_label):
    if multi_label:
        return (rng.random((clips, classes)) < rng.uniform(0.03, 0.3, classes)).astype(np.float32)
    return np.eye(classes, dtype=np.float32)[rng.integers(0, classes, clips)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("multi_label", [False, True])
def test_shares_of_single_clips(seed, multi_label):
    rng = np.random.default_rng(seed)
    target = random_target(rng, int(rng.integers(60, 400)), int(rng.integers(2, 12)), multi_label)
    folds = int(rng.integers(2, 8))
    dealt = fold_numbers(target, [None] * len(target), folds, seed)
    counts = np.stack([target[dealt == fold].sum(0) for fold in range(folds)])
    wanted = target.sum(0) / folds
    # single labels come out as evenly as whole clips can
    bound = 1 if not multi_label else 2 + 0.15 * wanted
    assert (np.abs(counts - wanted) < bound + 1e-6).all()
    sizes = np.bincount(dealt, minlength=folds)
    assert np.ptp(sizes) <= (1 if not multi_label else 2 + 0.1 * len(target) / folds)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("multi_label", [False, True])
def test_groups_are_whole(seed, multi_label):
    rng = np.random.default_rng(100 + seed)
    clips = int(rng.integers(100, 500))
    target = random_target(rng, clips, 5, multi_label)
    groups = [None if rng.random() < 0.2 else int(n) for n in rng.integers(0, clips // 4, clips)]
    dealt = fold_numbers(target, groups, 4, seed)
    places = collections.defaultdict(set)
    for group, fold in zip(groups, dealt.tolist(), strict=True):
        places[group].add(fold)
    assert all(len(found) == 1 for group, found in places.items() if group is not None)
    counts = np.stack([target[dealt == fold].sum(0) for fold in range(4)])
    largest = max(collections.Counter(g for g in groups if g is not None).values())
    assert (np.abs(counts - target.sum(0) / 4) <= largest + 0.15 * target.sum(0) / 4).all()
    # dealing groups by chance is further from the shares
    chance = rng.integers(0, 4, clips)
    by_chance = np.stack([target[chance == fold].sum(0) for fold in range(4)])
    wanted = target.sum(0) / 4
    assert np.abs(counts - wanted).sum() < np.abs(by_chance - wanted).sum()


def test_seeds():
    target = np.eye(3)[np.arange(90) % 3]
    one, two, other = (fold_numbers(target, [None] * 90, 5, seed) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_too_many_folds(folds):
    with pytest.raises(ValueError, match="folds of 4 clips in 3 groups; expected from 2 to 3"):
        fold_numbers(np.ones((4, 1)), ["a", "a", None, None], folds, 0)
    with pytest.raises(ValueError, match="target of shape"):
        fold_numbers(np.ones(4), [None] * 4, 2, 0)


def test_one_split():
    made = make_splits(collection([n % 4 for n in range(80)]), test=0.25, validation=0.2, seed=5)
    (split,) = made.splits
    assert split.name == "test"
    assert (len(split.train), len(split.validation), len(split.test)) == (48, 12, 20)
    for part in (split.train, split.validation, split.test):
        assert part == tuple(sorted(part))
        counts = collections.Counter(made.clips[number].labels for number in part)
        assert max(counts.values()) == min(counts.values())


@pytest.mark.parametrize("clips", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(5))
def test_small_classes_are_trained_and_tested(clips, seed):
    made = make_splits(collection([0] * clips + [1] * 40), validation=0.3, seed=seed)
    (split,) = made.splits
    for part in (split.train, split.test):
        assert {made.clips[number].labels for number in part} == {(0,), (1,)}
    assert made.notes == ()


def test_folds():
    made = make_splits(collection([n % 4 for n in range(80)]), folds=5, seed=5)
    assert [split.name for split in made.splits] == ["1", "2", "3", "4", "5"]
    assert sorted(n for split in made.splits for n in split.test) == list(range(80))
    for split in made.splits:
        assert sorted((*split.train, *split.validation, *split.test)) == list(range(80))


def test_given_splits_are_kept():
    given = (Split("x", (0, 1, 2, 3), (4, 5)), Split("y", (2, 4), (0,), (5,)))
    made = make_splits(collection([0, 1, 0, 1, 0, 1], splits=given), folds=5, validation=0.5)
    assert [split.test for split in made.splits] == [(4, 5), (0,)]
    assert made.splits[1].validation == (5,)
    assert sorted(made.splits[0].train + made.splits[0].validation) == [0, 1, 2, 3]
    assert "2 splits of their own; 5 folds" in made.notes[0]


@pytest.mark.parametrize("values", [{"test": 0}, {"test": 1}, {"validation": 1}])
def test_shares_out_of_range(values):
    with pytest.raises(ValueError, match=r"share of [01]; expected"):
        make_splits(collection([0, 0, 1, 1]), **values)


@pytest.mark.parametrize("seed", range(8))
def test_validation_leaves_every_class_a_training_clip(seed):
    rng = np.random.default_rng(seed)
    rows = [tuple(np.flatnonzero(row)) for row in random_target(rng, 40, 8, True)]
    groups = [str(group) for group in rng.integers(0, 12, 40)]
    data = collection(rows, groups, classes=8)
    split = Split("test", tuple(range(30)), tuple(range(30, 40)))
    made = with_validation(split, data, 0.4, seed)
    assert sorted(made.train + made.validation) == list(range(30))
    assert made.test == split.test
    assert made.validation
    target = data.target()
    assert (target[list(made.train)].any(0) == target[list(split.train)].any(0)).all()
    assert not {groups[n] for n in made.train} & {groups[n] for n in made.validation}
    assert with_validation(split, data, 0, seed) == split
    assert with_validation(made, data, 0.4, seed) == made


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_fewer_clips_are_among_more(multi_label, seed):
    rng = np.random.default_rng(seed)
    rows = [tuple(np.flatnonzero(row)) for row in random_target(rng, 200, 6, multi_label)]
    data = collection(rows, classes=6)
    split = Split("1", tuple(range(0, 150)), tuple(range(150, 200)))
    have = data.target()[:150].sum(0)
    before = set()
    for wanted in (1, 2, 5, 10, 20):
        made = subset(split, data, wanted, seed)
        assert before <= set(made.train) <= set(split.train)
        assert made.test == split.test
        counts = data.target()[list(made.train)].sum(0)
        assert (counts >= np.minimum(wanted, have)).all()
        if not multi_label:
            assert (counts == np.minimum(wanted, have)).all()
        before = set(made.train)
    assert subset(split, data, 5, seed) != subset(split, data, 5, seed + 1)


def test_few_shots_are_of_different_groups():
    groups = [str(number // 4) for number in range(40)]
    data = collection([number // 20 for number in range(40)], groups)
    split = Split("1", tuple(range(40)), ())
    made = subset(split, data, 5, 0)
    assert len({groups[number] for number in made.train}) == 10
    made = subset(split, data, 7, 0)
    assert max(collections.Counter(groups[number] for number in made.train).values()) == 2


def test_short_classes():
    data = collection([0, 0, 0, 1, 2, 2])
    split = Split("3", tuple(range(6)), ())
    assert short_classes(split, data, 1) is None
    assert short_classes(split, data, 3) == (
        "split 3: 2 of 3 classes have fewer than 3 training clips: class1 (1), class2 (2)"
    )
    assert subset(split, data, 3, 0) == split
    with pytest.raises(ValueError, match="0 clips per class"):
        subset(split, data, 0, 0)


@pytest.mark.parametrize(
    ("split", "error"),
    [
        (Split("1", (0, 1, 2), (3,)), "0.wav in training and 3.wav in test are of group a"),
        (Split("1", (0, 3), (2,), (1,)), "0.wav in training and 1.wav in validation are of group"),
        (Split("1", (0, 1, 2, 3), (2,)), "2.wav in test are one clip"),
        (Split("1", (), (2,)), "no training clip"),
        (Split("1", (2,), ()), "no test clip"),
    ],
)
def test_check_splits(split, error):
    data = collection([0, 0, 1, 1], ["a", "a", None, "a"], [split])
    with pytest.raises(ValueError, match=error):
        check_splits(data)
    check_splits(dataclasses.replace(data, splits=(Split("1", (0, 1, 3), (2,)),)))
    with pytest.raises(ValueError, match="no splits"):
        check_splits(dataclasses.replace(data, splits=()))


def test_class_that_cannot_be_in_both_parts_is_named():
    groups = ["a"] * 10 + [None] * 30
    made = make_splits(collection([0] * 10 + [1] * 30, groups), validation=0)
    assert made.notes == ("split test has no test clip of class0",)
