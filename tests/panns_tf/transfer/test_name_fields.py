"""File names as a table."""

import itertools
import re

import pytest

from panns_tf.transfer.name_fields import columns, determines


def values(stems):
    return [list(column.counts()) for column in columns(stems)]


@pytest.mark.parametrize(
    ("stems", "fields"),
    [
        (["a_1", "b_2"], [["a", "b"], ["1", "2"]]),
        (["a-b c.d(1)", "x-b c.y(2)"], [["a", "x"], ["b"], ["c"], ["d", "y"], ["1", "2"]]),
        (["dog1", "cat2"], [["dog", "cat"], ["1", "2"]]),
        (["1dog", "2cat"], [["1", "2"], ["dog", "cat"]]),
        (["clip1", "clip2"], [["clip1", "clip2"]]),  # a thing
        (["a_b_1", "c_2"], [["a_b", "c"], ["1", "2"]]),
        (["a_b1", "c2"], [["a_b", "c"], ["1", "2"]]),
        (["x²", "y²"], [["x²", "y²"]]),
    ],
)
def test_columns(stems, fields):
    assert values(stems) == fields
    for column in columns(stems):
        found = [stem[slice(*span)] for stem, span in zip(stems, column.spans, strict=True)]
        assert tuple(found) == column.values


@pytest.mark.parametrize("stems", [["a_1", "1_a_2"], ["a", "1_b"], ["__", "--"], [""]])
def test_nothing_in_common(stems):
    assert columns(stems) is None


def test_things():
    assert [column.thing for column in columns(["speaker1_a", "speaker2_b"])] == ["speaker", ""]


def test_counting():
    stems = [f"{a}_{b}_{c}" for a, b, c in itertools.product("xy", (3, 70, 900), (1, 2, 4))]
    table = columns(stems)
    assert not table[1].counts_up(table)
    assert table[2].counts_up(table)
    (alone,) = columns(["1", "2", "3"])
    assert alone.counts_up([alone])


def test_counting_takes():
    def last(form):
        names = [form(*row) for row in itertools.product(range(3), range(3), range(4))]
        table = columns(names)
        return table[-1].counts_takes(table), table[-1].counts_up(table)

    assert last(lambda a, b, n: f"{a}_{'xyz'[b]}_{n}") == (True, True)
    # numbered in turns through each a
    assert last(lambda a, b, n: f"{a}_{'xyz'[b]}_{3 * n + b}") == (True, False)
    # ... but neither from 0 or 1, nor without large gaps
    assert last(lambda a, b, n: f"{a}_{'xyz'[b]}_{3 * n + b + 2}") == (False, False)
    assert last(lambda a, b, n: f"{a}_{'xyz'[b]}_{9 * n + 3 * b}") == (False, False)


def test_patterns():
    first, second, number = columns(["dog_bark-1", "cat_meow-2"])
    found = [
        re.match(pattern, "dog_bark-1")["label"]
        for pattern in (first.pattern(), first.pattern(2), second.pattern(2), number.pattern())
    ]
    assert found == ["dog", "dog_bark", "bark-1", "1"]


def test_determines():
    name, number, other = columns(["dog_0_a", "cat_1_a", "cow_1_b"])
    assert determines(name, number)
    assert not determines(number, name)
    assert not determines(number, other)
