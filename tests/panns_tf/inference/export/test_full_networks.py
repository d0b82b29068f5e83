"""Networks of full size in every runtime, at three lengths; the tests beside use thin ones."""

import pytest

from panns_tf import create_model, load_torch_state
from panns_tf.inference.export import check_export, export_litert, export_onnx, export_saved_model
from tests.support import reference_state


@pytest.mark.slow
@pytest.mark.parametrize("full", ["MobileNetV1", "Cnn14_DecisionLevelMax"])
@pytest.mark.parametrize("runtime", ["savedmodel", "onnx", "litert"])
def test_every_runtime_says_what_keras_says(full, runtime, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    network = create_model(full)
    load_torch_state(network, reference_state(full, 0))
    rate = network.row.frontend.sample_rate
    export, name = {
        "savedmodel": (export_saved_model, "saved_model"),
        "onnx": (export_onnx, "x.onnx"),
        "litert": (export_litert, "x.tflite"),
    }[runtime]
    path = export(network, tmp_path / name)
    lengths = [round(seconds * rate) for seconds in (2, 3.22, 10)]
    found = check_export(path, network, lengths=lengths)
    assert found["lengths"] == lengths
    assert found["largest"]["clipwise_output"] <= 1e-5
    if "DecisionLevel" in full:
        assert found["largest"]["framewise_output"] <= 1e-5
