"""Networks for inference and training."""

import keras
import numpy as np
import pytest

import panns_tf
from panns_tf import create_model, training_model
from panns_tf.layers.mixup import Mixup, mix
from panns_tf.models.network import Network
from tests.support import GRAPHS

#: How many batch normalisations end a residual branch: architectures.md, section 9.
ZERO_SCALES = {
    "ResNet22": ("bn2", 8),
    "ResNet38": ("bn2", 16),
    "ResNet54": ("bn3", 16),
    "Res1dNet31": ("bn2", 14),
    "Res1dNet51": ("bn2", 24),
    "DaiNet19": ("bn4", 4),
}


def sound(clips: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (clips, samples)).astype("float32")


@pytest.mark.parametrize(
    "network",
    ["Cnn6", "MobileNetV1", "DaiNet19"]
    + [pytest.param(n, marks=pytest.mark.full) for n in ZERO_SCALES if n != "DaiNet19"],
)
def test_initial_weights_are_those_of_the_reference(network):
    model = create_model(network)
    zeros = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            if not np.any(layer.gamma):
                zeros.append(layer.name)
        elif hasattr(layer, "kernel"):  # Xavier's uniform
            kernel = np.asarray(layer.kernel)
            fan_in, fan_out = kernel[..., 0].size, kernel[..., 0, :].size
            bound = np.sqrt(6 / (fan_in + fan_out))
            assert 0.9 * bound < np.abs(kernel).max() <= 1.000001 * bound
            assert np.std(kernel) == pytest.approx(bound / np.sqrt(3), rel=0.15)
            assert not layer.use_bias or not np.any(layer.bias)
    end, expected = ZERO_SCALES.get(network, ("", 0))
    assert len(zeros) == expected
    assert all(name.endswith(f".{end}") for name in zeros)


