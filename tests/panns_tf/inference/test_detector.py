import numpy as np
import pytest
import soundfile

from panns_tf import EventSettings, SoundEventDetector
from panns_tf.inference import model, tagger
from tests.panns_tf.inference.support import find_events, kept, noise, outputs_of

NATIVE = "Thin_Cnn14_DecisionLevelMax"


@pytest.mark.parametrize("kind", ["Max", "Avg", "Att"])
def test_frames_are_the_networks(kind):
    network = kept(f"Thin_Cnn14_DecisionLevel{kind}")
    detector = SoundEventDetector(network)
    assert not detector.windowed
    for samples in (1, 9000, 100_000):
        detection = detector.detect(noise(samples), 32000, keep_frames=True)
        expected = outputs_of(network, noise(samples)[None])["framewise_output"][0]
        np.testing.assert_allclose(detection.framewise, expected, atol=1e-5)
        assert (detection.frame_seconds, detection.seconds) == (0.01, samples / 32000)
        for event in detection.events:
            assert 0 <= event.onset < event.offset <= detection.seconds + 1e-9


def test_events_are_those_of_the_segments():
    network, samples = kept(NATIVE), noise(300_000)
    segments = outputs_of(network, samples[None])["segmentwise_output"][0]
    rows = np.concatenate([segments, segments[-1:]])  # the last one lasts until the end
    middle = float(np.median(segments))
    settings = EventSettings(high=middle, low=middle * 0.99)
    expected = find_events(rows, network.labels, settings, 0.32, len(samples) / 32000)
    events = SoundEventDetector(network).detect(samples, 32000, settings).events
    assert len(events) > 1
    spans = [[(e.onset, e.offset, e.label) for e in found] for found in (events, expected)]
    assert spans[0] == spans[1]


@pytest.mark.parametrize("windows", [{}, {"window": 2.0}])
def test_long_recordings_have_the_events_of_the_whole(windows, tmp_path, monkeypatch):
    network, samples = kept(NATIVE), noise(32000 * 25 + 77)
    soundfile.write(tmp_path / "x.wav", samples, 32000, subtype="FLOAT")
    settings = EventSettings(high=0.45, low=0.4)

    def detect():
        detector = SoundEventDetector(network, **windows)
        return detector.detect(tmp_path / "x.wav", None, settings, keep_frames=True)

    whole = detect()
    for module in (tagger, model):
        monkeypatch.setattr(module, "WINDOW_SECONDS", 6.0)
    monkeypatch.setattr(tagger, "BLOCK", 12345)
    parts = detect()
    np.testing.assert_allclose(parts.framewise, whole.framewise, atol=1e-5)
    assert len(parts.events) == len(whole.events) > 0


def test_windows_stand_for_their_middle():
    network = kept("Tiny")  # no framewise output
    detector = SoundEventDetector(network, window=1.0, hop=0.2)
    assert detector.windowed
    samples = noise(8000 * 3 + 500)
    detection = detector.detect(samples, 8000, keep_frames=True)
    assert detection.frame_seconds == 0.2
    assert len(detection.framewise) == 16  # ceil(3.0625 / 0.2)
    starts = {0: 0, 2: 0, 3: 1600, 5: 4800, 12: 16000, 15: len(samples) - 8000}
    for step, start in starts.items():
        expected = outputs_of(network, samples[None, start : start + 8000])
        expected = expected["clipwise_output"][0]
        np.testing.assert_allclose(detection.framewise[step], expected, atol=1e-5)


def test_windows_cover_short_recordings():
    detector = SoundEventDetector(kept("Tiny"))
    assert (detector.window, detector.hop) == (2.5, 0.5)
    for samples in (1, 1000, 8000, 19999, 20001):
        settings = EventSettings(high=0.01)
        detection = detector.detect(noise(samples), 8000, settings, keep_frames=True)
        assert len(detection.framewise) == -(-samples // 4000)
        spans = {(event.onset, event.offset) for event in detection.events}
        assert spans == {(0.0, samples / 8000)}
    padded = outputs_of(kept("Tiny"), np.pad(noise(1000), (0, 19000))[None])["clipwise_output"]
    found = detector.detect(noise(1000), 8000, keep_frames=True).framewise
    np.testing.assert_allclose(found, padded, atol=1e-5)


def test_folders_lists_and_errors(tmp_path):
    detector = SoundEventDetector(kept("Tiny"))
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in paths:
        soundfile.write(path, noise(8000), 8000)
    assert [found.source for found in detector.detect(tmp_path)] == list(map(str, paths))
    paths[0].write_text("no sound")
    bad, good = detector.detect_each(paths, for_pictures=True)
    assert bad.detection is None
    assert "not audio" in str(bad.error)
    assert good.spectrogram.samples == 8000
    assert good.outputs["scores"].shape == (2, 3)
    with pytest.raises(ValueError, match="not audio"):
        detector.detect(tmp_path)


def test_bad_settings():
    for which, settings, text in (
        (NATIVE, {"hop": 1.0}, "--hop 1 needs a --window"),
        ("Tiny", {"window": 1.0, "hop": 1.5}, "--hop 1.5 is longer"),
        ("Tiny", {"window": -1.0}, "window must be "),
    ):
        with pytest.raises(ValueError, match=text):
            SoundEventDetector(kept(which), **settings)
    detector = SoundEventDetector(kept("Tiny"))
    with pytest.raises(ValueError, match="--classes"):  # before anything is read
        next(detector.detect_each(["nowhere.wav"], settings=EventSettings(labels=["Dgo"])))
