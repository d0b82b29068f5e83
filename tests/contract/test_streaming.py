"""A stream gives what the recording gives, however it is cut into blocks."""

import functools

import numpy as np
import pytest

import panns_tf
from tests.contract.inputs import look_trained, noise


def gated(samples: int, rate: int) -> np.ndarray:
    """Noise that comes and goes, so that there are events."""
    loud = np.arange(samples) / rate % 3 < 1.5
    return noise(samples) * np.where(loud, 1, 1e-3).astype(np.float32)


def settings_of(detector, samples, rate) -> panns_tf.EventSettings:
    """A threshold that the probabilities cross, far from any of them."""
    frames = detector.detect(samples, rate, keep_frames=True).framewise[:, 1]
    values = np.unique(frames)
    values = values[len(values) // 4 : -len(values) // 4]
    widest = np.diff(values).argmax()
    threshold = float(values[widest : widest + 2].mean())
    return panns_tf.EventSettings(threshold, threshold)


@functools.cache
def network(name: str):
    return look_trained(panns_tf.create_model(name, num_classes=3))


@pytest.fixture(scope="module")
def tagger():
    return panns_tf.AudioTagger(network("Tiny"))


def fed(stream, samples, splits=()):
    found = []
    for block in np.split(samples, splits):
        found += stream.feed(block)
    return found + stream.finish()


def splits_of(seed, length):
    """Places to cut, some of them equal: blocks may be empty."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(0, length + 1, rng.integers(0, 60)))


def spans(events):
    return sorted((event.onset, event.offset, event.label) for event in events)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_any_cut_gives_the_same_tags(tagger, rate):
    samples = noise(rate * 5 + 123)
    settings = {"window": 1.0, "hop": 0.4}
    whole = fed(panns_tf.StreamingTagger(tagger, rate, **settings), samples)
    assert len(whole) == 12
    for seed in range(3):
        stream = panns_tf.StreamingTagger(tagger, rate, **settings)
        parts = fed(stream, samples, splits_of(seed, len(samples)))
        for ours, theirs in zip(parts, whole, strict=True):
            assert (ours.start, ours.seconds) == (theirs.start, theirs.seconds)
            assert [tag.index for tag in ours.tags] == [tag.index for tag in theirs.tags]
            # TensorFlow's threads share out a sum differently from call to call.
            np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)


def test_the_windows_of_a_stream_are_those_of_the_recording(tagger):
    samples = noise(8000 * 6)
    stream = panns_tf.StreamingTagger(tagger, 8000, window=1.0, hop=0.5)
    found = fed(stream, samples, [11, 30_000])
    whole = tagger.tag(samples, 8000, window=1.0, hop=0.5)
    assert [one.start for one in found] == [one.start for one in whole]
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)


@pytest.mark.parametrize("which", ["Tiny", "Thin_Cnn14_DecisionLevelAvg"])
def test_any_cut_gives_the_same_events(which):
    detector = panns_tf.SoundEventDetector(network(which))
    samples = gated(44100 * 9 + 11, 44100)
    settings = settings_of(detector, samples, 44100)
    whole, parts = (
        fed(panns_tf.StreamingDetector(detector, 44100, settings, latency=2.0), samples, splits)
        for splits in ((), splits_of(0, len(samples)))
    )
    assert spans(parts) == spans(whole)
    assert len(whole) > 2


def test_the_events_of_a_stream_are_those_of_the_recording():
    detector = panns_tf.SoundEventDetector(network("Thin_Cnn14_DecisionLevelMax"))
    samples = gated(32000 * 12, 32000)
    settings = settings_of(detector, samples, 32000)
    stream = panns_tf.StreamingDetector(detector, settings=settings, latency=1.0)
    found = fed(stream, samples, [5, 100_000])
    assert len(found) > 2
    assert spans(found) == spans(detector.detect(samples, 32000, settings).events)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_latency_is_kept(tagger, rate):
    """Whenever a block ends, all that is older than the latency has its result."""
    stream = panns_tf.StreamingTagger(tagger, rate, window=1.0, hop=0.25)
    assert 0.25 <= stream.latency < 0.5
    rng, done, time = np.random.default_rng(0), 0.0, 0.0
    while time < 6:
        block = noise(int(rng.integers(1, rate // 4)))
        time += len(block) / rate
        for tagging in stream.feed(block):
            done = tagging.start + tagging.seconds
        if time > 1 + stream.latency:
            assert time - done <= stream.latency + 1e-9
