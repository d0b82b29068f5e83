"""Exported files against their networks."""

import dataclasses
import sys

import numpy as np
import pytest

from panns_tf.inference.export import check, export_saved_model, runtimes
from panns_tf.inference.export.check import check_export, made_up_sound, of_length
from panns_tf.inference.export.precision import exact_layers
from panns_tf.inference.export.saved_model import describe
from tests.panns_tf.inference.support import sound, trained


@pytest.fixture(scope="module")
def network():
    return trained("Tiny")


@pytest.fixture(scope="module")
def saved_model(network, tmp_path_factory):
    return export_saved_model(network, tmp_path_factory.mktemp("check") / "saved_model")


def test_a_saved_model_is_its_network(network, saved_model):
    found = check_export(saved_model, network, lengths=[8000, 8123, 20000], clips=[sound(1, 9000)])
    assert found["runtime"] == "TensorFlow"
    assert found["precision"] == "float32"
    assert found["lengths"] == [8000, 8123, 20000]
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
    other.get_layer("fc_audioset").bias.assign(other.get_layer("fc_audioset").bias + 1e-3)
    with pytest.raises(ValueError, match="from the network in clipwise_output; at most 1e-05"):
        check_export(saved_model, other)


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
        (missing, "int8", "gives nothing for embedding"),
        (misshapen, "int8", r"gives \(2, 2\) for embedding, expected \(2, 8\)"),
        (not_a_number, "int8", "values of embedding that are not finite"),
        (failing, "int8", "fails on clips of 2400 samples: no kernel for this"),
    ],
)
def test_what_is_of_no_use_is_refused(network, monkeypatch, plain, change, precision, message):
    monkeypatch.setattr(check, "open_exported", Runtime(network, change, precision))
    with pytest.raises(ValueError, match=message):
        check_export(__file__, network, clips=[sound(1, 8000)] * 3)


def test_loss_is_measured_and_let_pass(network, monkeypatch, plain):
    monkeypatch.setattr(check, "open_exported", Runtime(network, nearly_equal))
    found = check_export(__file__, network, lengths=[8000], clips=[sound(1, 8000)])
    highest = np.max(network(made_up_sound(2, 8000))["clipwise_output"])
    assert found["largest"]["clipwise_output"] >= 0.9e-3 * highest
    assert found["agreement"] == 1


@pytest.mark.parametrize("file", ["absent.onnx", "absent.tflite", "absent"])
def test_absent_files(file, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        runtimes.open_exported(tmp_path / file)


@pytest.mark.parametrize("file", ["damaged.onnx", "damaged.tflite"])
def test_damaged_files(file, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs requirements-export.txt")
    pytest.importorskip("ai_edge_litert", reason="needs requirements-export.txt")
    (tmp_path / file).write_bytes(b"TFL3 but no more")
    with pytest.raises(ValueError, match="cannot be loaded as an export of this project"):
        runtimes.open_exported(tmp_path / file)


@pytest.mark.parametrize(
    ("package", "ending"), [("onnxruntime", "onnx"), ("ai_edge_litert", "tflite")]
)
def test_a_missing_runtime_is_named(package, ending, tmp_path, monkeypatch):
    (tmp_path / f"n.{ending}").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r"pip install -r requirements-export\.txt"):
        runtimes.open_exported(tmp_path / f"n.{ending}")


def test_clips_of_one_length():
    assert of_length(np.ones((1, 3)), 5).tolist() == [[1, 1, 1, 0, 0]]
    assert of_length(np.ones((1, 3)), 2).tolist() == [[1, 1]]


def test_made_up_sound_is_sound():
    x = made_up_sound(2, 16000)
    assert x.dtype == np.float32
    assert 0.5 < np.abs(x).max() <= 1
    assert np.abs(x[0] - x[1]).max() > 0.5


@pytest.mark.parametrize(
    ("which", "front", "end"),
    [
        ("Tiny", {"pad", "log_mel", "bn0", "spec_augmenter"}, {"fc_audioset", "sigmoid"}),
        ("Thin_LeeNet11", {"pad", "conv_block1.pad", "conv_block1.conv1"}, None),
        ("Thin_Cnn14_DecisionLevelAtt", None, {"att_block.att", "att_block.cla", "frames"}),
    ],
)
def test_exact_layers(which, front, end):
    found = exact_layers(trained(which))
    assert front is None or found[0] == front
    assert end is None or end <= found[1]
