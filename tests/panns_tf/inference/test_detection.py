import numpy as np
import pytest
import soundfile

from panns_tf import EventSettings, SoundEventDetector
from panns_tf.inference import hearing
from panns_tf.inference.events import find_events
from tests.panns_tf.inference.support import kept, sound

NATIVE = "Thin_Cnn14_DecisionLevelMax"
SETTINGS = EventSettings(high=0.45, low=0.4)


@pytest.mark.parametrize("samples", [1, 9000, 100_000, 320_000])
@pytest.mark.parametrize("kind", ["Max", "Avg", "Att"])
def test_frames_are_the_networks(kind, samples):
    network = kept(f"Thin_Cnn14_DecisionLevel{kind}")
    detector = SoundEventDetector(network)
    assert not detector.windowed
    found = detector.detect(sound(samples), 32000, SETTINGS, keep_frames=True)
    expected = network(sound(samples)[None], training=False)["framewise_output"][0]
    assert found.frame_seconds == 0.01
    np.testing.assert_allclose(found.framewise, expected, atol=1e-5)
    assert found.seconds == samples / 32000
    for event in found.events:
        assert 0 <= event.onset < event.offset <= found.seconds + 1e-9


def test_events_are_those_of_the_segments():
    network = kept(NATIVE)
    samples = sound(300_000)
    segments = network(samples[None], training=False)["segmentwise_output"][0].numpy()
    rows = np.concatenate([segments, segments[-1:]])  # the last one lasts until the end
    middle = float(np.median(segments))
    settings = EventSettings(high=middle, low=middle * 0.99)
    expected = find_events(rows, network.labels, settings, 0.32, len(samples) / 32000)
    found = SoundEventDetector(network).detect(samples, 32000, settings).events
    assert len(found) > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.onset, ours.offset, ours.label) == (
            theirs.onset,
            theirs.offset,
            theirs.label,
        )


@pytest.mark.parametrize("windows", [{}, {"window": 2.0}])
def test_long_recordings_have_the_events_of_the_whole(windows, tmp_path, monkeypatch):
    network = kept(NATIVE)
    samples = sound(32000 * 25 + 77)
    soundfile.write(tmp_path / "x.wav", samples, 32000, subtype="FLOAT")
    whole = SoundEventDetector(network, **windows).detect(
        tmp_path / "x.wav", None, SETTINGS, keep_frames=True
    )
    monkeypatch.setattr(hearing, "WINDOW_SECONDS", 6.0)
    monkeypatch.setattr("panns_tf.inference.detection.WINDOW_SECONDS", 6.0)
    monkeypatch.setattr("panns_tf.inference.batching.BLOCK", 12345)
    parts = SoundEventDetector(network, **windows).detect(
        tmp_path / "x.wav", None, SETTINGS, keep_frames=True
    )
    np.testing.assert_allclose(parts.framewise, whole.framewise, atol=1e-5)
    assert len(parts.events) == len(whole.events)


def test_windows_stand_for_their_middle():
    network = kept("Tiny")  # no framewise output
    detector = SoundEventDetector(network, window=1.0, hop=0.2)
    assert detector.windowed
    samples = sound(8000 * 3 + 500)
    found = detector.detect(samples, 8000, keep_frames=True)
    assert found.frame_seconds == 0.2
    assert len(found.framewise) == 16  # ceil(3.0625 / 0.2)

    def heard(start):
        part = samples[start : start + 8000]
        return network(part[None], training=False)["clipwise_output"][0]

    for step, start in (
        (0, 0),
        (2, 0),
        (3, 1600),
        (5, 4800),
        (12, 16000),
        (15, len(samples) - 8000),
    ):
        np.testing.assert_allclose(found.framewise[step], heard(start), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 1000, 8000, 19999, 20001])
def test_windows_cover_short_recordings(samples):
    detector = SoundEventDetector(kept("Tiny"))
    assert (detector.window, detector.hop) == (2.5, 0.5)
    found = detector.detect(sound(samples), 8000, EventSettings(high=0.01), keep_frames=True)
    assert len(found.framewise) == -(-samples // 4000)
    assert {(event.onset, event.offset) for event in found.events} == {(0.0, samples / 8000)}


def test_folders_lists_and_errors(tmp_path):
    detector = SoundEventDetector(kept("Tiny"))
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", sound(8000), 8000)
    assert [d.source for d in detector.detect(tmp_path)] == [
        str(tmp_path / "a.wav"),
        str(tmp_path / "b.wav"),
    ]
    (tmp_path / "a.wav").write_text("no sound")
    bad, good = detector.detect_each([tmp_path / "a.wav", tmp_path / "b.wav"])
    assert bad.detection is None
    assert "not audio" in str(bad.error)
    assert good.detection is not None
    with pytest.raises(ValueError, match="not audio"):
        detector.detect(tmp_path)


@pytest.mark.parametrize(
    ("which", "settings", "said"),
    [
        (NATIVE, {"hop": 1.0}, "--hop 1 needs a --window"),
        ("Tiny", {"window": 1.0, "hop": 1.5}, "--hop 1.5 is longer"),
        ("Tiny", {"window": -1.0}, "--window must be seconds"),
    ],
)
def test_bad_windows(which, settings, said):
    with pytest.raises(ValueError, match=said):
        SoundEventDetector(kept(which), **settings)


def test_unknown_classes_are_named_before_anything_is_heard():
    detector = SoundEventDetector(kept("Tiny"))
    with pytest.raises(ValueError, match="--classes"):
        next(detector.detect_each(["nowhere.wav"], settings=EventSettings(labels=["Dgo"])))
