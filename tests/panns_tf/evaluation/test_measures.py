import dataclasses
import json

import numpy as np
import pytest

from panns_tf import metrics
from panns_tf.evaluation.evaluate import Measures
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.class_groups import ClassMetadata
from panns_tf.run import Run, read_run
from tests.panns_tf.evaluation.support import no_metadata, synthetic_scores
from tfrecords.classes import audioset_classes


def test_values_are_those_of_the_metrics():
    scores = synthetic_scores()
    pairs = (scores.target, scores.score)
    measures = Measures(scores, no_metadata(), replicates=50)
    values = measures.as_metrics()
    assert values["mAP_micro"] == pytest.approx(metrics.micro_average_precision(*pairs))
    assert values["mAP_weighted"] == pytest.approx(metrics.weighted_average_precision(*pairs))
    assert values["expected_calibration_error"] == metrics.calibration(*pairs).expected_error
    assert values["lift"] == pytest.approx(values["mAP"] / values["chance_mAP"])
    assert "accuracy" not in values  # some clips have several labels
    for name in ("mAP", "mAUC", "d_prime", "mAP_micro", "mAP_weighted", "lift"):
        low, high = values["intervals"][name]
        assert low < values[name] < high, name


def test_intervals_shrink_with_clips():
    widths = []
    for clips in (60, 600):
        found = Measures(synthetic_scores(clips), no_metadata(), replicates=200).estimates
        widths.append({name: each.high - each.low for name, each in found.items() if each.ends})
    assert len(widths[0]) == 6
    for name, width in widths[0].items():
        assert widths[1][name] < 0.6 * width, name


def test_without_a_bootstrap_there_are_no_intervals():
    measures = Measures(synthetic_scores(), no_metadata(), replicates=0)
    assert set(measures.as_metrics()["intervals"].values()) == {None}
    assert measures.classes["ap_low"].isna().all()


def test_accuracy_where_each_clip_has_one_label():
    scores = synthetic_scores()
    one = dataclasses.replace(scores, target=np.eye(5, dtype=bool)[np.arange(60) % 5])
    one.score[:] = 0.1
    one.score[np.arange(60), np.where(np.arange(60) < 45, np.arange(60) % 5, 0)] = 0.9
    found = Measures(one, no_metadata(), replicates=10).estimates["accuracy"]
    assert found.value == pytest.approx((45 + 3) / 60)  # of the last 15 every fifth
    # Wilson's interval of 48 of 60, which also a perfect accuracy has.
    np.testing.assert_allclose(found.ends, (0.682, 0.882), atol=1e-3)
    one.score[:] = one.target
    found = Measures(one, no_metadata(), replicates=10).estimates["accuracy"]
    assert found.ends == (pytest.approx(0.94, abs=0.01), pytest.approx(1))


def test_scores_outside_0_to_1_are_ranked_and_no_more():
    scores = synthetic_scores()
    inside = Measures(scores, no_metadata(), replicates=0)
    logits = dataclasses.replace(scores, score=8 * scores.score - 4)
    measures = Measures(logits, no_metadata(), replicates=0)
    assert measures.summary.as_dict() == inside.summary.as_dict()
    values = measures.as_metrics()
    assert np.isnan(values["expected_calibration_error"])
    assert any("outside [0, 1] (from -4 to 4)" in note for note in values["notes"])
    for name in ("best_f1", "f1_threshold", "calibration_error"):
        assert measures.classes[name].isna().all()
        assert inside.classes[name].notna().all()


def test_classes_without_metrics_are_named_and_stay_empty(tmp_path):
    scores = synthetic_scores()
    scores.target[:, 1], scores.target[:, 4] = False, True
    run = run_of(tmp_path, scores.labels, (1, 20, 300, 3, 5))
    measures = Measures(scores, ClassMetadata(scores.labels, run), replicates=20)
    notes = " / ".join(measures.notes)
    assert "1 of 5 classes have no positive clip: they have no AP" in notes
    assert 'A "quoted"' in notes
    assert "have no negative clip" in notes
    for name in ("ap_low", "ap_high", "auc_low", "lift", "chance", "best_f1"):
        assert np.isnan(measures.classes[name][1]), name
    assert np.isnan(measures.classes["auc_low"][4])
    (group,) = (group for group in measures.groups if group["name"] == "10 to 99")
    assert group["classes_left_out"] == 1
    assert np.isnan(group["mAP"])


def test_one_clip_cannot_be_measured():
    scores = synthetic_scores(10)
    one = Scores(scores.clip_ids[:1], scores.target[:1], scores.score[:1], scores.meta)
    with pytest.raises(ValueError, match="no class has both positive and negative clips"):
        Measures(one, no_metadata())


def run_of(tmp_path, labels=(), training_clips=None, **config) -> Run:
    return Run(tmp_path, "run", config, tuple(labels), training_clips, (), (), ())


def test_training_clips_are_those_of_the_run(tmp_path):
    run = run_of(tmp_path, ["a", "b"], (3, 5))
    metadata = ClassMetadata(["a", "b"], run)
    assert metadata.training_clips.tolist() == [3, 5]
    assert metadata.training_source == "the run's config.json"
    assert ClassMetadata(["a", "c"], run).training_clips is None
    # Before AudioSet's counts, too.
    labels = list(audioset_classes().names)
    content = {"config": {"data": "gone"}, "labels": labels, "training_clips": list(range(527))}
    (tmp_path / "config.json").write_text(json.dumps(content))
    metadata = ClassMetadata(labels, read_run(tmp_path))
    assert metadata.training_clips.tolist() == list(range(527))


def test_audiosets_classes_have_known_counts_and_groups():
    labels = audioset_classes().names
    metadata = ClassMetadata(labels, None)
    assert metadata.training_clips[labels.index("Speech")] > 900_000
    assert "AudioSet" in metadata.training_source
    assert {group.kind for group in metadata.groups} == {"training clips", "branch"}


def test_a_file_of_training_clips_goes_before_all(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text('label,training_clips\nb,7\n"a, too",1\n')
    run = run_of(tmp_path, training_clips=(3, 5))
    assert ClassMetadata(["a, too", "b"], run, path).training_clips.tolist() == [1, 7]
    path.write_text("index,training_clips\n1,7\n0,1\n")
    assert ClassMetadata(["x", "y"], None, path).training_clips.tolist() == [1, 7]
    for content, message in (
        ("", "has no column training_clips"),
        ("label,clips\na,1\n", "has no column training_clips"),
        ("name,training_clips\na,1\n", "for each of 2 classes, by index, display_name or label"),
        ("label,training_clips\na,many\n", "needs a count of training_clips .*'many'"),
        ("label,training_clips\na,1\n", "for each of 2 classes, .*'b'"),
        ("label,training_clips\na,1\nb,-1\n", "needs a count of training_clips"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            ClassMetadata(["a", "b"], None, path)
    with pytest.raises(ValueError, match=r"gone\.csv cannot be read"):
        ClassMetadata(["a"], None, tmp_path / "gone.csv")


def test_an_ontology_of_other_classes_is_refused(tmp_path):
    path = tmp_path / "ontology.json"
    path.write_text(
        '[{"id": "1", "name": "Top", "child_ids": ["2"]}, '
        '{"id": "2", "name": "a", "child_ids": []}]'
    )
    assert ClassMetadata(["a", "b"], None, ontology=path).branches == [("Top",), ()]
    with pytest.raises(ValueError, match=r"none of the 2 classes is in .*ontology\.json"):
        ClassMetadata(["x", "y"], None, ontology=path)
