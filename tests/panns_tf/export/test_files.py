"""Networks as ONNX and LiteRT files."""

import functools
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from panns_tf.export import litert as litert_module
from panns_tf.export import onnx as onnx_module
from panns_tf.export.check import describe, open_exported
from panns_tf.export.files import export_file
from panns_tf.export.litert import large_kernels
from panns_tf.export.onnx import front_nodes, with_constants
from panns_tf.weights.loading import create_model
from tests.panns_tf.export.support import assert_any_clip_is_the_same, clips, sound, trained

onnx = pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("tf2onnx", reason="needs the extra export")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra export")
pytest.importorskip("ai_edge_quantizer", reason="needs the extra export")

endings = pytest.mark.parametrize("ending", ["onnx", "tflite"])


@pytest.mark.parametrize(
    ("ending", "which"),
    [("onnx", "Thin_Wavegram_Cnn14"), ("tflite", "Thin_Cnn14_DecisionLevelAtt")],
)
def test_a_network_is_the_same(ending, which, tmp_path, plain):
    """tests/contract has the others."""
    network = trained(which)
    found = export_file(network, tmp_path / f"network.{ending}")
    assert found["precision"] == "float32"
    assert len(found["lengths"]) == 3
    assert_any_clip_is_the_same(network, tmp_path / f"network.{ending}")


@pytest.fixture(scope="module")
def network():
    return trained("Wavegram_Tiny", spec_augment=False)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """A function from the name of a file, such as int8.onnx, to its path and what was measured."""
    folder = tmp_path_factory.mktemp("files")

    @functools.cache
    def made(file: str) -> tuple[Path, dict]:
        path = folder / file
        return path, export_file(network, path, path.stem, clips())

    return made


FILES = [
    *("float16.onnx", "int8.onnx", "dynamic_int8.tflite"),
    *(
        pytest.param(file, marks=pytest.mark.full)
        for file in ("dynamic_int8.onnx", "float16.tflite", "int8.tflite")
    ),
]


@pytest.mark.parametrize("file", FILES)
def test_lower_precisions_lose_a_little(file, network, exported):
    path, found = exported(file)
    least, most = (1e-6, 2e-3) if path.stem == "float16" else (1e-4, 0.05)
    assert found["precision"] == path.stem
    assert least < found["largest"]["clipwise_output"] < most
    assert found["clips"] == 4
    expected = {**describe(network), "precision": path.stem}
    if path.suffix == ".tflite":
        with zipfile.ZipFile(path) as archive:
            assert archive.read("labels.txt").decode() == "class 0\nclass 1\nclass 2\n"
            assert json.loads(archive.read("panns_tf.json")) == expected
        return
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (properties,) = model.metadata_props
    assert properties.key == "panns_tf"
    assert json.loads(properties.value) == expected


@pytest.mark.parametrize("file", FILES)
def test_weights_are_small_and_the_front_end_is_not(file, exported):
    """The front end's constants: Fourier and mel filters, the first kernel on the waveform."""
    path, _ = exported(file)
    if path.suffix == ".onnx":
        front = {(892, 64, 1, 16), (892, 64), (64, 1, 1, 11)}
        large = {(128, 128, 1, 3)}
        tensors = [
            (tuple(x.dims), onnx.TensorProto.DataType.Name(x.data_type).lower())
            for x in onnx.load(path).graph.initializer
        ]
    else:
        front = {(892, 1, 16, 64), (64, 892), (64, 1, 11, 1)}
        large = {(128, 1, 3, 128)}
        tensors = [
            (tuple(x["shape"]), np.dtype(x["dtype"]).name)
            for x in interpreter.Interpreter(str(path)).get_tensor_details()
        ]
    assert {kind.removesuffix("32") for shape, kind in tensors if shape in front} == {"float"}
    kinds = {kind for shape, kind in tensors if shape in large}
    assert {"float16": "float16"}.get(path.stem, "int8") in kinds
    # LiteRT computes float16 in float32 here
    assert not {"float", "float32"} & kinds or file == "float16.tflite"


def test_sizes_are_exact_in_half_precision(exported, network, plain):
    """More frames than a half counts to."""
    waveform = sound(1, 320 * 5003)
    call, _ = open_exported(exported("float16.onnx")[0])
    difference = call(waveform)["clipwise_output"] - network(waveform)["clipwise_output"]
    assert np.abs(difference).max() < 2e-3


