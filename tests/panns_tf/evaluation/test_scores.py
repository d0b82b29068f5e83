import dataclasses

import numpy as np
import pytest

from panns_tf.evaluation.scores import check_finite, load_scores, save_scores
from tests.panns_tf.evaluation.support import LABELS, made_scores


def test_written_scores_are_read_again(tmp_path):
    scores = made_scores()
    found = load_scores(save_scores(tmp_path / "e", scores))
    assert found.meta == scores.meta
    for name in ("clip_ids", "target", "score"):
        np.testing.assert_array_equal(getattr(found, name), getattr(scores, name))
        assert getattr(found, name).dtype == getattr(scores, name).dtype


def test_damaged_or_other_files_are_refused(tmp_path):
    path = save_scores(tmp_path, made_scores())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"scores.npz cannot be read .*run evaluate.py again"):
        load_scores(path)
    np.savez(path, something=np.zeros(3))
    with pytest.raises(ValueError, match="cannot be read"):
        load_scores(path)
    scores = made_scores()
    save_scores(tmp_path, dataclasses.replace(scores, clip_ids=scores.clip_ids[:-1]))
    with pytest.raises(ValueError, match="holds targets"):
        load_scores(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": np.full((2, 2), "x")}, "are of kinds S, b, U"),
        ({"target": np.ones((2, 2))}, "are of kinds S, f, f"),
        ({"meta": '{"labels": ["a", "b"]}'}, "its meta lacks model, model_sha256"),
    ],
)
def test_what_is_no_score_is_refused(tmp_path, changes, message):
    good = {
        "clip_id": np.array([b"x", b"y"]),
        "target": np.eye(2, dtype=bool),
        "score": np.eye(2, dtype="float32"),
        "meta": '{"labels": ["a", "b"]}',
    }
    np.savez(tmp_path / "scores.npz", **{**good, **changes})
    with pytest.raises(ValueError, match=message):
        load_scores(tmp_path / "scores.npz")


def test_nan_names_clips_and_classes():
    scores = made_scores()
    check_finite(scores)
    scores.score[[3, 7], 1] = np.nan
    scores.score[7, 4] = np.inf
    with pytest.raises(ValueError, match=r"2 of 60 clips \(clip003.wav, clip007.wav\) and 2 of 5"):
        check_finite(scores)
    scores.score[:] = np.nan
    with pytest.raises(ValueError, match=r"60 of 60 clips \(clip000.* and 55 more\)"):
        check_finite(scores)


def test_clips_in_another_order_are_brought_into_the_first_ones():
    scores = made_scores()
    order = np.random.default_rng(0).permutation(len(scores.score))
    mixed = dataclasses.replace(
        scores,
        clip_ids=scores.clip_ids[order],
        target=scores.target[order],
        score=scores.score[order],
    )
    found = mixed.ordered_as(scores, ("mixed", "straight"))
    np.testing.assert_array_equal(found.clip_ids, scores.clip_ids)
    np.testing.assert_array_equal(found.score, scores.score)
    assert not np.array_equal(mixed.score, scores.score)


def test_other_clips_labels_and_classes_are_named():
    scores = made_scores()
    ids = scores.clip_ids.copy()
    ids[0] = b"elsewhere"
    target = ~scores.target
    others = (
        (dataclasses.replace(scores, clip_ids=ids), r"1 only in a \(elsewhere\), 1 only in b"),
        (dataclasses.replace(scores, target=target), "a and b have other labels for 60 clips"),
        (made_scores(labels=[*LABELS[:4], "f"]), "other classes: they differ first at 4: 'f'"),
        (made_scores(labels=LABELS[:4]), "other classes: 4 and 5"),
    )
    for other, message in others:
        with pytest.raises(ValueError, match=message):
            other.ordered_as(scores, ("a", "b"))
