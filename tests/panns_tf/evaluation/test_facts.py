import json

import numpy as np
import pytest

from panns_tf.evaluation.facts import gather_facts
from panns_tf.evaluation.runs import Run, read_run
from tfrecords import load_index
from tfrecords.classes import audioset_classes


def run_of(tmp_path, labels=None, training_clips=None, **config) -> Run:
    return Run(tmp_path, config, labels, training_clips, 0, None, True)


def test_a_run_that_says_its_training_clips_is_believed(tmp_path):
    facts = gather_facts(["a", "b"], run_of(tmp_path, ["a", "b"], [3, 5]))
    assert facts.training_clips.tolist() == [3, 5]
    assert facts.training_source == "the run's config.json"
    other = gather_facts(["a", "c"], run_of(tmp_path, ["a", "b"], [3, 5]))
    assert other.training_clips is None
    assert other.training_source == "unknown"


def test_a_run_as_train_wrote_it_is_believed_before_audiosets_counts(tmp_path):
    labels = list(audioset_classes().names)
    counts = list(range(len(labels)))
    written = {"config": {"data": "gone"}, "labels": labels, "training_clips": counts}
    (tmp_path / "config.json").write_text(json.dumps(written))
    facts = gather_facts(labels, read_run(tmp_path))
    assert facts.training_clips.tolist() == counts
    assert facts.training_source == "the run's config.json"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="--training-clips: there is no file"):
        gather_facts(["a"], None, tmp_path / "gone.csv")


def test_else_its_data_are_counted(data, tmp_path):
    index = load_index(data / "train")
    labels = list(index.info.classes)
    facts = gather_facts(labels, run_of(tmp_path, data=str(data / "train")))
    np.testing.assert_array_equal(facts.training_clips, index.class_counts)
    half = gather_facts(labels, run_of(tmp_path, data=str(data / "train"), fraction=0.5))
    assert 0 < half.training_clips.sum() < facts.training_clips.sum()
    gone = gather_facts(labels, run_of(tmp_path, data=str(tmp_path / "gone")))
    assert gone.training_clips is None


def test_else_audiosets_classes_have_known_counts(tmp_path):
    labels = audioset_classes().names
    facts = gather_facts(labels, None)
    assert facts.training_clips[labels.index("Speech")] > 900_000
    assert "AudioSet" in facts.training_source
    kinds = {group.kind for group in facts.strata(labels, None)}
    assert kinds == {"training clips", "branch"}


def test_a_file_goes_before_all(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text('label,training_clips\nb,7\n"a, too",1\n')
    facts = gather_facts(["a, too", "b"], run_of(tmp_path, None, [3, 5]), path)
    assert facts.training_clips.tolist() == [1, 7]
    path.write_text("index,training_clips\n1,7\n0,1\n")
    assert gather_facts(["x", "y"], None, path).training_clips.tolist() == [1, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "needs the column training_clips .* it has no row"),
        ("label,clips\na,1\n", "it has clips, label"),
        ("label,training_clips\na,many\n", "must be whole numbers"),
        ("label,training_clips\na,1\n", "lacks the class 'b'"),
        ("label,training_clips\na,1\nb,-1\n", "has a count below 0"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "counts.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        gather_facts(["a", "b"], None, path)


def test_an_ontology_of_other_classes_is_refused(tmp_path):
    path = tmp_path / "ontology.json"
    path.write_text(
        '[{"id": "1", "name": "Top", "child_ids": ["2"]}, '
        '{"id": "2", "name": "a", "child_ids": []}]'
    )
    assert gather_facts(["a", "b"], None, ontology=path).branches == [("Top",), ()]
    with pytest.raises(ValueError, match=r"none of the 2 classes is in .*ontology\.json"):
        gather_facts(["x", "y"], None, ontology=path)
