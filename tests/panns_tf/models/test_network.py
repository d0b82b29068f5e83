import math

import keras
import numpy as np
import pytest

import panns_tf
from panns_tf.layers import Mixup, mix
from panns_tf.models import ARCHITECTURES, blueprint, training_model
from panns_tf.weights.loading import create_model


def sound(clips: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (clips, samples)).astype("float32")


#: How many batch normalisations end a residual branch: architectures.md, section 9.
ZERO_SCALES = {
    "ResNet22": ("bn2", 8),
    "ResNet38": ("bn2", 16),
    "ResNet54": ("bn3", 16),
    "Res1dNet31": ("bn2", 14),
    "Res1dNet51": ("bn2", 24),
    "DaiNet19": ("bn4", 4),
}


def test_a_new_network_has_the_papers_parameters_and_initializers(name):
    model = blueprint(name)
    row = ARCHITECTURES[name]
    count = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert count + row.unused_parameters(527) == row.parameters
    zeros = []
    for layer in model.layers:
        if isinstance(layer, panns_tf.layers.BatchNorm):
            if isinstance(layer.gamma_initializer, keras.initializers.Zeros):
                zeros.append(layer.name)
        elif hasattr(layer, "kernel"):
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            drawn = layer.depthwise_initializer if depthwise else layer.kernel_initializer
            assert isinstance(drawn, keras.initializers.GlorotUniform)
            assert isinstance(layer.bias_initializer, keras.initializers.Zeros)
    end, expected = ZERO_SCALES.get(name, ("", 0))
    assert len(zeros) == expected
    assert all(layer.endswith(f".{end}") for layer in zeros)


@pytest.mark.parametrize("network", ["Cnn6", "MobileNetV1", "LeeNet11"])
def test_initial_weights_are_xavier_uniform(network):
    for layer in create_model(network).layers:
        if hasattr(layer, "kernel"):
            kernel = np.asarray(layer.kernel)
            fan_in, fan_out = kernel[..., 0].size, kernel[..., 0, :].size
            bound = np.sqrt(6 / (fan_in + fan_out))
            assert 0.9 * bound < np.abs(kernel).max() <= 1.000001 * bound
            assert np.std(kernel) == pytest.approx(bound / np.sqrt(3), rel=0.15)


