"""What comes before the head: front ends, blocks and backbones."""

import dataclasses

import keras
import numpy as np
import pytest

from panns_tf.models.blocks import LayerFactory, conv_block, dropout, wave_block
from panns_tf.models.network import BACKBONES, all_outputs, shortest_clip
from panns_tf.models.registry import find
from panns_tf.weights.loading import create_model
from tests.support import THIN


def test_a_layer_is_made_once():
    layer = LayerFactory()
    dense = layer(keras.layers.Dense, "fc", units=3)
    assert layer(keras.layers.Dense, "fc", units=3) is dense
    assert LayerFactory([dense])(keras.layers.Dense, "fc", units=3) is dense
    assert LayerFactory()(keras.layers.Dense, "fc", units=3) is not dense


def test_blocks():
    x = np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype("float32")
    for pool, shape in (((2, 2), (2, 3, 4, 5)), ((2, 1), (2, 3, 9, 5)), ((1, 1), (2, 7, 9, 5))):
        y = conv_block(LayerFactory(), "block", x, 5, pool)
        assert y.shape == shape, "odd rows and columns are dropped"
        assert np.min(y) >= 0
    layer = LayerFactory()
    assert wave_block(layer, "block", x[:, :, 0], 5).shape == (2, 1, 5)
    assert [layer(None, f"block.conv{i}").dilation_rate for i in (1, 2)] == [(1,), (2,)]
    assert dropout(LayerFactory(), "d", x, 0.0) is x


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
    assert shortest_clip(find("Cnn14").override(hop_size=500)) == 31 * 500


def steps_left(arch, samples: int) -> int:
    """Steps that the backbone leaves of a clip that nobody extends; 0 where there are none."""
    try:
        waveform = keras.Input((samples,), batch_size=1)
        return BACKBONES[arch.backbone].build(arch, LayerFactory(), waveform, None).shape[1]
    except ValueError:
        return 0


def test_one_step_is_left_of_the_shortest_clip_and_none_of_a_shorter():
    for backbone in BACKBONES:
        arch = next(arch for arch in THIN if arch.backbone == backbone)
        assert steps_left(arch, shortest_clip(arch)) == 1
        assert steps_left(arch, shortest_clip(arch) - 1) <= 0


@pytest.mark.parametrize(("network", "bins"), [("Thin_Cnn14", 31), ("Thin_Cnn6", 15)])
def test_too_few_mel_bins_are_refused(network, bins):
    with pytest.raises(ValueError, match=f"needs at least .* mel_bins; received {bins}"):
        create_model(network, num_classes=2, mel_bins=bins)


def test_channels_of_the_wavegram_become_planes_of_frequencies():
    model = create_model("Wavegram_Tiny", num_classes=2)
    planes, permute = model.get_layer("pre_planes"), model.get_layer("pre_frequencies")
    x = np.arange(2 * 3 * 128, dtype="float32").reshape(2, 3, 128)
    y = np.asarray(permute(planes(x)))
    assert y.shape == (2, 3, 32, 4)
    for channel in (0, 31, 32, 100, 127):
        # architectures.md, section 5: plane c // 32, frequency c % 32
        np.testing.assert_array_equal(y[:, :, channel % 32, channel // 32], x[:, :, channel])
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32000)).astype("float32")
    names = ("conv_block1.pool", "pre_block4.pool", "concatenate")
    probe = keras.Model(model.input, [model.get_layer(name).output for name in names])
    log_mel, wavegram, both = (np.asarray(x) for x in probe(sound))
    np.testing.assert_array_equal(both, np.concatenate([log_mel, wavegram], axis=-1))


def test_spec_augment_lies_between_bn0_and_the_blocks_and_grows_with_the_mel_bins():
    for mel_bins, width in ((32, 4), (64, 8), (128, 16)):
        model = create_model("Tiny", num_classes=2, mel_bins=mel_bins)
        layer = model.get_layer("spec_augmenter")
        assert (layer.time_width, layer.frequency_width, layer.stripes) == (64, width, 2)
    order = [layer.name for layer in model.layers]
    names = ["log_mel", "bn0", "spec_augmenter", "conv_block1.conv1"]
    assert [order.index(name) for name in names] == sorted(order.index(name) for name in names)


def test_sound_stays_float32_in_mixed_precision(policy):
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32000)).astype("float32")
    seen = []
    for precision in ("float32", "mixed_bfloat16"):
        policy(precision)
        model = create_model("Wavegram_Tiny", num_classes=2)
        inputs = [model.get_layer(layer).input for layer in ("log_mel", "pre_conv0")]
        seen.append(keras.Model(model.input, inputs)(x))
        exact = ("pad", "pre_pad0", "pre_conv0", "log_mel", "bn0", "spec_augmenter", "fc_audioset")
        assert {model.get_layer(name).compute_dtype for name in (*exact, "sigmoid")} == {"float32"}
    assert model.get_layer("conv_block2.conv1").compute_dtype == "bfloat16"
    for exact, mixed in zip(*seen, strict=True):
        np.testing.assert_array_equal(exact, mixed)


def test_mixing_on_the_waveform_comes_before_everything():
    arch = dataclasses.replace(find("Tiny"), mixup="waveform")
    waveform, weight = keras.Input((8000,), batch_size=4), keras.Input((), batch_size=4)
    layer = LayerFactory()
    outputs = all_outputs(arch, layer, waveform, 3, weight)
    assert outputs["clipwise_output"].shape == (2, 3)
    assert layer(None, "log_mel").input.shape == (2, 8000)
