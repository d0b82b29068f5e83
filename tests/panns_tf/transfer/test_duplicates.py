"""One sound under several names."""

import pytest

from panns_tf.transfer.clips import Split
from panns_tf.transfer.duplicates import same_sounds
from panns_tf.transfer.splits import check_splits, make_splits
from tests.panns_tf.transfer.test_splits import collection


def crossing(data, hashes):
    return any(
        {hashes[n] for n in split.test} & {hashes[n] for n in (*split.train, *split.validation)}
        for split in data.splits
    )


def test_duplicates_stay_together():
    data = collection([n % 2 for n in range(60)])
    hashes = [str(n // 6 if n % 2 else 100 + n // 6) for n in range(60)]  # three of each
    grouped = same_sounds(data, hashes)
    for seed in range(5):
        made = make_splits(grouped, folds=4, seed=seed)
        check_splits(made)
        assert not crossing(made, hashes)
        assert crossing(make_splits(data, folds=4, seed=seed), hashes)  # without, they do cross
    assert "60 clips are 20 sounds under several names" in grouped.notes[0]


def test_groups_that_share_a_sound_are_one():
    data = collection([0, 1, 0, 1, 0], ["b", "a", None, "c", None])
    grouped = same_sounds(data, ["x", "x", "y", "y", "z"])
    groups = [clip.group for clip in grouped.clips]
    assert groups == ["a", "a", "c", "c", None]
    chained = same_sounds(data, ["x", "x", "x", "x", "z"])
    assert [clip.group for clip in chained.clips] == ["a", "a", "a", "a", None]


def test_numbers_of_sounds_are_said_in_english():
    data = collection([0, 1, 0, 1, 0])
    (one,) = same_sounds(data, list("xaxbc")).notes
    assert one.startswith("2 clips are one sound under several names; each sound stays in one part")
    (two,) = same_sounds(data, list("xyxyz")).notes
    assert two.startswith("4 clips are 2 sounds under several names;")
    splits = [Split("1", (0, 1), (2, 3))]
    (crossing,) = same_sounds(collection([0, 1, 0, 1], splits=splits), list("xyxy")).notes
    assert crossing.startswith("split 1: 2 tested sounds are also trained on")


def test_nothing_alike():
    data = collection([0, 1], ["a", None])
    assert same_sounds(data, ["x", "y"]) == data


def test_different_labels_are_noted():
    grouped = same_sounds(collection([0, 1]), ["x", "x"])
    assert "one sound, different labels: 0.wav (class0) and 1.wav (class1)" in grouped.notes


def test_given_splits_that_a_sound_crosses():
    data = collection([0, 0, 1, 1], splits=[Split("1", (0, 2), (1, 3)), Split("2", (0, 1), (2, 3))])
    seen = same_sounds(data, ["x", "x", "y", "z"])
    assert seen.clips == data.clips
    assert seen.splits == data.splits
    (note,) = seen.notes
    assert note.startswith(
        "split 1: one tested sound is also trained on or validated with: 1.wav is"
    )


def test_too_few_hashes():
    with pytest.raises(ValueError, match="1 hashes for 2 clips"):
        same_sounds(collection([0, 1]), ["x"])
