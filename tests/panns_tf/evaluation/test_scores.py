import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.evaluation.scores import load_scores, save_scores, windowed
from panns_tf.windows import Windows
from tests.panns_tf.evaluation.support import LABELS, synthetic_scores

META = synthetic_scores(labels=["a", "b"]).meta


def test_written_scores_are_read_again(tmp_path):
    scores = synthetic_scores()
    again = load_scores(save_scores(tmp_path / "e", scores))
    assert again.meta == scores.meta
    for name in ("clip_ids", "target", "score"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scores, name))
        assert getattr(again, name).dtype == getattr(scores, name).dtype


def test_damaged_or_other_files_are_refused(tmp_path):
    path = save_scores(tmp_path, synthetic_scores())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"scores.npz cannot be read .*run evaluate.py again"):
        load_scores(path)
    good = {
        "clip_id": np.array([b"x", b"y"]),
        "target": np.eye(2, dtype=bool),
        "score": np.eye(2, dtype="float32"),
        "meta": json.dumps(META),
    }
    for changes, message in (
        ({"score": np.full((2, 2), "x")}, "are of kinds and shapes"),
        ({"target": np.ones((2, 2))}, "are of kinds and shapes"),
        ({"meta": '{"labels": ["a", "b"]}'}, "its meta lacks model, model_sha256"),
        ({"meta": "no JSON"}, "cannot be read"),
    ):
        np.savez(path, **{**good, **changes})
        with pytest.raises(ValueError, match=message):
            load_scores(path)
    np.savez(path, something=np.zeros(3))
    with pytest.raises(ValueError, match="cannot be read"):
        load_scores(path)
    scores = synthetic_scores()
    save_scores(tmp_path, dataclasses.replace(scores, clip_ids=scores.clip_ids[:-1]))
    with pytest.raises(ValueError, match=r"kinds and shapes .*59"):
        load_scores(path)


def test_clips_in_another_order_are_brought_into_the_first_ones():
    scores = synthetic_scores()
    order = np.random.default_rng(0).permutation(len(scores.score))
    mixed = dataclasses.replace(
        scores,
        clip_ids=scores.clip_ids[order],
        target=scores.target[order],
        score=scores.score[order],
    )
    again = mixed.ordered_as(scores, ("mixed", "straight"))
    np.testing.assert_array_equal(again.clip_ids, scores.clip_ids)
    np.testing.assert_array_equal(again.score, scores.score)
    assert not np.array_equal(mixed.score, scores.score)


def test_other_clips_labels_and_classes_are_named():
    scores = synthetic_scores()
    ids = scores.clip_ids.copy()
    ids[0] = b"elsewhere"
    others = (
        (
            dataclasses.replace(scores, clip_ids=ids),
            r"2 only in one of them \(clip000.wav, elsewhere\)",
        ),
        (dataclasses.replace(scores, target=~scores.target), "other labels for 60 clips"),
        (synthetic_scores(labels=[*LABELS[:4], "f"]), "have other classes, or another order: e, f"),
        (synthetic_scores(labels=LABELS[:4]), "other classes, or another order: e"),
    )
    for other, message in others:
        with pytest.raises(ValueError, match=message):
            other.ordered_as(scores, ("a", "b"))


def test_predictions_of_windows_are_joined():
    waveform = tf.constant(np.arange(50, dtype="int16")[None].repeat(2, axis=0))

    def first_sample(part):
        assert part.shape == (2, 20)
        assert part.dtype == tf.int16
        return tf.cast(part[:, :1], tf.float32)

    for how, expected in (("mean", (0 + 20 + 30) / 3), ("max", 30)):
        predict = windowed(first_sample, Windows(2, None, how), 10)
        np.testing.assert_allclose(predict(waveform), np.full((2, 1), expected), rtol=1e-6)
    # A clip shorter than the window is padded with zeros.
    total = windowed(lambda part: tf.reduce_sum(part, 1, keepdims=True), Windows(9), 10)
    assert total(waveform)[0, 0] == 49 * 50 // 2
    last = windowed(lambda part: part[:, -1:], Windows(9), 10)
    assert last(waveform)[0, 0] == 0


def test_nan_of_any_window_stays_nan():
    for how in ("mean", "max"):
        for bad in (0, 1):
            values = iter([tf.constant([[np.nan if i == bad else 1.0]]) for i in range(2)])
            predict = windowed(lambda part, values=values: next(values), Windows(2, None, how), 10)
            assert np.isnan(predict(tf.zeros((1, 40)))).all()