def test_networks_take_any_length(thin_graph, plain):
    model = create_model(thin_graph, num_classes=5)
    for samples in (1, 54321):
        outputs = model(sound(2, samples))
        shapes = {key: tuple(value.shape) for key, value in outputs.items()}
        expected = {"clipwise_output": (2, 5), "embedding": (2, 8)}
        if "framewise_output" in outputs:
            frames = 1 + samples // model.row.frontend.hop_size
            expected["framewise_output"] = (2, frames, 5)
            expected["segmentwise_output"] = (2, max(1, frames // 32), 5)
        assert shapes == expected
        assert all(np.isfinite(value).all() for value in outputs.values())


def test_networks_train_on_pairs(thin, plain):
    model = create_model(thin, num_classes=5, dropout=False, spec_augment=False)
    training = training_model(model)
    assert {id(v) for v in training.trainable_variables} == {
        id(v) for v in model.trainable_variables
    }
    x = sound(4, 32000)
    output = training({"waveform": x, "mixup_lambda": np.float32([1, 0, 0, 1])})
    assert output.shape == (2, 5)
    np.testing.assert_allclose(output, model(x[[0, 3]])["clipwise_output"], atol=1e-5)
    row = model.row
    places = ("waveform",) if row.mixup == "waveform" else row.inputs
    assert {layer.name for layer in training._graphs[1].layers if isinstance(layer, Mixup)} == {
        f"mixup.{place}" for place in places
    }


@pytest.mark.parametrize("tiny", ["Tiny", "Wavegram_Tiny"])
@pytest.mark.parametrize("samples", [1, 1000, 10235, 32000, 32001, 45678, 102944])
def test_any_length_works(tiny, samples):
    outputs = create_model(tiny, num_classes=5)(sound(2, samples))
    assert {key: value.shape for key, value in outputs.items()} == {
        "clipwise_output": (2, 5),
        "embedding": (2, 8),
    }
    assert np.isfinite(outputs["clipwise_output"]).all()


def test_short_clips_are_extended_by_zeros():
    model = create_model("Wavegram_Tiny", num_classes=5)
    short = sound(1, 5000)
    extended = np.pad(short, ((0, 0), (0, 10236 - 5000)))
    expected = model(extended)["clipwise_output"]
    np.testing.assert_allclose(model(short)["clipwise_output"], expected, atol=1e-6)


@pytest.mark.parametrize("tiny", ["Tiny", "Wavegram_Tiny"])
def test_training_model_shares_every_layer(tiny):
    model = create_model(tiny, num_classes=5)
    training = training_model(model)
    assert {id(v) for v in training.trainable_variables} == {
        id(v) for v in model.trainable_variables
    }
    weights = [np.asarray(v) for v in model.weights]
    training({"waveform": sound(4, 16000)}, training=True)
    changed = [not np.array_equal(a, b) for a, b in zip(weights, model.weights, strict=True)]
    assert any(changed), "batch statistics move in the shared layers"


@pytest.mark.parametrize("tiny", ["Tiny", "Wavegram_Tiny"])
def test_without_mixup_the_training_model_takes_n_items(tiny):
    model = create_model(tiny, num_classes=5)
    x = sound(3, 16000)
    output = training_model(model)({"waveform": x})
    np.testing.assert_allclose(output, model(x)["clipwise_output"], atol=1e-6)


@pytest.mark.parametrize("tiny", ["Tiny", "Wavegram_Tiny"])
def test_mixup_pairs_neighbours_in_the_features(tiny):
    model = create_model(tiny, num_classes=5)
    training = training_model(model)
    x = sound(6, 16000)
    output = training({"waveform": x, "mixup_lambda": np.tile(np.float32([1, 0]), 3)})
    assert output.shape == (3, 5)
    np.testing.assert_allclose(output, model(x[0::2])["clipwise_output"], atol=1e-5)
    half = np.full(6, 0.5, "float32")
    in_features = training({"waveform": x, "mixup_lambda": half})
    on_waveform = model(np.asarray(mix(x, half)))["clipwise_output"]
    assert np.abs(in_features - on_waveform).max() > 1e-4


def test_training_model_refuses_other_inputs():
    training = training_model(create_model("Tiny", num_classes=5))
    with pytest.raises(ValueError, match="expected inputs 'waveform'"):
        training.outputs_of({"audio": sound(2, 16000)})
    with pytest.raises(TypeError, match="expects a network"):
        training_model(keras.Sequential())


def test_switches_reach_the_layers():
    kinds = {type(layer) for layer in create_model("Wavegram_Tiny").layers}
    assert {keras.layers.Dropout, panns_tf.SpecAugment} <= kinds
    model = create_model("Wavegram_Tiny", dropout=False, spec_augment=False)
    kinds = {type(layer) for layer in model.layers}
    assert not {keras.layers.Dropout, panns_tf.SpecAugment} & kinds


def test_mel_bins_size_bn0_and_the_wavegram():
    model = create_model("Wavegram_Tiny", num_classes=5, mel_bins=128)
    assert model.get_layer("bn0").gamma.shape == (128,)
    assert model.get_layer("pre_block3.conv1").filters == 256
    assert model(sound(1, 32000))["clipwise_output"].shape == (1, 5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [({"hop_size": 500}, "needs hop_size=320"), ({"mel_bins": 63}, "even mel_bins")],
)
def test_wavegram_refuses_a_log_mel_that_cannot_fit(overrides, message):
    with pytest.raises(ValueError, match=message):
        create_model("Wavegram_Tiny", **overrides)


@pytest.mark.parametrize("num_classes", [0, -1, 2.5])
def test_impossible_class_counts_are_refused(num_classes):
    with pytest.raises(ValueError, match="num_classes must be a whole number"):
        create_model("Tiny", num_classes=num_classes)


def test_saved_file_is_the_same_network(tmp_path):
    model = create_model("Wavegram_Tiny", num_classes=5, embedding_size=16)
    model.labels = ["a", "b", "c", "d", "e"]
    path = tmp_path / "model.keras"
    model.save(path)
    x = sound(2, 20000)
    expected = model(x)["clipwise_output"]
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded(x)["clipwise_output"], expected)
    assert loaded.labels == model.labels
    assert loaded.row == model.row
    training_model(loaded)
    again = create_model("Wavegram_Tiny", num_classes=5, embedding_size=16, weights=path)
    np.testing.assert_array_equal(again(x)["clipwise_output"], expected)
    model.save_weights(tmp_path / "model.weights.h5")
    again = create_model(
        "Wavegram_Tiny", num_classes=5, embedding_size=16, weights=tmp_path / "model.weights.h5"
    )
    np.testing.assert_array_equal(again(x)["clipwise_output"], expected)


def test_weights_of_another_network_are_refused(tmp_path):
    create_model("Tiny", num_classes=5).save(tmp_path / "tiny.keras")
    with pytest.raises(ValueError, match="holds Tiny"):
        create_model("Wavegram_Tiny", num_classes=5, weights=tmp_path / "tiny.keras")
    with pytest.raises(ValueError, match="holds Tiny"):
        create_model("Tiny", num_classes=6, weights=tmp_path / "tiny.keras")
    with pytest.raises(ValueError, match="no such file"):
        create_model("Tiny", weights=tmp_path / "absent.keras")


@pytest.mark.parametrize("name_of_policy", ["mixed_float16", "mixed_bfloat16"])
def test_front_and_last_layer_stay_float32_in_mixed_precision(name_of_policy, policy):
    policy(name_of_policy)
    model = create_model("Wavegram_Tiny", num_classes=5)
    for layer in ("log_mel", "bn0", "spec_augmenter", "fc_audioset", "sigmoid"):
        assert model.get_layer(layer).compute_dtype == "float32"
    assert model.get_layer("conv_block2.conv1").compute_dtype == name_of_policy[6:]
    outputs = model(sound(2, 16000))
    assert outputs["clipwise_output"].dtype == "float32"
    assert np.isfinite(outputs["clipwise_output"]).all()


def test_int16_audio_is_refused():
    with pytest.raises(ValueError, match="Divide int16 audio by 32767"):
        create_model("Tiny", num_classes=5)(np.zeros((1, 8000), "int16"))


def test_weights_of_another_front_end_are_refused(tmp_path):
    create_model("Tiny", num_classes=5).save(tmp_path / "tiny.keras")
    with pytest.raises(ValueError, match="was trained on Frontend"):
        create_model("Tiny", num_classes=5, fmax=3000, weights=tmp_path / "tiny.keras")


TASK = {"hidden": (6, 4), "activation": "softmax"}


def test_every_network_takes_hidden_layers(thin_graph, plain):
    model = create_model(thin_graph, num_classes=5, hidden=(6, 4))
    bare = create_model(thin_graph, num_classes=5)
    units = {x.name: x.units for x in model.layers if x.name in ("fc_hidden1", "fc_hidden2")}
    assert units == {"fc_hidden1": 6, "fc_hidden2": 4}
    last = ["att_block.cla", "att_block.att"] if model.row.head == "attention" else ["fc_audioset"]
    assert [model.get_layer(key).kernel.shape[-2:] for key in last] == [(4, 5)] * len(last)
    more = sum(math.prod(v.shape) for key in units for v in model.get_layer(key).weights)
    less = len(last) * (8 - 4) * 5
    assert model.count_params() == bare.count_params() + more - less
    assert more == (8 * 6 + 6) + (6 * 4 + 4)
    x = sound(1, 33000)
    found, expected = model(x), bare(x)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}


