"""Recordings of any length give what the network gives for the whole at once."""

import functools

import numpy as np
import pytest

import panns_tf
from tests.contract.inputs import look_trained, noise
from tests.support import GRAPHS

#: Recordings of more than half a minute pass in parts.
SECONDS = 70
SHORT = ("Thin_Cnn14", "Thin_Cnn14_DecisionLevelAtt", "Thin_Res1dNet31")
NAMES = [row.name for row in GRAPHS]


@functools.cache
def network(name: str):
    return look_trained(panns_tf.create_model(name, num_classes=3))


@functools.cache
def tagger(name: str) -> panns_tf.AudioTagger:
    return panns_tf.AudioTagger(network(name))


def assert_equals_the_whole(name: str, samples: int) -> None:
    waveform = noise(samples)
    whole = network(name)(waveform[None], training=False)
    found = tagger(name).tag(waveform, tagger(name).sample_rate)
    np.testing.assert_allclose(found.scores, whole["clipwise_output"][0], atol=1e-5)
    expected = whole["embedding"][0]
    vector = tagger(name).embed(waveform, tagger(name).sample_rate).vector
    scale = max(1, float(np.abs(expected).max()))
    np.testing.assert_allclose(vector, expected, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "which", [pytest.param(n, marks=() if n in SHORT else pytest.mark.full) for n in NAMES]
)
def test_every_network_equals_the_whole(which):
    assert_equals_the_whole(which, int(SECONDS * tagger(which).sample_rate) + 7777)


@pytest.mark.full
@pytest.mark.parametrize("rest", [0, 1, 319, 320, 10239])
@pytest.mark.parametrize("kind", ["Cnn14", "Cnn14_DecisionLevelMax", "Wavegram_Logmel_Cnn14"])
def test_any_length_equals_the_whole(kind, rest):
    assert_equals_the_whole(f"Thin_{kind}", SECONDS * 32000 + rest)


@pytest.mark.parametrize("samples", [1, 100, 9920, 20000])
def test_short_recordings_equal_the_whole(samples):
    assert_equals_the_whole("Thin_Cnn14_DecisionLevelAtt", samples)


@pytest.mark.parametrize("which", ["Thin_Cnn14_DecisionLevelMax"])
def test_frames_have_no_seams(which):
    waveform = noise(SECONDS * 32000 + 123)
    detector = panns_tf.SoundEventDetector(network(which))
    found = detector.detect(waveform, 32000, keep_frames=True).framewise
    whole = network(which)(waveform[None], training=False)["framewise_output"][0]
    np.testing.assert_allclose(found, whole, atol=1e-5)
    # The control: without the sound before them, frames differ.
    alone = network(which)(waveform[None, 320000:], training=False)["framewise_output"][0]
    assert np.abs(alone[:32] - whole[1000:1032]).max() > 1e-3