def test_networks_take_any_length(plain):
    for arch in GRAPHS:
        model = create_model(arch.name, num_classes=5)
        for samples in (1, 54321):
            outputs = model(sound(2, samples))
            expected = {"clipwise_output": (2, 5), "embedding": (2, 8)}
            if "framewise_output" in outputs:
                frames = 1 + samples // arch.frontend.hop_size
                expected["framewise_output"] = (2, frames, 5)
                expected["segmentwise_output"] = (2, max(1, frames // 32), 5)
            assert {key: tuple(value.shape) for key, value in outputs.items()} == expected
            assert all(np.isfinite(value).all() for value in outputs.values())


def test_networks_train_on_pairs(plain):
    for arch in GRAPHS:
        model = create_model(arch.name, num_classes=5, dropout=False, spec_augment=False)
        training = training_model(model)
        x = sound(4, 32000)
        output = training({"waveform": x, "mixup_lambda": np.float32([1, 0, 0, 1])})
        assert output.shape == (2, 5)
        np.testing.assert_allclose(output, model(x[[0, 3]])["clipwise_output"], atol=1e-5)


@pytest.mark.parametrize("tiny", ["Tiny", "Wavegram_Tiny"])
def test_training_model_shares_every_layer(tiny):
    model = create_model(tiny, num_classes=5)
    training = training_model(model)
    ours = {id(v) for v in model.trainable_variables}
    assert {id(v) for v in training.trainable_variables} == ours
    weights = [np.asarray(v) for v in model.weights]
    training({"waveform": sound(4, 16000)}, training=True)
    changed = [not np.array_equal(a, b) for a, b in zip(weights, model.weights, strict=True)]
    assert any(changed), "batch statistics move in the shared layers"


@pytest.mark.parametrize("tiny", ["Tiny", "Wavegram_Tiny"])
def test_mixup_pairs_neighbours_in_the_features(tiny):
    model = create_model(tiny, num_classes=5)
    training = training_model(model)
    x = sound(6, 16000)
    alone = training({"waveform": x})
    np.testing.assert_allclose(alone, model(x)["clipwise_output"], atol=1e-6)
    output = training({"waveform": x, "mixup_lambda": np.tile(np.float32([1, 0]), 3)})
    np.testing.assert_allclose(output, model(x[0::2])["clipwise_output"], atol=1e-5)
    half = np.full(6, 0.5, "float32")
    in_features = training({"waveform": x, "mixup_lambda": half})
    on_waveform = model(np.asarray(mix(x, half)))["clipwise_output"]
    assert np.abs(in_features - on_waveform).max() > 1e-4


def test_what_training_and_networks_refuse():
    model = create_model("Tiny", num_classes=5)
    training = training_model(model)
    with pytest.raises(ValueError, match="expected inputs 'waveform'"):
        training.outputs_of({"audio": sound(2, 16000)})
    with pytest.raises(TypeError, match="expected a network"):
        training_model(keras.Sequential())
    with pytest.raises(ValueError, match="Divide int16 audio by 32767"):
        model(np.zeros((1, 8000), "int16"))
    for shape in ((8000,), (1, 8000, 1), (1, 0)):
        with pytest.raises(ValueError, match="Tiny expects waveforms of shape"):
            model(np.zeros(shape, "float32"))
    for num_classes in (0, -1, 2.5):
        with pytest.raises(ValueError, match="num_classes must be a whole number"):
            create_model("Tiny", num_classes=num_classes)
    for overrides, message in (
        ({"hop_size": 500}, "needs hop_size=320"),
        ({"mel_bins": 63}, "even mel_bins"),
    ):
        with pytest.raises(ValueError, match=message):
            create_model("Wavegram_Tiny", **overrides)


def test_overrides_reach_the_layers():
    kinds = {type(layer) for layer in create_model("Wavegram_Tiny").layers}
    assert {keras.layers.Dropout, panns_tf.SpecAugment} <= kinds
    model = create_model("Wavegram_Tiny", 5, dropout=False, spec_augment=False, mel_bins=128)
    kinds = {type(layer) for layer in model.layers}
    assert not {keras.layers.Dropout, panns_tf.SpecAugment, Mixup} & kinds
    assert model.get_layer("bn0").gamma.shape == (128,)
    assert model.get_layer("pre_block3.conv1").filters == 256
    assert model(sound(1, 32000))["clipwise_output"].shape == (1, 5)


def test_short_clips_are_extended_by_zeros():
    model = create_model("Wavegram_Tiny", num_classes=5)
    short = sound(1, 5000)
    expected = model(np.pad(short, ((0, 0), (0, 10236 - 5000))))["clipwise_output"]
    np.testing.assert_allclose(model(short)["clipwise_output"], expected, atol=1e-6)


TASK = {"hidden": (6, 4), "activation": "softmax"}


@pytest.mark.parametrize("settings", [{"embedding_size": 16}, TASK])
def test_a_saved_file_is_the_same_network(settings, tmp_path):
    model = create_model("Tiny", num_classes=3, **settings)
    model.labels = ["a", "b", "c"]
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, Network)
    assert (loaded.labels, loaded.arch) == (["a", "b", "c"], model.arch)
    again = [
        create_model("Tiny", 3, weights=tmp_path / file, **settings)
        for file in ("model.keras", "model.weights.h5")
    ]
    x = sound(2, 20000)
    expected = model(x)
    for other in (loaded, *again):
        outputs = other(x)
        assert set(outputs) == set(expected)
        for key, value in expected.items():
            np.testing.assert_array_equal(outputs[key], value)


def test_a_task_has_hidden_layers_and_a_softmax(policy):
    model = create_model("Tiny", num_classes=3, dropout=False, spec_augment=False, **TASK)
    assert [model.get_layer(f"fc_hidden{i}").units for i in (1, 2)] == [6, 4]
    x = sound(4, 16000)
    inputs = {"waveform": x, "mixup_lambda": np.float32([1, 0, 0, 1])}
    outputs = training_model(model).outputs_of(inputs, training=False)
    expected = model(x[[0, 3]])["clipwise_output"]
    np.testing.assert_allclose(np.sum(expected, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(outputs["clipwise_output"], expected, atol=1e-5)
    np.testing.assert_allclose(keras.ops.softmax(outputs["logits"]), expected, atol=1e-5)
    policy("mixed_float16")
    model = create_model("Tiny", num_classes=3, **TASK)
    assert model.get_layer("softmax").compute_dtype == "float32"
    assert model.get_layer("fc_hidden1").compute_dtype == "float16"


def test_every_head_takes_hidden_layers(plain):
    for head, last in (
        ("Thin_Cnn14", ["fc_audioset"]),
        ("Thin_Cnn14_DecisionLevelMax", ["fc_audioset"]),
        ("Thin_Cnn14_DecisionLevelAtt", ["att_block.cla", "att_block.att"]),
        ("Thin_VGGish", ["fc_audioset"]),
    ):
        model = create_model(head, num_classes=5, hidden=(6, 4))
        assert [model.get_layer(key).kernel.shape[-2:] for key in last] == [(4, 5)] * len(last)
        found, expected = (m(sound(1, 33000)) for m in (model, create_model(head, 5)))
        assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}
