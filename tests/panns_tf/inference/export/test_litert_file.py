"""Networks as LiteRT files."""

import json
import sys
import zipfile

import numpy as np
import pytest

from panns_tf.inference.export.litert_file import export_litert
from panns_tf.inference.export.litert_large import large_kernels
from panns_tf.inference.export.runtimes import open_exported
from panns_tf.inference.export.saved_model import describe
from panns_tf.weights.loading import create_model
from tests.panns_tf.inference.export.support import assert_any_clip_is_the_same, clips
from tests.panns_tf.inference.support import trained

interpreter = pytest.importorskip(
    "ai_edge_litert.interpreter", reason="needs requirements-export.txt"
)
pytest.importorskip("ai_edge_quantizer", reason="needs requirements-export.txt")


def measured(network, path, *arguments, **settings) -> dict:
    found = []
    assert export_litert(network, path, *arguments, **settings, report=found.append) == path
    return found[0]


def test_every_network_is_the_same_in_litert(thin_graph, tmp_path, plain):
    network = trained(thin_graph)
    found = measured(network, tmp_path / "network.tflite")
    assert found["precision"] == "float32"
    assert len(found["lengths"]) == 3
    assert found["largest"]["clipwise_output"] < 1e-5
    assert_any_clip_is_the_same(network, tmp_path / "network.tflite")


@pytest.fixture(scope="module")
def network():
    return trained("Wavegram_Tiny", spec_augment=False)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """A folder with a file of each precision, and what was measured of each."""
    folder = tmp_path_factory.mktemp("litert")
    precisions = ("float32", "float16", "dynamic_int8", "int8")
    return folder, {
        name: measured(network, folder / f"{name}.tflite", name, clips()) for name in precisions
    }


def test_the_file_says_what_it_is(network, exported):
    with zipfile.ZipFile(exported[0] / "int8.tflite") as archive:
        assert archive.read("labels.txt").decode() == "class 0\nclass 1\nclass 2\n"
        described = json.loads(archive.read("panns_tf.json"))
    assert described == {**describe(network), "precision": "int8"}


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("float16", 1e-6, 2e-3), ("dynamic_int8", 1e-4, 0.05), ("int8", 1e-4, 0.05)],
)
def test_lower_precisions_lose_a_little(exported, precision, least, most):
    found = exported[1][precision]
    assert found["precision"] == precision
    assert least < found["largest"]["clipwise_output"] < most
    assert found["bytes"] < exported[1]["float32"]["bytes"]
    assert found["clips"] == 4
    assert found["agreement"] == 1


@pytest.mark.parametrize("precision", ["float16", "dynamic_int8", "int8"])
def test_weights_are_small_and_the_front_end_is_not(exported, precision):
    """The Fourier and mel filters and the first kernel on the waveform are the larger constants."""
    found = {}
    for name in ("float32", precision):
        model = interpreter.Interpreter(str(exported[0] / f"{name}.tflite"))
        found[name] = [
            tensor["dtype"]
            for tensor in model.get_tensor_details()
            if tuple(tensor["shape"]) in {(892, 1, 16, 64), (64, 892), (64, 1, 11, 1)}
        ]
        kernels = [
            tensor["dtype"]
            for tensor in model.get_tensor_details()
            if tuple(tensor["shape"]) == (128, 1, 3, 128) and "wave" in tensor["name"].lower()
        ]
    assert found[precision] == found["float32"] == [np.float32] * 3
    assert kernels
    assert np.float32 not in kernels or precision == "float16"


@pytest.mark.parametrize("axis", [0, 3])
def test_large_kernels_are_rounded_channel_by_channel(axis):
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as module
    from ai_edge_quantizer.qtyping import UniformQuantParams

    kernel = np.random.default_rng(0).normal(size=(1030, 3, 3, 1030)).astype("float32")
    scale = np.linspace(0.02, 0.05, 1030, dtype="float32")
    settings = UniformQuantParams(8, axis, scale, np.zeros(1030, "int64"))
    with large_kernels():
        found = module.uniform_quantize(kernel, settings)
    along = scale.reshape([-1 if i == axis else 1 for i in range(4)])
    assert found.dtype == np.int8
    assert np.abs(found - np.clip(kernel / along, -127, 127)).max() <= 0.5001
    assert module.uniform_quantize.__name__ == "uniform_quantize"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_for_one_length(network, tmp_path, precision):
    path = tmp_path / "fixed.tflite"
    found = measured(network, path, precision, clips(), clip_seconds=0.5)
    assert found["lengths"] == [16000]
    model = interpreter.Interpreter(str(path))
    (taken,) = model.get_input_details()
    assert list(taken["shape_signature"]) == [1, 16000]
    assert open_exported(path)[1]["clip_samples"] == 16000


def test_exports_float32_from_mixed_precision(tmp_path, policy):
    policy("mixed_bfloat16")
    found = measured(create_model("Tiny", 3), tmp_path / "n.tflite")
    assert found["largest"]["clipwise_output"] < 1e-5


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("n.tflite", "int4"), {}, "unknown precision 'int4'"),
        (("n.tflite", "int8"), {}, "int8 needs clips"),
        (("n.tflite", "int8", [(np.zeros(9, "float32"), 8000)]), {}, "received 8000 Hz"),
        (("n.onnx",), {}, "must end in .tflite"),
        (("n.tflite",), {"clip_seconds": 0}, "clip_seconds must be above 0"),
        (("taken.tflite",), {}, "is a folder"),
    ],
)
def test_mistakes_are_found_before_the_work(
    network, tmp_path, monkeypatch, arguments, settings, message
):
    monkeypatch.setattr("panns_tf.inference.export.litert_file.portable", None)
    (tmp_path / "taken.tflite").mkdir()
    name, *rest = arguments
    with pytest.raises(ValueError, match=message):
        export_litert(network, tmp_path / name, *rest, **settings)
    assert not list(tmp_path.glob("partial-*"))


@pytest.mark.parametrize("package", ["ai_edge_litert", "ai_edge_quantizer"])
def test_a_missing_package_is_named_before_the_work(package, network, tmp_path, monkeypatch):
    monkeypatch.setattr("panns_tf.inference.export.litert_file.portable", None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r"pip install -r requirements-export\.txt"):
        export_litert(network, tmp_path / "n.tflite", "float16")


def test_a_tasks_classifier_is_the_same(tmp_path, plain):
    network = trained("Tiny", hidden=(6, 4), activation="softmax")
    found = measured(network, tmp_path / "network.tflite")
    assert found["largest"]["clipwise_output"] < 1e-5
    assert_any_clip_is_the_same(network, tmp_path / "network.tflite")
