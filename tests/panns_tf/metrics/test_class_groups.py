import csv
import json
from pathlib import Path

import numpy as np
import pytest

from panns_tf import metrics
from panns_tf.metrics import class_groups
from tfrecords.classes import audioset_classes

NAMES = audioset_classes().names


def write_quality(path, pairs, first=str, header="label,rated,true"):
    """A file of the form of `qa_true_counts.csv`."""
    rows = [f"{first(number)},{rated},{true}" for number, (rated, true) in enumerate(pairs)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_ontology(path, **children):
    entries = [
        {"id": key, "name": f"name of {key}", "child_ids": ids} for key, ids in children.items()
    ]
    path.write_text(json.dumps(entries))
    return path


def summary_of(positives, clips=50):
    target = np.arange(clips)[:, None] < np.asarray(positives)
    return metrics.summarise(target, np.random.default_rng(0).random(target.shape))


def test_audioset_has_its_published_counts():
    counts = class_groups.audioset_training_clips(NAMES)
    assert (counts.min(), counts.max(), int(np.median(counts))) == (61, 937780, 1498)
    assert counts[NAMES.index("Speech")] == 937432
    order = np.random.default_rng(0).permutation(len(NAMES))
    shuffled = [NAMES[number] for number in order]
    np.testing.assert_array_equal(class_groups.audioset_training_clips(shuffled), counts[order])
    for labels in (NAMES[:-1], [*NAMES[:-1], "Vuvuzela band"], ["Speech"], []):
        assert class_groups.audioset_training_clips(labels) is None


def test_training_clips_are_grouped_by_powers_of_ten():
    found = class_groups.by_training_clips(np.array([0, 9, 10, 99, 100, 1_000_000, 1]))
    assert {each.name: each.classes.tolist() for each in found} == {
        "none": [0],
        "1 to 9": [1, 6],
        "10 to 99": [2, 3],
        "100 to 999": [4],
        "1,000,000 to 9,999,999": [5],
    }
    assert {each.kind for each in found} == {"training clips"}
    whole = class_groups.by_training_clips(class_groups.audioset_training_clips(NAMES))
    assert [each.name for each in whole] == [
        *("10 to 99", "100 to 999", "1,000 to 9,999", "10,000 to 99,999", "100,000 to 999,999"),
    ]
    assert sorted(np.concatenate([each.classes for each in whole])) == list(range(527))


def test_label_quality_is_read_and_groups_classes(tmp_path):
    path = write_quality(tmp_path / "qa.csv", [(10, 4), (10, 5), (0, 0), (8, 6), (10, 9), (3, 3)])
    quality = class_groups.read_label_quality(path, 6)
    np.testing.assert_array_equal(quality, [0.4, 0.5, np.nan, 0.75, 0.9, 1])
    found = class_groups.by_label_quality(quality)
    assert {each.name: each.classes.tolist() for each in found} == {
        "below 50 %": [0],
        "50 to 75 %": [1],
        "75 to 90 %": [3],
        "90 to 100 %": [4],
        "100 %": [5],
        "not rated": [2],
    }


def test_label_quality_by_machine_ids_is_in_the_order_of_the_classes(tmp_path):
    ids = audioset_classes().ids
    pairs = [(600, number) for number in range(527)]
    path = write_quality(tmp_path / "qa.csv", pairs, first=ids[::-1].__getitem__)
    quality = class_groups.read_label_quality(path, 527)
    np.testing.assert_array_equal(quality, np.arange(527)[::-1] / 600)


def test_a_bad_file_of_label_quality_is_refused(tmp_path):
    path = tmp_path / "qa.csv"
    for pairs in (
        *([(10, 4)], [(10, 4)] * 3, [(10, 4), (10, 11)], [(10, 4), (10, -1)]),
        *([("x", 4), (10, 1)], [("", ""), (10, 1)], [("10", "1.5"), (10, 1)]),
    ):
        message = f"needs a line for each of 2 classes, .* found true; it has {len(pairs)} "
        with pytest.raises(ValueError, match=message):
            class_groups.read_label_quality(write_quality(path, pairs), 2)
    with pytest.raises(ValueError, match=r"missing\.csv cannot be read"):
        class_groups.read_label_quality(tmp_path / "missing.csv", 2)
    path.write_text("header\na\nb\n")
    with pytest.raises(ValueError, match="needs a line for each of 2 classes"):
        class_groups.read_label_quality(path, 2)


def test_audioset_lies_under_seven_branches():
    found = dict(zip(NAMES, class_groups.branches(NAMES), strict=True))
    assert found["Speech"] == ("Human sounds",)
    assert found["Dog"] == ("Animal",)
    assert found["Violin, fiddle"] == ("Music",)
    assert found["Wind"] == ("Natural sounds",)
    assert found["Rain on surface"] == ("Natural sounds",)
    assert found["Howl"] == ("Animal",)
    assert found["Hiss"] == ("Animal", "Natural sounds", "Source-ambiguous sounds")
    assert all(found.values())
    assert any(len(each) > 1 for each in found.values())
    groups = class_groups.by_branch(NAMES)
    assert [each.name for each in groups] == [
        *("Human sounds", "Animal", "Music", "Natural sounds", "Sounds of things"),
        *("Source-ambiguous sounds", "Channel, environment and background"),
    ]
    for group in groups:
        held = [NAMES[number] for number in group.classes]
        assert held == [name for name in NAMES if group.name in found[name]]


def test_labels_that_the_ontology_lacks_are_named_so():
    assert class_groups.branches(["Speech", "Vuvuzela band"]) == [("Human sounds",), ()]
    found = class_groups.by_branch(["Speech", "Vuvuzela band", "Dog"])
    assert {each.name: each.classes.tolist() for each in found} == {
        "Human sounds": [0],
        "Animal": [2],
        "not in the ontology": [1],
    }
    assert class_groups.by_branch(["mine", "yours"]) == []
    assert class_groups.branches([]) == []


def test_an_ontology_of_ones_own(tmp_path):
    # b and c are each other's child, and d lies under both tops.
    path = write_ontology(tmp_path / "o.json", a=["b"], b=["c", "d"], c=["b"], d=[], e=["d"])
    labels = ["name of d", "name of c", "name of e", "Speech"]
    both = ("name of a", "name of e")
    assert class_groups.branches(labels, path) == [both, ("name of a",), ("name of e",), ()]


def test_a_bad_ontology_is_refused(tmp_path):
    path = tmp_path / "ontology.json"
    entry = '{"id": "a", "name": "A", "child_ids": '
    for text, message in (
        ("{", "is damaged"),
        ("{}", "is no ontology"),
        ("[]", "is no ontology"),
        ("[1]", "is no ontology"),
        ('["abc"]', "is no ontology"),
        ('[{"id": "a", "name": "A"}]', "is no ontology"),
        (f"[{entry}[1]}}]", "is no ontology"),
        (f'[{entry}"b"}}]', "is no ontology"),
        (f'[{entry}["b"]}}]', "is no ontology"),
        (f'[{entry}["a"]}}]', "is no ontology"),
        (f"[{entry}[]}}, {entry}[]}}]", "is no ontology"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            class_groups.branches(["A"], path)
    path.write_text(f"[{entry}[]}}]")
    assert class_groups.branches(["A"], path) == [("A",)]
    with pytest.raises(ValueError, match=r"nothing\.json cannot be read"):
        class_groups.by_branch(["A"], tmp_path / "nothing.json")


def test_rows_average_the_defined_classes_and_count_the_others():
    summary = summary_of([5, 10, 0, 50, 0])
    groups = [
        class_groups.ClassGroup("branch", "mixed", np.array([0, 1, 2])),
        class_groups.ClassGroup("branch", "empty", np.array([2, 3, 4])),
    ]
    mixed, empty = class_groups.group_rows(summary, groups)
    area = summary.auc[:2].mean()
    assert mixed == {
        "kind": "branch",
        "name": "mixed",
        "num_classes": 3,
        "classes_left_out": 1,
        "mAP": pytest.approx(summary.average_precision[:2].mean()),
        "mAUC": pytest.approx(area),
        "d_prime": pytest.approx(metrics.d_prime(area)),
    }
    assert (empty["num_classes"], empty["classes_left_out"]) == (3, 3)
    assert all(np.isnan(empty[name]) for name in ("mAP", "mAUC", "d_prime"))


def test_a_group_of_all_classes_is_the_summary():
    summary = summary_of([5, 10, 0, 50, 20])
    (row,) = class_groups.group_rows(summary, [class_groups.ClassGroup("x", "all", np.arange(5))])
    means = summary.as_dict()
    for name in ("mAP", "mAUC", "d_prime", "num_classes", "classes_left_out"):
        assert row[name] == means[name]


def test_the_packaged_counts_are_of_the_packaged_classes():
    folder = Path(class_groups.__file__).parents[1] / "data"
    with (folder / "training_clips_per_class.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(row["mid"] for row in rows) == audioset_classes().ids
    assert tuple(row["display_name"] for row in rows) == NAMES
