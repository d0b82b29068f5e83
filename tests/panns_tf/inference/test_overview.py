"""The overview against the same computed at once, however the input is split."""

import tracemalloc

import numpy as np
import pytest

from panns_tf.inference.overview import Overview
from panns_tf.layers import LogMel

RATE = 8000


def noise(seconds, rate=RATE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def fed(samples, probabilities, sizes, most=50):
    """An overview of audio and probabilities in pieces of these sizes, over and over."""
    overview = Overview(RATE, probabilities.shape[1], most)
    for feed, values in (
        (overview.feed_audio, samples),
        (lambda rows: overview.feed_probabilities(rows, 0.32), probabilities),
    ):
        at, turn = 0, 0
        while at < len(values):
            size = sizes[turn % len(sizes)]
            feed(values[at : at + size])
            at, turn = at + size, turn + 1
            overview.spectrogram(), overview.probabilities()  # looking changes nothing
    return overview


@pytest.mark.parametrize("sizes", [(1, 700), (79, 81, 0, 3000), (10240,), (10239, 1, 10241)])
@pytest.mark.parametrize("seconds", [0.3, 1.293, 5.0, 20.01])
def test_any_split_gives_the_same_bits(seconds, sizes):
    rng = np.random.default_rng(1)
    samples, probabilities = noise(seconds), rng.random((int(seconds * 20), 3), dtype=np.float32)
    whole = fed(samples, probabilities, (10**9,))
    parts = fed(samples, probabilities, sizes)
    for one, other in (
        (whole.spectrogram(), parts.spectrogram()),
        (whole.probabilities(), parts.probabilities()),
    ):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1] == other[1]
    assert whole.seconds == parts.seconds == len(samples) / RATE


@pytest.mark.parametrize("count", [1, 320, 321, 41200, 41300, 96000])
def test_frames_are_those_of_the_front_end(count):
    samples = noise(3.0, 32000)[:count]
    overview = Overview(32000, 1)
    overview.feed_audio(samples)
    columns, seconds = overview.spectrogram()
    assert columns.shape == (-(-count // 320), 64)
    assert seconds == pytest.approx(0.01)
    # The layer's frames are centred on the borders of hops, these on their middles; and around
    # the recording there is silence, not its reflection.
    silence = np.zeros(3200, np.float32)
    layer = LogMel(32000, 1024, 320, 64, 50, 14000, jit_compile=False)
    wanted = layer(np.concatenate([silence, samples, silence])[None, 160:])
    wanted = np.array(wanted)[0, 10 : 10 + len(columns)]  # (frames, mel_bins)
    np.testing.assert_allclose(columns, wanted, atol=1e-3)


def test_no_more_columns_than_wanted_and_the_highest_is_kept():
    overview = fed(noise(40), np.zeros((900, 2), np.float32), (4000,), most=51)
    spectrogram, seconds = overview.spectrogram()
    assert 26 <= len(spectrogram) <= 51
    assert (len(spectrogram) - 1) * seconds < 40 <= len(spectrogram) * seconds
    overview.feed_probabilities(np.array([[0, 0.75]]), 0.32)
    overview.feed_probabilities(np.zeros((900, 2)), 0.32)
    found, seconds = overview.probabilities()
    assert found.max() == 0.75
    at = np.argmax(found[:, 1]) * seconds
    assert at <= 900 * 0.32 < at + seconds


def test_a_tone_is_where_and_when_it_sounds():
    time = np.arange(4 * RATE) / RATE
    tone = np.where((time >= 1) & (time < 2), np.sin(2 * np.pi * 1500 * time), 0)
    overview = Overview(RATE, 1)
    overview.feed_audio(tone)
    columns, seconds = overview.spectrogram()
    loud = np.flatnonzero(columns.max(axis=1) > -20) * seconds
    assert loud.min() == pytest.approx(1, abs=0.03)
    assert loud.max() == pytest.approx(2, abs=0.03)
    bin_number = columns[150].argmax()
    assert overview.frequencies[bin_number] == pytest.approx(1500, rel=0.03)
    np.testing.assert_allclose(columns[[0, -1]], -100, atol=1e-4)


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 16000, 44100, 192000])
def test_any_rate(rate):
    overview = Overview(rate, 1)
    overview.feed_audio(noise(0.5, rate))
    columns, seconds = overview.spectrogram()
    assert len(columns) * seconds == pytest.approx(0.5, abs=seconds)
    assert (np.diff(overview.frequencies) >= 0).all()
    assert overview.frequencies[-1] <= rate / 2
    assert np.isfinite(columns).all()


def test_what_is_kept_does_not_grow():
    overview, second = Overview(RATE, 50, 100), noise(1.0)
    probabilities = np.full((100, 50), 0.5, np.float32)

    def feed(times):
        for _ in range(times):
            overview.feed_audio(second)
            overview.feed_probabilities(probabilities, 0.01)

    feed(20)
    tracemalloc.start()
    feed(200)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 4 * 100 * (64 + 50) * 4


def test_nothing_yet():
    overview = Overview(RATE, 2)
    assert overview.seconds == 0
    assert overview.spectrogram()[0].shape == (0, 64)
    assert overview.probabilities()[0].shape == (0, 2)
    overview.feed_probabilities(np.zeros((3, 2)), 0.5)
    assert overview.seconds == 1.5  # of a recording without its sound


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((500, 1), "sample_rate must be a whole number from 1000 on; received 500"),
        ((RATE, 0), "classes must be"),
        ((RATE, 1, 1), "most_columns must be a whole number from 2 on"),
        ((RATE, 1.5), "classes must be"),
    ],
)
def test_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        Overview(*settings)


def test_input_of_another_shape():
    overview = Overview(RATE, 2)
    with pytest.raises(ValueError, match=r"one channel; received shape \(5, 2\)"):
        overview.feed_audio(np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"\(steps, 2\); received shape \(5, 3\)"):
        overview.feed_probabilities(np.zeros((5, 3)), 1.0)
    overview.feed_probabilities(np.zeros((5, 2)), 1.0)
    with pytest.raises(ValueError, match=r"of one length; received 2.0 s after 1.0 s"):
        overview.feed_probabilities(np.zeros((5, 2)), 2.0)
