"""The receptive fields that the registry states, proven by what spreads from outside of them."""

import dataclasses

import keras
import numpy as np
import pytest

from panns_tf.inference.parts import split
from panns_tf.layers import BatchNorm
from panns_tf.models import ARCHITECTURES
from panns_tf.models.blocks import LayerBook
from panns_tf.weights.loading import create_model

#: A network for each field and backbone; widths change nothing, so they are small.
FIELDS = {
    (arch.body, arch.head == "clip", arch.inputs, arch.receptive_field): name
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
        return arch, split(narrow, LayerBook(network.layers), 3).local

    return of


@pytest.mark.parametrize("of_field", sorted(FIELDS.values()))
def test_a_frame_depends_on_its_receptive_field_alone(of_field, frames):
    arch, local = frames(of_field)
    hop, before, after = arch.receptive_field
    if "log_mel" in arch.inputs:
        unit = arch.frontend.hop_size
        half = arch.frontend.window_size // 2
        hop, before = hop * unit, before * unit + half
        after = after * unit + arch.frontend.window_size - 1 - half
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
