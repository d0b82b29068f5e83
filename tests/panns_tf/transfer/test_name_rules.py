"""Labels in file names."""

import itertools
import re

import pytest

from panns_tf.transfer.name_rules import NoRuleError, read_groups, read_names

TAKES = range(1, 13)


def product(form, *values):
    return [form.format(*row) for row in itertools.product(*values)]


#: Names, the labels in them by a pattern, and the groups where the names hold any.
CLEAR = {
    "dog_001": (product("{}_{:03d}", ("dog", "cat", "cow"), TAKES), "^[a-z]+", None),
    "001_dog": (product("{1:03d}_{0}", ("dog", "cat", "cow"), TAKES), "[a-z]+$", None),
    "running through": (
        [f"{n:04d}-{label}" for n, label in enumerate(("dog", "cat", "cow") * 9)],
        "[a-z]+$",
        None,
    ),
    "dog12": (product("{}{}", ("dog", "cat"), (1, 2)), "^[a-z]+", None),
    "kick-drum": (
        product("{}-{}", ("kick-drum", "snare-drum", "hi-hat"), TAKES),
        "^[a-z]+-[a-z]+",
        None,
    ),
    "words of any number": (
        product("{}_{:02d}", ("dog", "crying_baby", "door_wood_knock"), TAKES),
        "^[a-z_]+(?=_)",
        None,
    ),
    "words and no bar": (product("{}{:02d}", ("dog", "crying_baby"), TAKES), "^[a-z_]+", None),
    "jazz.00054": (product("{}.{:05d}", ("jazz", "rock"), TAKES), "^[a-z]+", None),
    "dog (3)": (product("{} ({})", ("dog", "cat", "cow"), TAKES), "^[a-z]+", None),
    "prefix": (product("rec_{}_{}", ("dog", "cat"), TAKES), "dog|cat", None),
    "class and its number": (
        product("{0[0]}_{0[1]}_{1}", (("dog", 0), ("cat", 1)), TAKES),
        "^[a-z]+",
        None,
    ),
    "speaker3_angry_2": (
        product("speaker{}_{}_{}", range(1, 7), ("angry", "sad", "calm"), (1, 2)),
        "angry|sad|calm",
        r"speaker\d",
    ),
    "station3_dog_2": (  # a thing that says nothing of the source
        product("station{}_{}_{}", range(1, 7), ("dog", "cat"), (1, 2)),
        "dog|cat",
        None,
    ),
    "car-horn, all different": (
        product("{}-{}", ("car-horn", "dog-bark", "street-music"), range(1, 8)),
        "^[a-z]+-[a-z]+",
        None,
    ),
    "UrbanSound8K": (
        product("{0[0]}-{0[1]}-{1}-{2}", ((1032, 3), (244, 5), (77, 3), (9, 5)), (0, 1), (0, 4)),
        r"(?<=^....-)\d|(?<=^...-)\d|(?<=^..-)\d|(?<=^.-)\d",
        r"^\d+",
    ),
    "ESC-50": (
        product("{}-{}-{}-{}", range(1, 6), (100, 200), "AB", (0, 41)),
        r"\d+$",
        r"(?<=-)\d{3}(?=-)",
    ),
}


@pytest.mark.parametrize("scheme", CLEAR)
def test_clear_schemes(scheme):
    stems, label, group = CLEAR[scheme]
    rule = read_names(stems)
    assert [row.label for row in rule.named] == [re.search(label, stem)[0] for stem in stems]
    groups = [group and re.search(group, stem)[0] for stem in stems]
    assert [row.group for row in rule.named] == groups
    assert "\n" not in rule.title
    # two examples of different labels
    shown = re.findall(r"('\S.*?') is ('.*?')", rule.title)
    assert len({label for _, label in shown}) == 2


def test_esc_names_have_folds():
    rule = read_names(CLEAR["ESC-50"][0])
    assert {row.fold for row in rule.named} == {"1", "2", "3", "4", "5"}


KINDS = ("dog_bark", "dog_howl", "cat_meow", "cat_purr", "car_horn", "car_engine")
UNCLEAR = {
    "spoken digits": (product("{}_{}_{}", range(10), ("jackson", "theo"), range(20)), (1, 2)),
    "two kinds of words": (product("{}_{}_{}", ("dog", "cat"), ("in", "out"), TAKES), (1, 2)),
    "instrument and part": (
        product("{}-{}", ("kick-drum", "bass-drum", "bass-guitar", "air-guitar"), TAKES),
        (1, 2),
    ),
    "a number that runs through each digit": (
        [
            f"{digit}_{speaker}_{4 * place + take}"
            for digit in range(3)
            for place, speaker in enumerate(("george", "lucas", "theo"))
            for take in range(4)
        ],
        (1, 2),
    ),
    "a number that runs in turns": (
        [f"{n % 3}_{('george', 'lucas', 'theo')[n // 3 % 3]}_{n % 12}" for n in range(36)],
        (1, 2),
    ),
    "all takes": (product("{}_{}_{}", range(3), ("george", "lucas", "theo"), range(12)), (1, 2)),
    "five takes": (product("{}_{}_{}", range(10), ("jo", "lu", "th", "ya"), range(5)), (1, 2)),
    "two takes": (product("{}_{}_{}", range(10), ("jo", "lu", "th", "ya"), (0, 1)), (1, 2)),
    "one take": (product("{}_{}_0", range(10), ("jo", "lu", "th", "ya")), (1, 2)),
    "the digit in the middle": (
        product("{}_{}_{}", ("jo", "lu", "th", "ya"), range(10), range(1, 6)),
        (1, 2),
    ),
    "digit or take": (product("{}_{}", range(10), range(5)), (1, 2)),
    "take or digit, then words": (
        product("{}_{}_{}", range(10), range(5), ("jo", "lu")),
        (1, 2, 3),
    ),
    "a kind and its kinds": (product("{}_{}", KINDS, range(3)), (1, 2)),
    "a kind and its kinds, two takes": (product("{}_{}", KINDS, (0, 1)), (1, 2)),
    "a class and its recordings": (
        product("{0[0]}_{0[1]}_{1}", (("dog", 31), ("dog", 7), ("cat", 58), ("cat", 90)), TAKES),
        (1, 2),
    ),
    "RAVDESS": (
        product(
            "03-01-{:02d}-{:02d}-{:02d}-{:02d}-{:02d}", range(1, 9), *[(1, 2)] * 3, range(1, 25)
        ),
        (3, 4, 5, 6),
    ),
}