def test_axes_have_names(tmp_path, plain):
    export_file(trained("Thin_Cnn14_DecisionLevelMax"), tmp_path / "n.onnx")
    graph = onnx.load(tmp_path / "n.onnx").graph
    axes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert axes == {
        "waveform": ["batch", "samples"],
        "clipwise_output": ["batch", 3],
        "segmentwise_output": ["batch", "segments", 3],
        "framewise_output": ["batch", "frames", 3],
        "embedding": ["batch", 8],
    }


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
        make("Neg", ["k"], ["z"]),
    ]
    x, k = np.random.default_rng(0).normal(size=(2, 3, 3)).astype("float32")
    c = np.float32([[1, 2, 3]] * 3)
    model = a_graph(nodes, "xk", "yz", {"c": c})
    model = with_constants(model, {"k": k})
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["x"]
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Sub"]
    assert {constant.name for constant in model.graph.initializer} == {"s", "k", "z"}
    y, z = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(y, x @ (k.T + c) - k, atol=1e-6)
    np.testing.assert_array_equal(z, -k)


def test_nameless_nodes_belong_to_what_they_follow():
    make = onnx.helper.make_node
    nodes = [
        make("Neg", ["x"], ["a"], name="nameless"),
        make("Neg", ["a"], ["b"], name="M/log_mel_1/Neg"),
        make("Add", ["b", "c"], ["d"], name="after"),
        make("Neg", ["d"], ["e"], name="M/conv_1/Neg"),
        make("Neg", ["e"], ["f"], name="last"),
        make("Neg", ["f"], ["y"], name="M/fc_12/Neg"),
    ]
    model = a_graph(nodes, "x", "y", {"c": np.ones((3, 3), "float32")})
    assert front_nodes(model, {"log_mel"}) == ["nameless", "M/log_mel_1/Neg", "after"]


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


@pytest.mark.full
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_for_one_length(network, tmp_path, precision):
    path = tmp_path / "fixed.tflite"
    found = export_file(network, path, precision, clips(), clip_seconds=0.5)
    assert found["lengths"] == [16000]
    (taken,) = interpreter.Interpreter(str(path)).get_input_details()
    assert list(taken["shape_signature"]) == [1, 16000]
    assert open_exported(path)[1]["clip_samples"] == 16000


@endings
def test_mixed_precision_and_a_tasks_classifier(ending, tmp_path, policy):
    path = tmp_path / f"n.{ending}"
    policy("mixed_bfloat16")
    network = create_model("Tiny", 3, hidden=(6, 4), activation="softmax")
    policy("float32")
    assert export_file(network, path)["largest"]["clipwise_output"] < 1e-5
    plain = create_model("Tiny", 3, hidden=(6, 4), activation="softmax")
    plain.set_weights(network.get_weights())
    assert_any_clip_is_the_same(plain, path)


def no_work(monkeypatch):
    for module in (onnx_module, litert_module):
        monkeypatch.setattr(module, "portable", None)


@endings
def test_mistakes_are_found_before_the_work(ending, network, tmp_path, monkeypatch):
    no_work(monkeypatch)
    (tmp_path / f"taken.{ending}").mkdir()
    (tmp_path / "file").write_text("")
    good = f"n.{ending}"
    for name, *arguments, message in (
        (good, "int8", [np.zeros((1, 99), "float32")], r"float32 of shape \(1, 99\)"),
        (good, "int8", [np.zeros(99, "int16")], "received int16"),
        (good, "int8", [np.float32([np.nan])], "a finite float waveform"),
        ("n.h5", "must end in .onnx, .tflite"),
        (f"taken.{ending}", "is a folder"),
        (f"file/{good}", "the folder .* does not exist|cannot be written"),
    ):
        with pytest.raises(ValueError, match=message):
            export_file(network, tmp_path / name, *arguments)
    for seconds in (0, *([1] if ending == "onnx" else [])):
        with pytest.raises(ValueError, match=r"clip_seconds must be above 0, for \.tflite"):
            export_file(network, tmp_path / good, clip_seconds=seconds)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", f"taken.{ending}"]


@pytest.mark.parametrize(
    ("ending", "package"),
    [
        *(("onnx", package) for package in ("onnx", "onnxruntime", "tf2onnx")),
        *(("tflite", package) for package in ("ai_edge_litert", "ai_edge_quantizer")),
    ],
)
def test_a_missing_package_is_named_before_the_work(
    ending, package, network, tmp_path, monkeypatch
):
    no_work(monkeypatch)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r"needs? .*: pip install 'panns_tf\[export\]'"):
        export_file(network, tmp_path / f"n.{ending}", "float16")


def test_a_file_that_fails_the_check_replaces_none(network, tmp_path, monkeypatch):
    """The negative control: one weight that is off by a thousandth."""
    (tmp_path / "n.onnx").write_text("older")
    other = create_model("Wavegram_Tiny", 3, spec_augment=False)
    other.set_weights(network.get_weights())
    other.get_layer("fc1").kernel.assign(other.get_layer("fc1").kernel * 1.001)
    convert = onnx_module.portable
    monkeypatch.setattr(onnx_module, "portable", lambda network: convert(other))
    with pytest.raises(ValueError, match="from the network in"):
        export_file(network, tmp_path / "n.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["n.onnx"]
    assert (tmp_path / "n.onnx").read_text() == "older"
