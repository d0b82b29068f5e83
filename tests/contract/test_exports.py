"""Exported files give the network's numbers, without the package, and are compared with it."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import panns_tf
from tests import commands
from tests.contract.inputs import look_trained, noise
from tests.support import GRAPHS

OTHER_PROCESS = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
for path in sys.argv[2:]:
    outputs = model.signatures["serving_default"](waveform=tf.constant(np.load(path)))
    np.savez(path + ".npz", **outputs)
assert not [name for name in sys.modules if name.startswith("panns_tf")], "imported"
"""
SHORT = ("Tiny", "Thin_Cnn14_DecisionLevelAtt")
NAMES = ("Tiny", "Wavegram_Tiny", *(row.name for row in GRAPHS))


def names():
    return [pytest.param(n, marks=() if n in SHORT else pytest.mark.full) for n in NAMES]


def saved(name: str, folder: Path) -> tuple[keras.Model, Path]:
    network = look_trained(panns_tf.create_model(name, num_classes=3))
    network.save(folder / "network.keras")
    return network, folder / "network.keras"


def clips():
    """The first is shorter than some networks' minimum."""
    shapes = ((1, 100), (3, 45678), (2, 32000))
    return [noise(batch * samples).reshape(batch, samples) for batch, samples in shapes]


def assert_equal(found: dict, expected: dict) -> None:
    assert set(found) == set(expected)
    for key, value in expected.items():
        scale = max(1, float(np.abs(value).max()))
        np.testing.assert_allclose(found[key], value, atol=1e-5 * scale)


def export(model: Path, output: Path, *more) -> None:
    assert commands.panns_tf("export", "--model", model, "--output", output, *more) == 0


@pytest.mark.parametrize("which", names())
def test_a_saved_model_gives_the_same_numbers(which, tmp_path):
    network, path = saved(which, tmp_path)
    export(path, tmp_path / "exported")
    served = tf.saved_model.load(tmp_path / "exported").signatures
    segments = {"detect"} if "framewise_output" in network.output_names else set()
    assert set(served) >= {"serving_default", "tag", "embed"} | segments
    for waveform in clips():
        expected = network(waveform, training=False)
        assert_equal(served["serving_default"](waveform=tf.constant(waveform)), expected)
        embedding = served["embed"](waveform=tf.constant(waveform))
        assert_equal(embedding, {"embedding": expected["embedding"]})
        tags = served["tag"](waveform=tf.constant(waveform))
        # The most probable first; equal ones in any order.
        numbers = np.char.replace(tags["labels"].numpy().astype(str), "class ", "").astype(int)
        assert (np.sort(numbers, axis=1) == np.arange(3)).all()
        named = np.take_along_axis(np.asarray(expected["clipwise_output"]), numbers, axis=1)
        np.testing.assert_allclose(tags["scores"], named, atol=1e-5)
        assert (np.diff(tags["scores"], axis=1) <= 0).all()
        if segments:
            frames = served["detect"](waveform=tf.constant(waveform))
            assert_equal(frames, {"framewise_output": expected["framewise_output"]})


@pytest.mark.full
def test_a_saved_model_runs_without_the_package(tmp_path):
    network, path = saved("Wavegram_Tiny", tmp_path)
    export(path, tmp_path / "exported")
    paths = []
    for number, waveform in enumerate(clips()):
        paths.append(str(tmp_path / f"{number}.npy"))
        np.save(paths[-1], waveform)
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "exported"), *paths]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    for number, waveform in enumerate(clips()):
        with np.load(tmp_path / f"{number}.npy.npz") as file:
            assert_equal(dict(file), network(waveform, training=False))


def by_onnx(path: Path, waveform: np.ndarray) -> dict[str, np.ndarray]:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"waveform": waveform}), strict=True))


def by_litert(path: Path, waveform: np.ndarray) -> dict[str, np.ndarray]:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    return litert.Interpreter(str(path)).get_signature_runner("serving_default")(waveform=waveform)


@pytest.mark.parametrize(("ending", "run"), [("onnx", by_onnx), ("tflite", by_litert)])
@pytest.mark.parametrize(
    "which", [pytest.param(n, marks=() if n == "Tiny" else pytest.mark.full) for n in NAMES]
)
def test_files_for_other_runtimes_give_the_same_numbers(which, ending, run, tmp_path, capsys):
    pytest.importorskip("tf2onnx", reason='needs pip install "panns_tf[export]"')
    pytest.importorskip("ai_edge_litert", reason='needs pip install "panns_tf[export]"')
    network, path = saved(which, tmp_path)
    export(path, tmp_path / f"network.{ending}")
    printed = capsys.readouterr().out
    assert "clipwise_output" in printed  # the loss is reported
    for waveform in clips():
        expected = network(waveform, training=False)
        assert_equal(run(tmp_path / f"network.{ending}", waveform), expected)


def test_an_export_that_is_of_no_use_is_not_kept(tmp_path):
    network, _ = saved("Tiny", tmp_path)
    bias = network.get_layer("fc_audioset").bias
    bias.assign(np.full(bias.shape, np.nan))
    network.save(tmp_path / "nan.keras")
    for name in ("exported", "network.onnx"):
        if name.endswith(".onnx"):
            pytest.importorskip("tf2onnx", reason='needs pip install "panns_tf[export]"')
        with pytest.raises(ValueError, match=r"nan|NaN|finite"):
            export(tmp_path / "nan.keras", tmp_path / name)
        assert not (tmp_path / name).exists()