@pytest.mark.parametrize("scheme", UNCLEAR)
def test_unclear_schemes_are_asked_about(scheme):
    stems, fields = UNCLEAR[scheme]
    with pytest.raises(ValueError, match="may be field") as caught:
        read_names(stems)
    message = str(caught.value)
    assert tuple(map(int, re.findall(r"field (\d+)", message))) == fields
    assert "\n" not in message
    assert ("--task ravdess" in message) == (scheme == "RAVDESS")
    # each pattern that is offered can be used, and reads the field it stands for
    for field, pattern in zip(fields, re.findall("--label-pattern '(.+?)'", message), strict=False):
        labels = [row.label for row in read_names(stems, pattern).named]
        assert labels == [re.split("[-_]", stem)[field - 1] for stem in stems]


@pytest.mark.parametrize("takes", [2, 3, 12])
def test_two_words_together_are_offered(takes):
    stems = product("{}_{}", KINDS, range(takes))
    with pytest.raises(ValueError, match=r"may be field 1 \(dog, cat, car\)") as caught:
        read_names(stems)
    offered = re.search(r"fields 1 and 2 together .dog_bark, .*?'(.+?)'", str(caught.value))
    named = read_names(stems, offered[1]).named
    assert [row.label for row in named] == [stem.rpartition("_")[0] for stem in stems]


def test_a_number_and_a_word_are_not_offered_together():
    with pytest.raises(ValueError, match="may be field 1") as caught:
        read_names(UNCLEAR["five takes"][0])
    assert "together" not in str(caught.value)


def test_more_takes_than_digits_are_takes():
    stems = product("{}_{:02d}", range(3), range(20))
    assert {row.label for row in read_names(stems).named} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("stems", "error"),
    [
        ([f"clip_{n}" for n in range(20)], "no field has a few values"),
        ([f"{n:04d}" for n in range(20)], "no field has a few values"),
        (["a"], "no field has a few values"),
        (["dog", "cat"], "no field has a few values"),
        (["dog_1", "2_cat", "cow"], "not built alike"),
        (["---", "___"], "not built alike"),
    ],
)
def test_no_rule(stems, error):
    with pytest.raises(NoRuleError, match=error) as caught:
        read_names(stems)
    assert "--label-pattern" in str(caught.value)
    assert "a folder a class" in str(caught.value)


def test_half_fields_are_offered_with_patterns_that_work():
    stems = product("{}{}_{}_{}", ("dog", "cat"), range(3), ("x", "y"), range(30))
    with pytest.raises(ValueError, match="may be field") as caught:
        read_names(stems)
    patterns = re.findall("--label-pattern '(.+?)'", str(caught.value))
    found = [{row.label for row in read_names(stems, pattern).named} for pattern in patterns]
    assert {"dog", "cat"} in found
    assert {"x", "y"} in found


def test_given_pattern():
    stems = product("{}_{}_{}", range(3), ("jackson", "theo"), range(5))
    rule = read_names(stems, r"^(?P<label>\d)_(?P<group>[a-z]+)_(?P<fold>\d)$")
    assert [(row.label, row.group, row.fold) for row in rule.named] == [
        tuple(stem.split("_")) for stem in stems
    ]
    assert read_groups(stems, r"_([a-z]+)_") == [stem.split("_")[1] for stem in stems]
    assert read_groups(["a1", "b2"], r"\d") == ["1", "2"]
    assert read_groups(["a1"], r"(.)(?P<group>\d)") == ["1"]


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(", "is no regular expression"),
        (r"\d", "has no group 'label'"),
        (r"(?P<label>\d+)", "finds no label in 'dog'"),
        (r"(?P<label>\d*)", "finds no label in"),
    ],
)
def test_patterns_that_do_not_fit(pattern, error):
    with pytest.raises(ValueError, match=error):
        read_names(["1_dog", "dog"], pattern)
    with pytest.raises(ValueError, match="--group-pattern"):
        read_groups(["dog"], r"\d|(")
    with pytest.raises(ValueError, match="does not fit 'dog'"):
        read_groups(["dog"], r"\d")
