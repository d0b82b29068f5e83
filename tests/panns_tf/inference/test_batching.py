import threading
import time

import numpy as np
import pytest
import soundfile

from panns_tf.inference import tagger
from panns_tf.inference.tagger import READ_AHEAD, AudioTagger, read_ahead
from tests.panns_tf.inference.support import kept, noise, outputs_of
from tfrecords.audio import AudioError


@pytest.fixture(scope="module")
def predictor():
    return AudioTagger(kept("Tiny"), batch_size=2)


def whole(predictor, samples):
    return outputs_of(predictor.model.network, samples[None])["clipwise_output"][0]


def test_recordings_are_read_in_order_whatever_fails(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.full(100 + number, number / 10), 8000, subtype="FLOAT")
    sources = [*map(str, paths[:5]), "gone.wav", [0.1], np.zeros(3), paths[5].read_bytes()]
    recordings = list(read_ahead(sources, 8000, workers=3))
    assert all(found.source is source for found, source in zip(recordings, sources, strict=True))
    for number, found in enumerate([*recordings[:5], recordings[-1]]):
        np.testing.assert_array_equal(found.samples, np.float32([number / 10] * (100 + number)))
        assert (found.seconds, found.error) == ((100 + number) / 8000, None)
    errors = [found.error for found in recordings[5:8]]
    assert all(isinstance(error, AudioError) for error in errors)
    for error, text in zip(
        errors, ("gone.wav: no such", "list: a", "array: an array"), strict=True
    ):
        assert str(error).startswith(text)
    assert next(read_ahead([np.ones(3)], 8000, rate=8000)).samples.tolist() == [1, 1, 1]
    monkeypatch.setattr(tagger, "open_audio", lambda *_, **__: 1 / 0)
    assert str(next(read_ahead(["x"], 8000)).error) == "x: division by zero"


def test_little_is_read_ahead_and_a_closed_iterator_ends_its_threads(tmp_path):
    taken = []

    def sources():
        for number in range(1000):
            taken.append(number)
            yield np.zeros(8000, np.float32)

    before = threading.active_count()
    recordings = read_ahead(sources(), 8000, rate=8000)
    next(recordings)
    time.sleep(0.05)
    assert len(taken) <= READ_AHEAD + 2
    recordings.close()
    assert threading.active_count() == before


def test_order_and_results_do_not_depend_on_neighbours(predictor, tmp_path):
    rng = np.random.default_rng(0)
    sounds, paths = [], []
    for number in range(60):
        sounds.append(noise(int(rng.choice([8000, 16000, 12345, 20001])), number))
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], sounds[-1], 8000, subtype="FLOAT")
    paths.insert(30, tmp_path / "missing.wav")
    sounds.insert(30, None)
    predictions = list(predictor.predict_each(paths))
    assert [prediction.source for prediction in predictions] == paths
    for prediction, samples in zip(predictions, sounds, strict=True):
        if samples is None:
            assert isinstance(prediction.error, AudioError)
            assert not prediction.outputs
            continue
        assert prediction.seconds == len(samples) / 8000
        expected = whole(predictor, samples)
        np.testing.assert_allclose(prediction.outputs["clipwise_output"], expected, atol=1e-5)


def test_little_waits_for_others_of_its_length(predictor, monkeypatch):
    taken = []

    def sources():
        for number in range(200):
            taken.append(number)
            yield noise(1000 + number)

    monkeypatch.setattr(tagger, "MOST_WAITING", 3)
    for number, prediction in enumerate(predictor.predict_each(sources(), rate=8000)):
        assert prediction.seconds == (1000 + number) / 8000
        assert len(taken) <= number + READ_AHEAD + 6
    monkeypatch.setattr(tagger, "MOST_SECONDS", 1.0)
    monkeypatch.setattr(tagger, "MOST_WAITING", 64)
    taken.clear()
    for number, _ in enumerate(predictor.predict_each(sources(), rate=8000)):
        assert len(taken) <= number + READ_AHEAD + 10


@pytest.mark.parametrize("which", ["Tiny", "Thin_Cnn14_DecisionLevelMax"])
def test_long_recordings_are_predicted_as_a_whole(which, tmp_path, monkeypatch):
    monkeypatch.setattr(tagger, "WINDOW_SECONDS", 5.0)
    monkeypatch.setattr("panns_tf.inference.model.WINDOW_SECONDS", 5.0)
    monkeypatch.setattr(tagger, "BLOCK", 12345)
    predictor = AudioTagger(kept(which))
    samples = noise(21 * predictor.sample_rate + 99)
    soundfile.write(tmp_path / "long.wav", samples, predictor.sample_rate, subtype="FLOAT")
    soundfile.write(tmp_path / "a.wav", samples[:9000], predictor.sample_rate, subtype="FLOAT")
    _, long = predictor.predict_each([tmp_path / "a.wav", tmp_path / "long.wav"])
    assert long.stream is not None  # predicted in parts
    np.testing.assert_allclose(
        long.outputs["clipwise_output"], whole(predictor, samples), atol=1e-5
    )
    assert long.seconds == len(samples) / predictor.sample_rate


def test_windows(predictor):
    samples = noise(20000)
    long, short = predictor.predict_each([samples, samples[:5000]], rate=8000, windows=(8000, 4000))
    assert long.starts == (0.0, 0.5, 1.0, 1.5)
    assert long.outputs["embedding"].shape == (4, 8)
    for start, row in zip(long.starts, long.outputs["clipwise_output"], strict=True):
        part = samples[int(start * 8000) :][:8000]
        np.testing.assert_allclose(row, whole(predictor, part), atol=1e-5)
    assert (short.starts, short.seconds) == ((0.0,), 5000 / 8000)
    padded = np.pad(samples[:5000], (0, 3000))
    row = short.outputs["clipwise_output"][0]
    np.testing.assert_allclose(row, whole(predictor, padded), atol=1e-5)


def test_a_recording_that_is_damaged_late_is_an_error(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(tagger, "WINDOW_SECONDS", 1.0)
    samples = noise(200_000)
    samples[150_000] = np.nan
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "y.wav", noise(4000), 8000, subtype="FLOAT")
    for windows in (None, (8000, 8000)):
        bad, good = predictor.predict_each(
            [tmp_path / "x.wav", tmp_path / "y.wav"], windows=windows
        )
        assert "not finite" in str(bad.error)
        assert good.error is None
        assert good.outputs
