import dataclasses

import numpy as np
import pytest

from panns_tf.inference.parts import split
from panns_tf.inference.stitching import Stitcher
from panns_tf.models.blocks import LayerBook
from tests.panns_tf.inference.support import sound, trained


def assert_equals_the_whole(name: str, rest: int, splits=None, shorten: int = 0):
    network = trained(name)
    parts = split(network.row, LayerBook(network.layers), 3)
    if shorten:
        less = dataclasses.replace(parts.reach, before=parts.reach.before - shorten)
        parts = dataclasses.replace(parts, reach=less)
    run = parts.local
    stitcher = Stitcher(parts, run, 0)
    waveform = sound(int(3.4 * stitcher.window_samples) + rest)
    found = []
    for block in np.split(waveform, splits or []):
        found += stitcher.feed(block)
    found += stitcher.finish()
    assert len(found) > 3
    local = {name: np.concatenate([x[name] for x in found]) for name in found[0]}
    whole = network(waveform[None], training=False)
    for name, values in stitcher.gathered.outputs().items():
        expected = whole[name][0]
        scale = max(1, float(np.abs(expected).max()))
        np.testing.assert_allclose(values, expected, atol=1e-5 * scale, rtol=0)
    if "segmentwise_output" in whole:
        np.testing.assert_allclose(local["segments"], whole["segmentwise_output"][0], atol=1e-5)


def test_every_network_equals_the_whole(thin_graph, plain):
    assert_equals_the_whole(thin_graph, rest=7777)


@pytest.mark.parametrize("rest", [0, 1, 319, 320, 10239])
@pytest.mark.parametrize("kind", ["Cnn14", "Cnn14_DecisionLevelAtt", "Wavegram_Logmel_Cnn14"])
def test_any_length_equals_the_whole(kind, rest, plain):
    assert_equals_the_whole(f"Thin_{kind}", rest)


def test_a_shorter_overlap_leaves_seams(plain):
    with pytest.raises(AssertionError):
        assert_equals_the_whole("Thin_Cnn14_DecisionLevelMax", 7777, shorten=2 * 10240)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_the_stream_change_nothing(seed, plain):
    rng = np.random.default_rng(seed)
    splits = np.sort(rng.integers(0, 600_000, 40))  # some blocks are empty
    assert_equals_the_whole("Thin_Cnn14_DecisionLevelMax", 123, splits.tolist())


def test_holds_no_more_than_a_window(plain):
    network = trained("Thin_Cnn6")
    parts = split(network.row, LayerBook(network.layers), 3)
    run = parts.local
    stitcher = Stitcher(parts, run, 2.0)
    for _ in range(40):
        stitcher.feed(sound(32000))
        assert stitcher._held < stitcher.window_samples
        assert stitcher._held == sum(map(len, stitcher._blocks))
    stitcher.finish()
    assert stitcher.samples == 40 * 32000


@pytest.mark.parametrize("samples", [1, 100, 9920, 20000])
def test_a_short_recording_is_heard_whole(samples, plain):
    network = trained("Thin_Cnn14_DecisionLevelAvg")
    parts = split(network.row, LayerBook(network.layers), 3)
    run = parts.local
    stitcher = Stitcher(parts, run, 0)
    assert stitcher.feed(sound(samples)) == []
    stitcher.finish()
    whole = network(sound(samples)[None], training=False)
    found = stitcher.gathered.outputs()["clipwise_output"]
    np.testing.assert_allclose(found, whole["clipwise_output"][0], atol=1e-6)
