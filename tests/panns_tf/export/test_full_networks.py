"""Networks of full size in every runtime, at three lengths; the tests beside use thin ones."""

import pytest

from panns_tf import create_model, load_torch_state
from panns_tf.export.check import check_export
from panns_tf.export.files import export_file
from panns_tf.export.saved_model import export_saved_model
from tests.support import reference_state


@pytest.mark.full
@pytest.mark.parametrize("name_of_network", ["MobileNetV1", "Cnn14_DecisionLevelMax"])
def test_every_runtime_gives_what_keras_gives(name_of_network, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    network = create_model(name_of_network)
    load_torch_state(network, reference_state(name_of_network, 0))
    rate = network.arch.frontend.sample_rate
    lengths = [round(seconds * rate) for seconds in (2, 3.22, 10)]
    for export, file in (
        (export_saved_model, "saved_model"),
        (export_file, "x.onnx"),
        (export_file, "x.tflite"),
    ):
        export(network, tmp_path / file)
        found = check_export(tmp_path / file, network, lengths=lengths)
        assert found["lengths"] == lengths