def test_a_saved_file_keeps_the_tasks_classifier(tmp_path):
    model = create_model("Tiny", num_classes=3, **TASK)
    model.labels = ["a", "b", "c"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = sound(2, 20000)
    expected = model(x)
    assert expected.keys() == loaded(x).keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(loaded(x)[key], value)
    np.testing.assert_allclose(np.sum(expected["clipwise_output"], axis=1), 1, atol=1e-6)
    assert loaded.labels == ["a", "b", "c"]
    assert loaded.row == model.row
    loaded.save(tmp_path / "again.keras")
    again = create_model("Tiny", 3, weights=tmp_path / "again.keras", **TASK)
    np.testing.assert_array_equal(again(x)["clipwise_output"], expected["clipwise_output"])


@pytest.mark.parametrize("changes", [{"hidden": (6,)}, {"hidden": ()}, {"activation": "sigmoid"}])
def test_weights_of_another_classifier_are_refused(changes, tmp_path):
    create_model("Tiny", num_classes=3, **TASK).save(tmp_path / "model.keras")
    with pytest.raises(ValueError) as caught:
        create_model("Tiny", 3, weights=tmp_path / "model.keras", **{**TASK, **changes})
    assert str(tmp_path) in str(caught.value)


def test_training_a_task_gives_logits_of_its_softmax():
    model = create_model("Tiny", num_classes=3, dropout=False, spec_augment=False, **TASK)
    x = sound(4, 16000)
    inputs = {"waveform": x, "mixup_lambda": np.float32([1, 0, 0, 1])}
    outputs = training_model(model).outputs_of(inputs, training=False)
    expected = model(x[[0, 3]])["clipwise_output"]
    np.testing.assert_allclose(outputs["clipwise_output"], expected, atol=1e-5)
    np.testing.assert_allclose(keras.ops.softmax(outputs["logits"]), expected, atol=1e-5)


@pytest.mark.parametrize("name_of_policy", ["mixed_float16", "mixed_bfloat16"])
def test_softmax_stays_float32_in_mixed_precision(name_of_policy, policy):
    policy(name_of_policy)
    model = create_model("Tiny", num_classes=3, **TASK)
    assert model.get_layer("softmax").compute_dtype == "float32"
    assert model.get_layer("fc_hidden1").compute_dtype == name_of_policy[6:]
    total = np.sum(model(sound(2, 16000))["clipwise_output"], axis=1)
    np.testing.assert_allclose(total, 1, atol=1e-6)
