"""Networks as ONNX files."""

import json
import sys

import numpy as np
import pytest

from panns_tf.inference.export.onnx_constants import fill_in
from panns_tf.inference.export.onnx_file import export_onnx
from panns_tf.inference.export.onnx_half import halved
from panns_tf.inference.export.onnx_parts import nodes_by_part
from panns_tf.inference.export.runtimes import open_exported
from panns_tf.inference.export.saved_model import describe
from panns_tf.weights.loading import create_model
from tests.panns_tf.inference.export.support import assert_any_clip_is_the_same, clips
from tests.panns_tf.inference.support import sound, trained

onnx = pytest.importorskip("onnx", reason="needs requirements-export.txt")
pytest.importorskip("onnxruntime", reason="needs requirements-export.txt")
pytest.importorskip("tf2onnx", reason="needs requirements-export.txt")


def measured(network, path, *arguments) -> dict:
    found = []
    assert export_onnx(network, path, *arguments, report=found.append) == path
    return found[0]


def test_every_network_is_the_same_in_onnx_runtime(thin_graph, tmp_path, plain):
    network = trained(thin_graph)
    found = measured(network, tmp_path / "network.onnx")
    assert found["precision"] == "float32"
    assert len(found["lengths"]) == 3
    assert found["largest"]["clipwise_output"] < 1e-5
    assert_any_clip_is_the_same(network, tmp_path / "network.onnx")


@pytest.fixture(scope="module")
def network():
    return trained("Wavegram_Tiny", spec_augment=False)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """A folder with a file of each precision, and what was measured of each."""
    folder = tmp_path_factory.mktemp("onnx")
    precisions = ("float32", "float16", "dynamic_int8", "int8")
    return folder, {
        name: measured(network, folder / f"{name}.onnx", name, clips()) for name in precisions
    }


def test_the_file_says_what_it_is(network, exported):
    model = onnx.load(exported[0] / "float16.onnx")
    onnx.checker.check_model(model, full_check=True)
    (properties,) = model.metadata_props
    assert properties.key == "panns_tf"
    assert json.loads(properties.value) == {**describe(network), "precision": "float16"}
    assert {path.name.split(".")[0] for path in exported[0].iterdir()} == set(exported[1])


def axes(value) -> list:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_axes_have_names(tmp_path, plain):
    network = trained("Thin_Cnn14_DecisionLevelMax")
    export_onnx(network, tmp_path / "n.onnx")
    graph = onnx.load(tmp_path / "n.onnx").graph
    assert {value.name: axes(value) for value in (*graph.input, *graph.output)} == {
        "waveform": ["batch", "samples"],
        "clipwise_output": ["batch", 3],
        "segmentwise_output": ["batch", "segments", 3],
        "framewise_output": ["batch", "frames", 3],
        "embedding": ["batch", 8],
    }


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("float16", 1e-6, 2e-3), ("dynamic_int8", 1e-4, 0.05), ("int8", 1e-4, 0.05)],
)
def test_lower_precisions_lose_a_little(exported, precision, least, most):
    found = exported[1][precision]
    assert found["precision"] == precision
    assert least < found["largest"]["clipwise_output"] < most
    assert found["clips"] == 4
    assert found["agreement"] == 1


def kinds(folder, precision: str) -> dict[str, set]:
    """By element type, the names of the constants with more than 64 values, front end apart."""
    found: dict[str, set] = {}
    for constant in onnx.load(folder / f"{precision}.onnx").graph.initializer:
        if np.prod(constant.dims) > 64:
            kind = onnx.TensorProto.DataType.Name(constant.data_type)
            found.setdefault(kind, set()).add(constant.name)
    return found


@pytest.mark.parametrize(
    ("precision", "kind"), [("float16", "FLOAT16"), ("dynamic_int8", "INT8"), ("int8", "INT8")]
)
def test_weights_are_small_and_the_front_end_is_not(exported, precision, kind):
    found = kinds(exported[0], precision)
    assert len(found[kind]) > 15
    front = [name for name in found["FLOAT"] if "log_mel" in name or "pre_conv0" in name]
    assert len(front) == 3  # the Fourier and mel filters, the first kernel on the waveform
    assert not [name for name in found[kind] if "log_mel" in name or "pre_conv0" in name]


def test_sizes_are_exact_in_half_precision(tmp_path, plain):
    """More frames than a half counts to."""
    network = trained("Wavegram_Tiny")
    export_onnx(network, tmp_path / "n.onnx", "float16")
    x = sound(1, 320 * 5003)
    call, _ = open_exported(tmp_path / "n.onnx")
    difference = np.abs(call(x)["clipwise_output"] - network(x)["clipwise_output"]).max()
    assert difference < 2e-3


def test_halved_keeps_what_is_between_two_exact_nodes():
    make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    large = onnx.numpy_helper.from_array(np.float32([1e6]), "large")
    nodes = [
        make("Mul", ["x", "large"], ["a"], name="first"),
        make("Div", ["a", "large"], ["b"], name="second"),
        make("Neg", ["b"], ["y"], name="third"),
    ]
    values = [info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], [large])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])

    def run(exact) -> np.ndarray:
        from onnx.reference import ReferenceEvaluator

        converted = halved(model, exact)
        onnx.checker.check_model(converted, full_check=True)
        x = np.float32([1.0, 1 + 2**-13])
        return ReferenceEvaluator(converted).run(None, {"x": x})[0]

    np.testing.assert_array_equal(run({"first", "second", "third"}), [-1, -1 - 2**-13])
    np.testing.assert_array_equal(run({"first", "second"}), [-1, -1])
    assert np.abs(run({"second"}) + 1).min() > 0.5  # a million does not fit


