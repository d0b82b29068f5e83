import numpy as np
import pytest

from panns_tf import (
    AudioTagger,
    EventSettings,
    SoundEventDetector,
    StreamingDetector,
    StreamingTagger,
)
from panns_tf.inference.streaming import Resampler
from tests.panns_tf.inference.support import kept, noise
from tfrecords.audio import AudioError


@pytest.fixture(scope="module")
def tagger():
    return AudioTagger(kept("Tiny"))


def fed(stream, samples, splits=()):
    found = []
    for block in np.split(samples, splits):
        found += stream.feed(block)
    return found + stream.finish()


def splits_of(seed, length):
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(0, length + 1, rng.integers(0, 60)))


def spans(events):
    return sorted((event.onset, event.offset, event.label) for event in events)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("seed", range(4))
def test_any_split_gives_the_same_tags(tagger, rate, seed):
    samples = noise(rate * 5 + 123)
    settings = {"window": 1.0, "hop": 0.4}
    whole = fed(StreamingTagger(tagger, rate, **settings), samples)
    parts = fed(StreamingTagger(tagger, rate, **settings), samples, splits_of(seed, len(samples)))
    assert len(whole) == 12
    for ours, theirs in zip(parts, whole, strict=True):
        assert (ours.start, ours.seconds) == (theirs.start, theirs.seconds)
        assert [tag.index for tag in ours.tags] == [tag.index for tag in theirs.tags]
        # TensorFlow's threads share out a sum differently from call to call.
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_any_split_is_resampled_to_the_same_bits(seed):
    samples = noise(50_000)

    def resampled(splits):
        stream = Resampler(44100, 32000)
        parts = [stream.feed(block) for block in np.split(samples, splits)]
        return np.concatenate([*parts, stream.finish()])

    np.testing.assert_array_equal(resampled(splits_of(seed, 50_000)), resampled([]))


@pytest.mark.parametrize("which", ["Tiny", "Thin_Cnn14_DecisionLevelAvg"])
@pytest.mark.parametrize("seed", range(2))
def test_any_split_gives_the_same_events(which, seed):
    detector = SoundEventDetector(kept(which))
    samples = noise(44100 * 9 + 11)
    settings = EventSettings(high=0.45, low=0.44)
    streams = [StreamingDetector(detector, 44100, settings, latency=2.0) for _ in range(2)]
    whole, parts = fed(streams[0], samples), fed(streams[1], samples, splits_of(seed, len(samples)))
    assert spans(parts) == spans(whole)
    assert whole


def test_the_stream_is_heard_as_the_recording():
    detector = SoundEventDetector(kept("Thin_Cnn14_DecisionLevelMax"))
    samples = noise(32000 * 12)
    settings = EventSettings(high=0.45, low=0.44)
    stream = StreamingDetector(detector, settings=settings, latency=1.0)
    found = fed(stream, samples, [5, 100_000])
    assert spans(found) == spans(detector.detect(samples, 32000, settings).events)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 11025])
def test_latency_is_kept(tagger, rate):
    """Whenever a block ends, all that is older than the latency was heard."""
    stream = StreamingTagger(tagger, rate, window=1.0, hop=0.25)
    assert 0.25 <= stream.latency < 0.5
    rng, heard, time = np.random.default_rng(0), 0.0, 0.0
    while time < 6:
        block = noise(int(rng.integers(1, rate // 4)))
        time += len(block) / rate
        for tagging in stream.feed(block):
            heard = tagging.start + tagging.seconds
        if time > 1 + stream.latency:
            assert time - heard <= stream.latency + 1e-9


def test_latency_of_segments():
    detector = SoundEventDetector(kept("Thin_Cnn14_DecisionLevelMax"))
    stream = StreamingDetector(detector, latency=3.0)
    assert stream.latency <= 3.0 + 0.32
    track, rows, time = stream._track, 0, 0
    for _ in range(60):
        block = noise(7000)
        rows += len(track.feed(block))
        time += len(block) / 32000
        # The first sample of the first step that is not out yet came this long ago.
        assert time - rows * 0.32 <= stream.latency + 1e-9


def test_blocks_of_every_kind(tagger):
    samples = noise(12000)
    expected = [t.scores for t in fed(StreamingTagger(tagger), samples)]
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


def test_an_empty_stream(tagger):
    assert fed(StreamingTagger(tagger), np.zeros(0, "float32")) == []
    detector = SoundEventDetector(kept("Thin_Cnn14_DecisionLevelMax"))
    assert StreamingDetector(detector).finish() == []


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([True]), "bool values"),
        (np.zeros((2, 2, 2)), "of shape"),
        (np.zeros((5, 100)), "of shape"),
        (np.ma.masked_greater(np.ones(5), 0.5), "masked"),
    ],
)
def test_a_bad_block_is_left_out(tagger, block, said):
    stream = StreamingTagger(tagger)
    with pytest.raises(AudioError, match=said):
        stream.feed(block)
    assert len(fed(stream, noise(24000))) == 3


@pytest.mark.parametrize("rate", [0, 10, 8000.5, 10**7, float("inf"), float("nan"), "8000"])
def test_bad_rates(rate):
    with pytest.raises(ValueError, match="rate must be 1000 to 768000"):
        Resampler(rate, 8000)


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


def test_streams_say_what_they_are_made_of(tagger):
    detector = SoundEventDetector(kept("Tiny"))
    with pytest.raises(ValueError, match="expected an AudioTagger; received SoundEventDetector"):
        StreamingTagger(detector)
    with pytest.raises(ValueError, match="expected a SoundEventDetector; received AudioTagger"):
        StreamingDetector(tagger)
    for latency in (float("inf"), float("nan"), -1, "2"):
        with pytest.raises(ValueError, match="latency must be seconds"):
            StreamingDetector(detector, latency=latency)
