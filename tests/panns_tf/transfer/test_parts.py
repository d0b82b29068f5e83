"""What is kept of finished trainings is theirs, whole, and of the same settings."""

import json

import numpy as np
import pytest

from panns_tf.transfer.parts import PartBook
from tests.panns_tf.transfer.support import multi_label, result, single_label

IDENTITY = {"arch": "Tiny", "epochs": 30, "classes": ["a", "b"], "ema": None}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out" / "parts" / "Tiny-finetune"


def kept(**changes):
    target, score = single_label(6, 3, 0)
    groups = ("speaker 1", None) * 3
    return result(target, score, groups, **{"seed": 2, "clips_per_class": 5, **changes})


@pytest.mark.parametrize("make", [single_label, multi_label])
@pytest.mark.parametrize("changes", [{}, {"clips_per_class": None, "notes": ("one; two", "née")}])
def test_results_come_back_equal(folder, make, changes):
    target, score = make(7, 4, 0)
    before = result(target, score, ("a", None, "b", "c", None, None, "é"), seed=3, **changes)
    PartBook(folder, IDENTITY).keep("all-seed3-fold1", before)
    after = PartBook(folder, IDENTITY).get("all-seed3-fold1", before.clip_ids)
    for name, value in vars(before).items():
        found = getattr(after, name)
        assert type(found) is type(value)
        if isinstance(value, np.ndarray):
            assert found.dtype == value.dtype
            assert found.tobytes() == value.tobytes()
        else:
            assert found == value
    hash((after.clip_ids, after.groups, after.notes))
    assert sorted(path.name for path in folder.iterdir()) == ["all-seed3-fold1.npz", "plan.json"]


def test_a_training_is_told_by_its_name_and_its_clips(folder):
    book, before = PartBook(folder, IDENTITY), kept()
    book.keep("one", before)
    assert book.get("another", before.clip_ids) is None
    assert book.get("one", before.clip_ids[::-1]) is None
    assert book.get("one", before.clip_ids[:-1]) is None
    assert book.get("one", before.clip_ids) is not None


def test_the_later_result_stays(folder):
    book = PartBook(folder, IDENTITY)
    for steps in (100, 200):
        book.keep("one", kept(steps=steps))
    assert book.get("one", kept().clip_ids).steps == 200


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_file_is_as_none(folder, part):
    book, before = PartBook(folder, IDENTITY), kept()
    book.keep("one", before)
    path = folder / "one.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert book.get("one", before.clip_ids) is None
    path.write_bytes(whole)
    assert book.get("one", before.clip_ids) is not None


def test_a_file_with_other_bytes_in_it_is_as_none(folder):
    book, before = PartBook(folder, IDENTITY), kept()
    book.keep("one", before)
    path = folder / "one.npz"
    whole = path.read_bytes()
    for place in range(60, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place : place + 8] = b"\xff" * 8
        path.write_bytes(damaged)
        found = book.get("one", before.clip_ids)
        if found is not None:  # of what no reader looks at
            np.testing.assert_array_equal(found.score, before.score)
            np.testing.assert_array_equal(found.target, before.target)


@pytest.mark.parametrize("said", [{"fold": "1"}, {"clip_ids": [], "groups": [], "notes": []}])
def test_a_file_of_another_version_is_as_none(folder, said):
    book, before = PartBook(folder, IDENTITY), kept()
    arrays = {"target": before.target, "score": before.score}
    np.savez_compressed(folder / "one.npz", said=np.array(json.dumps(said)), **arrays)
    assert book.get("one", before.clip_ids) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 31}, "epochs was 30, now 31"),
        ({"ema": 0.99, "arch": "Cnn6"}, "arch was 'Tiny', now 'Cnn6'; ema was None, now 0.99"),
        ({"classes": ["b", "a"]}, r"classes was \['a', 'b'\], now \['b', 'a'\]"),
        ({"new": 1}, "new was None, now 1"),
        ({"classes": ["line\nbreak"] * 99}, "classes was"),
    ],
)
def test_other_settings_are_refused(folder, changes, message):
    before = kept()
    PartBook(folder, IDENTITY).keep("one", before)
    with pytest.raises(ValueError, match=message) as caught:
        PartBook(folder, {**IDENTITY, **changes})
    said = str(caught.value)
    assert said.startswith(f"{folder.parents[1]} holds results of other settings")
    assert "--force" in said
    assert "\n" not in said
    assert len(said) < 600
    assert "Tiny'," not in said or "arch" in changes, "what did not change is not told"
    # Nothing is lost by asking.
    assert PartBook(folder, IDENTITY).get("one", before.clip_ids) is not None


def test_force_forgets(folder):
    before, other = kept(), {**IDENTITY, "epochs": 31}
    PartBook(folder, IDENTITY).keep("one", before)
    book = PartBook(folder, other, force=True)
    assert book.get("one", before.clip_ids) is None
    book.keep("two", before)
    assert PartBook(folder, other).get("two", before.clip_ids) is not None
    with pytest.raises(ValueError, match="epochs was 31, now 30"):
        PartBook(folder, IDENTITY)


@pytest.mark.parametrize("content", [b"", b'{"arch": "Ti', b"[]", b"null"])
def test_results_whose_settings_are_not_known_are_refused(folder, content):
    before = kept()
    PartBook(folder, IDENTITY).keep("one", before)
    (folder / "plan.json").write_bytes(content)
    with pytest.raises(ValueError, match="holds results of other settings"):
        PartBook(folder, IDENTITY)
    assert PartBook(folder, IDENTITY, force=True).get("one", before.clip_ids) is None


def test_strategies_and_networks_do_not_meet(folder):
    before = kept()
    PartBook(folder, IDENTITY).keep("one", before)
    beside = PartBook(folder.with_name("Tiny-scratch"), {**IDENTITY, "epochs": 1}, force=True)
    assert beside.get("one", before.clip_ids) is None
    assert PartBook(folder, IDENTITY).get("one", before.clip_ids) is not None
