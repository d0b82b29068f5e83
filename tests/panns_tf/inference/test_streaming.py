"""Streams; that they equal the recording, however they are cut, is in tests/contract."""

import numpy as np
import pytest

from panns_tf import AudioTagger, SoundEventDetector, StreamingDetector, StreamingTagger
from panns_tf.inference.streaming import StreamResampler
from tests.panns_tf.inference.support import kept, noise
from tfrecords.audio import AudioError


@pytest.fixture(scope="module")
def tagger():
    return AudioTagger(kept("Tiny"))


def fed(stream, samples, splits=()):
    results = []
    for block in np.split(samples, splits):
        results += stream.feed(block)
    return results + stream.finish()


def test_any_split_is_resampled_to_the_same_bits():
    samples = noise(50_000)

    def resampled(splits):
        stream = StreamResampler(44100, 32000)
        parts = [stream.feed(block) for block in np.split(samples, splits)]
        return np.concatenate([*parts, stream.finish()])

    whole = resampled([])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        splits = np.sort(rng.integers(0, 50_001, rng.integers(0, 60)))
        np.testing.assert_array_equal(resampled(splits), whole)


def test_latency_of_segments():
    detector = SoundEventDetector(kept("Thin_Cnn14_DecisionLevelMax"))
    assert StreamingDetector(detector, latency=3.0).latency <= 3.0 + 0.32
    scores, rows, time = detector.new_scores(latency=3.0), 0, 0.0
    for _ in range(60):
        block = noise(7000)
        rows += len(scores.feed(block))
        time += len(block) / 32000
        # The first sample of the first step that is not out yet came this long ago.
        assert time - rows * 0.32 <= scores.engine.latency + 1e-9


def test_blocks_of_every_kind(tagger):
    samples = noise(12000)
    expected = [tagging.scores for tagging in fed(StreamingTagger(tagger), samples)]
    both = np.stack([samples, samples], axis=1)
    integers = np.round(samples * 32768).astype(np.int16)
    for kind, atol in (
        (both, 0),
        (samples[:, None], 0),
        (samples.astype(float), 0),
        (integers, 1e-2),
    ):
        found = [t.scores for t in fed(StreamingTagger(tagger), kind, [0, 1, 5000])]
        np.testing.assert_allclose(found, expected, atol=atol)


def test_a_stream_shorter_than_the_window_is_padded(tagger):
    (tagging,) = fed(StreamingTagger(tagger), noise(4000))
    assert (tagging.start, tagging.seconds) == (0.0, 0.5)
    (whole,) = tagger.tag(noise(4000), 8000, window=2.0)
    np.testing.assert_allclose(tagging.scores, whole.scores, atol=1e-6)
    assert fed(StreamingTagger(tagger), np.zeros(0, "float32")) == []
    for which in ("Thin_Cnn14_DecisionLevelMax", "Tiny"):
        assert StreamingDetector(SoundEventDetector(kept(which))).finish() == []


def test_a_bad_block_is_left_out(tagger):
    stream = StreamingTagger(tagger)
    for block, text in (
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([True]), "bool values"),
        (np.zeros((2, 2, 2)), "of shape"),
        (np.zeros((5, 100)), "of shape"),
        (np.ma.masked_greater(np.ones(5), 0.5), "masked"),
    ):
        with pytest.raises(AudioError, match=text):
            stream.feed(block)
    assert len(fed(stream, noise(24000))) == 3


def test_bad_settings(tagger):
    detector = SoundEventDetector(kept("Tiny"))
    for rate in (0, 10, 8000.5, 10**7, float("inf"), float("nan"), "8000"):
        with pytest.raises(ValueError, match="rate must be 1000 to 768000"):
            StreamResampler(rate, 8000)
    with pytest.raises(ValueError, match="expected an AudioTagger; received SoundEventDetector"):
        StreamingTagger(detector)
    with pytest.raises(ValueError, match="expected a SoundEventDetector; received AudioTagger"):
        StreamingDetector(tagger)
    for latency in (float("inf"), float("nan"), -1, "2"):
        with pytest.raises(ValueError, match="latency must be seconds"):
            StreamingDetector(detector, latency=latency)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_stream_ends_once(tagger, rate):
    detector = SoundEventDetector(kept("Tiny"))
    for stream in (StreamingTagger(tagger, rate), StreamingDetector(detector, rate)):
        stream.feed(noise(rate))
        stream.finish()
        with pytest.raises(ValueError, match="the stream has ended; make another"):
            stream.feed(noise(10))
        with pytest.raises(ValueError, match="the stream has ended"):
            stream.finish()
