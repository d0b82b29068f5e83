import numpy as np
import pytest
import soundfile

from panns_tf.inference import batching
from panns_tf.inference.batching import hear_each
from panns_tf.inference.hearing import Hearer
from tests.panns_tf.inference.support import kept, noise
from tfrecords.audio import AudioError


@pytest.fixture(scope="module")
def hearer():
    return Hearer(kept("Tiny"), batch_size=2)


def whole(hearer, samples):
    return hearer.network(samples[None], training=False)["clipwise_output"][0].numpy()


def test_order_and_results_do_not_depend_on_neighbours(hearer, tmp_path):
    rng = np.random.default_rng(0)
    sounds, paths = [], []
    for number in range(60):
        sounds.append(noise(int(rng.choice([8000, 16000, 12345, 20001])), number))
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], sounds[-1], 8000, subtype="FLOAT")
    paths.insert(30, tmp_path / "missing.wav")
    sounds.insert(30, None)
    found = list(hear_each(hearer, paths))
    assert [heard.source for heard in found] == paths
    for heard, samples in zip(found, sounds, strict=True):
        if samples is None:
            assert isinstance(heard.error, AudioError)
            assert not heard.outputs
            continue
        assert heard.seconds == len(samples) / 8000
        expected = whole(hearer, samples)
        np.testing.assert_allclose(heard.outputs["clipwise_output"], expected, atol=1e-5)


def test_little_waits(hearer, monkeypatch):
    monkeypatch.setattr(batching, "MOST_WAITING", 3)
    waiting = batching._Waiting(hearer)
    for number in range(30):
        waiting.add(batching.Heard(number, str(number)), noise(1000 + number))
        assert waiting._unheard <= 3
    assert [heard.source for heard in waiting.flush()] == list(range(30))


def test_much_sound_does_not_wait(hearer, monkeypatch):
    monkeypatch.setattr(batching, "MOST_SECONDS", 1.0)
    waiting = batching._Waiting(hearer)
    for number in range(5):
        waiting.add(batching.Heard(number, str(number)), noise(7000 + number))
        assert waiting._samples <= 8000
    assert len(list(waiting.done())) == 4


@pytest.mark.parametrize("which", ["Tiny", "Thin_Cnn14_DecisionLevelMax"])
def test_long_recordings_are_heard_as_a_whole(which, tmp_path, monkeypatch):
    monkeypatch.setattr(batching, "WINDOW_SECONDS", 5.0)
    monkeypatch.setattr("panns_tf.inference.hearing.WINDOW_SECONDS", 5.0)
    hearer = Hearer(kept(which))
    samples = noise(21 * hearer.sample_rate + 99)
    soundfile.write(tmp_path / "long.wav", samples, hearer.sample_rate, subtype="FLOAT")
    soundfile.write(tmp_path / "a.wav", samples[:9000], hearer.sample_rate, subtype="FLOAT")
    found = list(hear_each(hearer, [tmp_path / "a.wav", tmp_path / "long.wav"]))
    assert "segmentwise_output" not in found[1].outputs  # heard in parts
    np.testing.assert_allclose(
        found[1].outputs["clipwise_output"], whole(hearer, samples), atol=1e-5
    )
    assert found[1].seconds == len(samples) / hearer.sample_rate


def test_windows(hearer, tmp_path):
    samples = noise(20000)
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    (heard,) = hear_each(hearer, [tmp_path / "x.wav"], windows=(8000, 4000))
    assert heard.starts == (0.0, 0.5, 1.0, 1.5)
    assert heard.outputs["embedding"].shape == (4, 8)
    for start, row in zip(heard.starts, heard.outputs["clipwise_output"], strict=True):
        part = samples[int(start * 8000) :][:8000]
        np.testing.assert_allclose(row, whole(hearer, part), atol=1e-5)


def test_a_recording_that_is_damaged_late_is_an_error(hearer, tmp_path, monkeypatch):
    monkeypatch.setattr(batching, "WINDOW_SECONDS", 1.0)
    samples = noise(200_000)
    samples[150_000] = np.nan
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "y.wav", noise(4000), 8000, subtype="FLOAT")
    for windows in (None, (8000, 8000)):
        bad, good = hear_each(hearer, [tmp_path / "x.wav", tmp_path / "y.wav"], windows=windows)
        assert "not finite" in str(bad.error)
        assert good.error is None
        assert good.outputs
