"""Receptive fields, proven by what spreads from outside of them, and streams equal to the whole."""

import dataclasses

import keras
import numpy as np
import pytest

from panns_tf.inference.long_audio import (
    StreamingEncoder,
    pool_steps,
    receptive_field,
    split_network,
)
from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.models.blocks import LayerFactory
from panns_tf.models.registry import ARCHITECTURES
from panns_tf.weights.loading import create_model
from tests.panns_tf.inference.support import kept, noise

#: A network for each field and backbone; widths change nothing, so they are small.
FIELDS = {
    (arch.backbone, arch.head == "clip", arch.inputs, arch.receptive_field): name
    for name, arch in reversed(ARCHITECTURES.items())
    if not name.startswith(("Thin_", "Tiny", "Wavegram_Tiny"))
}


@pytest.fixture
def frames(monkeypatch, plain):
    """Of a network with real depths, few channels and positive kernels: how it sees frames."""

    def of(name: str):
        arch = ARCHITECTURES[name]
        widths = tuple(max(4, width // 128) for width in arch.widths)
        narrow = dataclasses.replace(arch, name="Narrow", widths=widths, embedding_size=8)
        monkeypatch.setitem(ARCHITECTURES, "Narrow", narrow)
        network = create_model("Narrow", 3)
        for layer in network.layers:
            if isinstance(layer, (keras.layers.Conv1D, keras.layers.Conv2D)):
                layer.kernel.assign(abs(layer.kernel.numpy()))
            elif isinstance(layer, BatchNorm):  # those that end a branch start with 0
                layer.gamma.assign(np.ones(layer.gamma.shape))
        return arch, split_network(narrow, LayerFactory(network.layers), 3)[0]

    return of


@pytest.mark.parametrize("of_field", sorted(FIELDS.values()))
def test_a_frame_depends_on_its_receptive_field_alone(of_field, frames):
    arch, local = frames(of_field)
    hop, before, after = receptive_field(arch)
    # Max pooling passes infinity on, a spectrum makes it NaN.
    outside = np.nan if arch.inputs == ("log_mel",) else np.inf
    step = before // hop + 2
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, step * hop + after + 2 * hop)
    expected = local(clip[None].astype("float32"), training=False)

    def is_reached(first: int, last: int) -> bool:
        """Whether the frame sees any sample before the first or after the last."""
        samples = np.full(len(clip), outside, np.float32)
        samples[first : last + 1] = clip[first : last + 1]
        outputs = local(samples[None], training=False)
        return not all(
            np.allclose(outputs[key][0, step], values[0, step], 1e-6, 1e-6)
            for key, values in expected.items()
        )

    first, last = step * hop - before, step * hop + after
    assert not is_reached(first, last)
    # The other way round it is enough to be about right: a field too large only costs time.
    assert is_reached(first + hop // 2, last)
    assert is_reached(first, last - hop // 2)


def stream(name: str, splits=(), rest: int = 7777, shorten: int = 0):
    """Distances of a stream's outputs from those of the whole, by name."""
    network = kept(name)
    encode, head = split_network(network.arch, LayerFactory(network.layers), 3)
    hop, before, after = network.arch.receptive_field
    field = (hop, before - shorten, after)
    arch = dataclasses.replace(network.arch, receptive_field=field)
    encoder = StreamingEncoder(encode, arch, 0)
    waveform = noise(int(3.4 * encoder.window_samples) + rest)
    parts = []
    for block in np.split(waveform, splits):
        parts += encoder.feed(block)
    parts += encoder.finish()
    assert len(parts) > 3
    assert encoder.samples == len(waveform)
    whole = network(waveform[None], training=False)
    outputs = pool_steps(arch.head, head, parts)
    if "segmentwise_output" in whole:
        outputs["segmentwise_output"] = np.concatenate([part["segments"] for part in parts])
    return {
        key: np.abs(value - whole[key][0]).max() / max(1, np.abs(whole[key]).max())
        for key, value in outputs.items()
    }


@pytest.mark.full
def test_every_stream_equals_the_whole(thin_graph, plain):
    assert max(stream(thin_graph).values()) < 1e-5


@pytest.mark.parametrize("kind", ["Cnn14_DecisionLevelAtt", "VGGish"])
def test_a_stream_equals_the_whole(kind, plain):
    for rest in (0, 319):
        assert max(stream(f"Thin_{kind}", rest=rest).values()) < 1e-5


def test_a_shorter_overlap_leaves_seams(plain):
    distances = stream("Thin_Cnn14_DecisionLevelMax", shorten=2 * 32)
    assert distances["segmentwise_output"] > 1e-5


def test_blocks_of_the_stream_change_nothing(plain):
    for seed in range(3):
        splits = np.sort(np.random.default_rng(seed).integers(0, 600_000, 40))  # some are empty
        distances = stream("Thin_Cnn14_DecisionLevelMax", splits.tolist())
        assert max(distances.values()) < 1e-5


def test_a_stream_holds_no_more_than_a_window(plain):
    network = kept("Thin_Cnn6")
    encode, _ = split_network(network.arch, LayerFactory(network.layers), 3)
    lengths = []

    def run(waveforms):
        lengths.append(waveforms.shape[1])
        return encode(waveforms)

    encoder = StreamingEncoder(run, network.arch, 2.0)
    for _ in range(20):
        list(encoder.feed(noise(32000)))
    list(encoder.finish())
    assert max(lengths) <= 2.2 * 32000
    assert len(set(lengths[2:-1])) == 1  # compiled once
