"""Exported files against their networks."""

import dataclasses
import sys

import numpy as np
import pytest

from panns_tf.export import check
from panns_tf.export.check import check_export, describe, excess, noisy_tones, of_length
from panns_tf.export.portable import front_layers
from panns_tf.export.saved_model import export_saved_model
from tests.panns_tf.export.support import sound, trained


@pytest.fixture(scope="module")
def network():
    return trained("Tiny")


@pytest.fixture(scope="module")
def saved_model(network, tmp_path_factory):
    return export_saved_model(network, tmp_path_factory.mktemp("check") / "saved_model")


def test_a_saved_model_is_its_network(network, saved_model):
    found = check_export(saved_model, network, lengths=[8000, 8123], clips=[sound(1, 9000)])
    assert found["runtime"] == "TensorFlow"
    assert found["precision"] == "float32"
    assert found["lengths"] == [8000, 8123]
    assert set(found["largest"]) == set(found["mean"]) == {"clipwise_output", "embedding"}
    assert 0 <= found["mean"]["embedding"] <= found["largest"]["embedding"] < 1e-5
    assert found["agreement"] == found["clips"] == 1
    assert found["bytes"] == sum(f.stat().st_size for f in saved_model.rglob("*") if f.is_file())


def test_another_network_is_refused(saved_model, network):
    with pytest.raises(ValueError, match="another network: its network differ"):
        check_export(saved_model, trained("Wavegram_Tiny"))
    other = trained("Tiny")
    other.labels = ["a", "b", "c"]
    with pytest.raises(ValueError, match="its labels differ"):
        check_export(saved_model, other)
    other.labels = network.labels
    other.set_weights(network.get_weights())
    bias = other.get_layer("fc_audioset").bias
    bias.assign(bias + 1e-3)
    with pytest.raises(ValueError, match=r"from the network in clipwise_output, .* times what"):
        check_export(saved_model, other)


def apart(found, expected, embedding=1.0) -> float:
    """The `excess` of probabilities, of a network whose embedding has a largest value."""
    others = {"embedding": np.array([embedding])}
    return excess({"clipwise_output": found}, {"clipwise_output": expected, **others})


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def test_rounding_is_allowed_and_no_more():
    """The same relative error is judged alike, whatever the scale and the probability."""
    rng = np.random.default_rng(0)
    for scale, embedding in ((0.1, 1.0), (1.0, 1.0), (10.0, 1.0), (1.0, 30.0)):
        logits = rng.uniform(-scale, scale, (4, 50))
        logits[0, 0] = scale
        step = 5e-5 * max(2.0, scale, embedding) * rng.choice([-1, 1], logits.shape)
        for factor, accepted in ((0.5, True), (0.9, True), (1.2, False), (100, False)):
            found, expected = sigmoid(logits + factor * step), sigmoid(logits)
            assert (apart(found, expected, embedding) <= 1) == accepted
        assert apart(expected + 4e-7, expected) <= 1
        values = {"embedding": rng.normal(size=(2, 8)) * scale}
        allowed = 2e-5 * max(0.5, np.abs(values["embedding"]).max())
        for factor, accepted in ((0.9, True), (1.2, False)):
            found = {"embedding": values["embedding"] + factor * allowed}
            assert (excess(found, values) <= 1) == accepted


def test_small_probabilities_must_agree_in_their_own_scale():
    """0.001 and 0.00101 differ by 1e-5, and by one in a hundred."""
    expected = np.full((1, 3), 1e-3)
    assert apart(expected * 1.01, expected) > 10
    for wrong in (np.zeros((1, 3)), np.ones((1, 3)), np.full((1, 3), np.nan), np.zeros((1, 2))):
        assert apart(wrong, expected) > 10


@dataclasses.dataclass
class Runtime:
    """A file that gives what the network gives, changed."""

    network: object
    change: object
    precision: str = "int8"

    def __call__(self, path):
        def call(waveform):
            outputs = {k: np.array(v) for k, v in self.network(waveform).items()}
            self.change(outputs)
            return outputs

        named = {"precision": self.precision, "runtime": "none"}
        return call, {**describe(self.network), **named}


def reversed_classes(outputs):
    outputs["clipwise_output"] = 1 - outputs["clipwise_output"]


def nearly_equal(outputs):
    outputs["clipwise_output"] *= 0.999


def missing(outputs):
    del outputs["embedding"]


def misshapen(outputs):
    outputs["embedding"] = outputs["embedding"][:, :2]


def not_a_number(outputs):
    outputs["embedding"][0, 0] = np.nan


def failing(outputs):
    raise RuntimeError("no kernel\nfor this")


@pytest.mark.parametrize(
    ("change", "precision", "message"),
    [
        (reversed_classes, "int8", "first class of 0% of the calibration clips"),
        (nearly_equal, "float32", "from the network in clipwise_output"),
        (missing, "int8", "fails on clips of 2400 samples: 'embedding'"),
        (misshapen, "int8", r"gives outputs of .*\(2, 2\).*, expected .*\(2, 8\)"),
        (not_a_number, "int8", "values of embedding that are not finite"),
        (failing, "int8", "fails on clips of 2400 samples: no kernel for this"),
        (nearly_equal, "int8", None),
    ],
)
def test_what_is_of_no_use_is_refused(network, monkeypatch, plain, change, precision, message):
    monkeypatch.setattr(check, "open_exported", Runtime(network, change, precision))
    clips = [sound(1, 8000)] * 3
    if message is not None:
        with pytest.raises(ValueError, match=message):
            check_export(__file__, network, clips=clips)
        return
    found = check_export(__file__, network, lengths=[8000], clips=clips)
    highest = np.max(network(noisy_tones(2, 8000))["clipwise_output"])
    assert found["largest"]["clipwise_output"] >= 0.9e-3 * highest
    assert found["agreement"] == 1


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    for file, package in (("n.onnx", "onnxruntime"), ("n.tflite", "ai_edge_litert"), ("n", None)):
        with pytest.raises(ValueError, match="no such file"):
            check.open_exported(tmp_path / file)
        (tmp_path / file).write_bytes(b"TFL3 but no more")
        with pytest.raises(ValueError, match=r"cannot be loaded as an export|no model at"):
            check.open_exported(tmp_path / file)
        if package:
            monkeypatch.setitem(sys.modules, package, None)
            with pytest.raises(ValueError, match=r"pip install 'panns_tf\[export\]'"):
                check.open_exported(tmp_path / file)


def test_clips():
    assert of_length(np.ones((1, 3)), 5).tolist() == [[1, 1, 1, 0, 0]]
    assert of_length(np.ones((1, 3)), 2).tolist() == [[1, 1]]
    waveform = noisy_tones(2, 16000)
    assert waveform.dtype == np.float32
    assert 0.5 < np.abs(waveform).max() <= 1
    assert np.abs(waveform[0] - waveform[1]).max() > 0.5


@pytest.mark.parametrize(
    ("which", "front"),
    [
        ("Tiny", {"pad", "log_mel", "bn0", "spec_augmenter"}),
        (
            "Wavegram_Tiny",
            {"pad", "log_mel", "bn0", "spec_augmenter", "pre_pad0", "pre_conv0", "pre_bn0"},
        ),
        ("Thin_LeeNet11", {"pad", "conv_block1.pad", "conv_block1.conv1", "conv_block1.bn1"}),
        ("Thin_Cnn14_DecisionLevelAtt", {"pad", "log_mel", "bn0", "spec_augmenter"}),
    ],
)
def test_front_layers(which, front):
    found = front_layers(trained(which))
    assert found <= front
    assert {"log_mel", "conv_block1.conv1"} & found