def a_graph(nodes: list, inputs: str, outputs: str, constants: dict):
    """A model of single-letter tensors, each of three rows and as many columns."""
    info = onnx.helper.make_tensor_value_info
    values = {name: info(name, onnx.TensorProto.FLOAT, [3, 3]) for name in inputs + outputs}
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [values[name] for name in inputs],
        [values[name] for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])


def test_constants_are_filled_in_and_worked_out():
    from onnx.reference import ReferenceEvaluator

    make = onnx.helper.make_node
    nodes = [
        make("Transpose", ["k"], ["t"], perm=[1, 0]),
        make("Add", ["t", "c"], ["s"]),
        make("MatMul", ["x", "s"], ["m"]),
        make("Sub", ["m", "k"], ["y"]),
        make("Neg", ["k"], ["z"]),  # an output must have a node
    ]
    x, k = np.random.default_rng(0).normal(size=(2, 3, 3)).astype("float32")
    c = np.float32([[1, 2, 3]] * 3)
    model = a_graph(nodes, "xk", "yz", {"c": c})
    fill_in(model, {"k": k})
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["x"]
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Sub", "Neg"]
    assert {constant.name for constant in model.graph.initializer} == {"s", "k"}
    y, z = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(y, x @ (k.T + c) - k, atol=1e-6)
    np.testing.assert_array_equal(z, -k)


def test_sizes_belong_to_the_front_whatever_layer_counts():
    make = onnx.helper.make_node
    nodes = [
        make("Neg", ["x"], ["a"], name="M/log_mel_1/Neg"),
        make("Neg", ["c"], ["d"], name="M/conv_1/Constant"),
        make("Add", ["a", "d"], ["b"], name="nameless"),
        make("Neg", ["b"], ["e"], name="M/conv_1/Neg"),
        make("Shape", ["e"], ["f"], name="M/conv_1/Shape"),
        make("Cast", ["f"], ["g"], name="M/conv_1/Cast", to=onnx.TensorProto.FLOAT),
        make("Neg", ["e"], ["h"], name="after"),
        make("Neg", ["h"], ["i"], name="M/fc_12/Neg"),
        make("Neg", ["i"], ["y"], name="last"),
        make("Neg", ["x"], ["z"], name="M/fc_12/of the input"),
    ]
    model = a_graph(nodes, "x", "yz", {"c": np.ones((3, 3), "float32")})
    parts = nodes_by_part(model, {"log_mel", "conv", "fc"}, {"log_mel"}, {"fc"})
    assert parts.end == ["M/fc_12/Neg", "last"]
    every = {node.name for node in nodes}
    assert every - {*parts.front, *parts.end} == {"M/conv_1/Neg", "after"}


def test_exports_float32_from_mixed_precision(tmp_path, policy):
    policy("mixed_bfloat16")
    found = measured(create_model("Tiny", 3), tmp_path / "n.onnx")
    assert found["largest"]["clipwise_output"] < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("n.onnx", "float64"), "unknown precision 'float64'"),
        (("n.onnx", "int8"), "int8 needs clips"),
        (("n.onnx", "int8", [(np.zeros(100, "float32"), 8000)]), "rate of 32000 Hz; received 8000"),
        (("n.onnx", "int8", [np.zeros((1, 100), "float32")]), r"float32 of shape \(1, 100\)"),
        (("n.onnx", "int8", [np.zeros(100, "int16")]), "received int16"),
        (("n.onnx", "int8", [np.float32([np.nan])]), "not finite"),
        (("n.tflite",), "must end in .onnx"),
        (("taken.onnx",), "is a folder"),
        (("file/n.onnx",), "cannot be written"),
    ],
)
def test_mistakes_are_found_before_the_work(network, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("panns_tf.inference.export.onnx_file.portable", None)
    (tmp_path / "taken.onnx").mkdir()
    (tmp_path / "file").write_text("")
    name, *rest = arguments
    with pytest.raises(ValueError, match=message):
        export_onnx(network, tmp_path / name, *rest)
    assert not list(tmp_path.glob("partial-*"))


def test_a_file_that_fails_the_check_replaces_none(network, tmp_path, monkeypatch):
    (tmp_path / "n.onnx").write_text("older")
    other = trained("Wavegram_Tiny")
    other.get_layer("fc1").kernel.assign(other.get_layer("fc1").kernel * 1.001)
    from panns_tf.inference.export import onnx_file

    real = onnx_file._converted
    monkeypatch.setattr(onnx_file, "_converted", lambda network: real(other))
    with pytest.raises(ValueError, match="from the network in"):
        export_onnx(network, tmp_path / "n.onnx")
    assert (tmp_path / "n.onnx").read_text() == "older"
    assert not list(tmp_path.glob("partial-*"))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "tf2onnx"])
def test_a_missing_package_is_named_before_the_work(package, network, tmp_path, monkeypatch):
    monkeypatch.setattr("panns_tf.inference.export.onnx_file.portable", None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"export to ONNX needs {package}: pip install"):
        export_onnx(network, tmp_path / "n.onnx")


def test_a_tasks_classifier_is_the_same(tmp_path, plain):
    network = trained("Tiny", hidden=(6, 4), activation="softmax")
    found = measured(network, tmp_path / "network.onnx")
    assert found["largest"]["clipwise_output"] < 1e-5
    assert_any_clip_is_the_same(network, tmp_path / "network.onnx")
