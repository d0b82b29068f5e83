import dataclasses

import keras
import numpy as np
import pytest

from panns_tf.models import find
from panns_tf.models.blocks import LayerBook
from panns_tf.models.graph import BODIES, HEADS, graph, shortest_clip
from panns_tf.models.registry import ARCHITECTURES
from panns_tf.weights.loading import create_model


@pytest.mark.parametrize(
    ("networks", "samples"),
    [
        # architectures.md, section 12, measured on the reference by bisection
        ("Cnn14 Cnn14_mel32 Cnn14_DecisionLevelMax Cnn14_DecisionLevelAtt", 9920),
        ("ResNet22 ResNet38 ResNet54 MobileNetV1 MobileNetV2", 9920),
        ("Cnn6 Cnn10", 4800),
        ("Cnn14_16k", 4960),
        ("Cnn14_8k", 2480),
        ("Wavegram_Cnn14 Wavegram_Logmel_Cnn14 Wavegram_Logmel128_Cnn14", 10236),
        ("Res1dNet31 Res1dNet51", 20476),
        ("DaiNet19", 332),
        ("LeeNet11 LeeNet24", 1),
        ("VGGish", 30400),  # not in the reference: 96 frames
    ],
)
def test_shortest_clip_is_the_references(networks, samples):
    for network in networks.split():
        assert shortest_clip(find(network)) == samples


def test_shortest_clip_follows_the_front_end():
    assert shortest_clip(find("Cnn14").override(hop_size=500)) == 31 * 500


def steps_left(row, samples: int) -> int:
    """Steps that the body leaves of a clip which nobody extends; 0 where it cannot be built."""
    try:
        waveform = keras.Input((samples,), batch_size=1)
        return BODIES[row.body].build(row, LayerBook(), waveform, None).shape[1]
    except ValueError:
        return 0


def test_one_step_is_left_of_the_shortest_clip_and_none_of_a_shorter(thin):
    row = ARCHITECTURES[thin]
    assert steps_left(row, shortest_clip(row)) == 1
    assert steps_left(row, shortest_clip(row) - 1) <= 0


def test_every_row_names_a_body_and_a_head(name):
    row = ARCHITECTURES[name]
    assert row.body in BODIES
    assert row.head in HEADS


@pytest.mark.parametrize(("network", "bins"), [("Cnn14", 31), ("Cnn6", 15), ("VGGish", 8)])
def test_too_few_mel_bins_are_refused(network, bins):
    with pytest.raises(ValueError, match=f"needs at least .* mel_bins; received {bins}"):
        create_model(network, num_classes=2, mel_bins=bins)


def test_sound_stays_float32_in_mixed_precision(policy):
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32000)).astype("float32")
    seen = []
    for precision in ("float32", "mixed_bfloat16"):
        policy(precision)
        model = create_model("Wavegram_Tiny", num_classes=2)
        inputs = [model.get_layer(layer).input for layer in ("log_mel", "pre_conv0")]
        seen.append(keras.Model(model.input, inputs)(x))
        assert {model.get_layer(n).compute_dtype for n in ("pad", "pre_pad0", "pre_conv0")} == {
            "float32"
        }
    for exact, mixed in zip(*seen, strict=True):
        np.testing.assert_array_equal(exact, mixed)


def test_mixing_on_the_waveform_comes_before_everything():
    row = dataclasses.replace(find("Tiny"), mixup="waveform")
    waveform, weight = keras.Input((8000,), batch_size=4), keras.Input((), batch_size=4)
    book = LayerBook()
    outputs = graph(row, book, waveform, weight, 3)
    assert outputs["clipwise_output"].shape == (2, 3)
    assert book(None, "log_mel").input.shape == (2, 8000)
