import io
import json

import numpy as np
import pytest
import soundfile

from panns_tf.inference.batching import Prediction as Heard
from panns_tf.inference.tagger import AudioTagger
from panns_tf.transfer.predicting import (
    About,
    Predictor,
    is_single_label,
    prediction_of,
    read_about,
    rows_of,
)
from panns_tf.transfer.windows import cut, window_starts
from tests.panns_tf.inference.support import kept, noise, trained

RATE = 8000


def predicted(predictor, *sounds):
    found = list(predictor.predict_each(sounds))
    assert all(heard.error is None for heard in found)
    return [heard.outputs["clipwise_output"] for heard in found]


def expected(samples, seconds: float) -> np.ndarray:
    """What the training's test would say: windows by its rule, each whole, averaged."""
    window = round(seconds * RATE)
    parts = np.stack([cut(samples, n, window) for n in window_starts(len(samples), window)])
    return kept("Tiny")(parts, training=False)["clipwise_output"].numpy().mean(axis=0)


@pytest.mark.parametrize(
    "samples",
    [3000, 8000, 8700, 8900, 16000, 20000],
    ids=["padded", "a window", "a negligible rest", "a rest", "two windows", "two and a rest"],
)
def test_recordings_are_heard_as_in_the_tests_of_the_training(samples):
    predictor = Predictor(kept("Tiny"), about=About(1.0, False))
    sound = noise(samples, samples)
    (found,) = [heard.outputs["clipwise_output"] for heard in predictor.predict_each([_wav(sound)])]
    np.testing.assert_allclose(found, expected(sound, 1.0), atol=5e-6)
    if samples != 8000:  # heard whole they would give something else
        whole = AudioTagger(kept("Tiny")).tag(sound, RATE).scores
        assert np.abs(found - whole).max() > 2e-5


def _wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_recordings_are_heard_whole_if_the_window_is_not_known():
    predictor = Predictor(kept("Tiny"))
    sounds = [noise(8700, 1), noise(3000, 2)]
    for found, sound in zip(predicted(predictor, *map(_wav, sounds)), sounds, strict=True):
        whole = kept("Tiny")(sound[None], training=False)["clipwise_output"][0].numpy()
        np.testing.assert_allclose(found, whole, atol=1e-5)


def test_a_damaged_recording_ends_nothing():
    predictor = Predictor(kept("Tiny"), about=About(0.5, False))
    found = list(predictor.predict_each([b"no sound", _wav(noise(4000))]))
    assert [heard.error is None for heard in found] == [False, True]


def test_single_label_is_what_the_training_says_or_a_softmax():
    soft = trained("Tiny", activation="softmax")
    assert is_single_label(soft, About())
    assert not is_single_label(kept("Tiny"), About())
    assert is_single_label(kept("Tiny"), About(multi_label=False))
    assert not is_single_label(soft, About(multi_label=True))


def heard_of(scores):
    outputs = {"clipwise_output": np.array(scores, np.float32)}
    return Heard("a.wav", "a.wav", seconds=1.5, outputs=outputs)


LABELS = ["dog", "cat", "rain"]


@pytest.mark.parametrize(
    ("single", "top", "threshold", "labels"),
    [
        (True, None, 0.9, ["cat"]),  # the threshold is of several labels
        (True, 2, 0.5, ["cat", "rain"]),
        (False, None, 0.3, ["cat", "rain"]),
        (False, 1, 0.3, ["cat"]),
        (False, None, 0.5, []),
    ],
)
def test_what_is_predicted(single, top, threshold, labels):
    found = prediction_of(heard_of([0.1, 0.45, 0.4]), LABELS, single, top, threshold)
    assert [tag.label for tag in found.tags] == labels
    assert found.nearest.label == "cat"
    content = found.as_dict()
    assert ("nearest" in content) == (not labels)
    rows = rows_of(content)
    assert [row.get("label") for row in rows] == (labels or [None])
    assert found.to_csv().splitlines()[0] == "file,seconds,label,probability"
    if not labels:
        assert found.to_csv().splitlines()[1:] == ["a.wav,1.5,,"]


def test_reads_what_a_run_directory_tells(tmp_path):
    assert read_about(tmp_path) == About()
    assert read_about("Cnn14") == About()
    (tmp_path / "transfer.json").write_text(json.dumps({"clip_seconds": 5, "multi_label": True}))
    assert read_about(tmp_path) == About(5.0, True)
    (tmp_path / "final.keras").touch()
    assert read_about(tmp_path / "final.keras") == About(5.0, True)


@pytest.mark.parametrize("content", ["{", "[]", '{"clip_seconds": "long"}', '{"clip_seconds": 0}'])
def test_a_damaged_description(content, tmp_path):
    (tmp_path / "transfer.json").write_text(content)
    with pytest.raises(ValueError, match=r"transfer\.json") as error:
        read_about(tmp_path)
    assert "\n" not in str(error.value)
