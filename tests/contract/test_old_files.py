"""What version 0.1.0 wrote is read by this one, with the same numbers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import panns_tf
from tests import commands
from tests.contract.inputs import noise, outputs
from tests.support import FIXTURES, GRAPHS

OLD = FIXTURES / "v0_1_0"
WAVEFORM = np.stack([noise(20000, seed) for seed in (0, 1)])
NETWORKS = ("Tiny", "Tiny_settings", "Thin_Cnn14_DecisionLevelAtt")


def expected(name: str) -> dict[str, np.ndarray]:
    with np.load(OLD / "expected.npz") as file:
        return {key.split("/")[1]: file[key] for key in file.files if key.startswith(f"{name}/")}


def assert_close(found: dict, name: str, atol: float = 2e-6) -> None:
    values = expected(name)
    assert set(found) == set(values)
    for key, value in values.items():
        scale = max(1, np.abs(value).max())
        np.testing.assert_allclose(found[key], value, atol=atol * scale, rtol=0)


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_load(network):
    model = keras.models.load_model(OLD / f"{network}.keras")
    assert_close(outputs(model, WAVEFORM), network)
    assert model.labels == ["class 0", "class 1", "class 2"]
    if network == model.name:
        again = panns_tf.create_model(network, num_classes=3, weights=OLD / f"{network}.keras")
        assert_close(outputs(again, WAVEFORM), network)


@pytest.mark.full
def test_importing_the_package_is_enough_to_load_a_network():
    code = "import sys, panns_tf, keras\nprint(keras.models.load_model(sys.argv[1]).labels)"
    command = [sys.executable, "-c", code, str(OLD / "Tiny_settings.keras")]
    done = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True)
    assert "unknown network 'Tiny'" in done.stderr  # the class is known, the row is the tests'


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_tag(network):
    tagger = panns_tf.AudioTagger(OLD / f"{network}.keras")
    assert list(tagger.labels) == ["class 0", "class 1", "class 2"]
    for waveform, scores, embedding in zip(
        WAVEFORM, *(expected(network)[key] for key in ("clipwise_output", "embedding")), strict=True
    ):
        found = tagger.tag(waveform, tagger.sample_rate)
        np.testing.assert_allclose(found.scores, scores, atol=1e-5)
        assert found.tags[0].index == scores.argmax()
        vector = tagger.embed(waveform, tagger.sample_rate).vector
        np.testing.assert_allclose(vector, embedding, atol=1e-5 * max(1, np.abs(embedding).max()))


@pytest.mark.parametrize("row", GRAPHS, ids=lambda row: row.name)
def test_weights_lie_where_they_lay(row, tmp_path):
    """Files of weights are keyed by class and order of the layers, which must not change."""
    model = panns_tf.create_model(row.name, num_classes=3)
    for number, variable in enumerate(model.variables):
        variable.assign(np.full(variable.shape, number))
    model.save_weights(tmp_path / "x.weights.h5")
    found = {}

    def note(path, item):
        if isinstance(item, h5py.Dataset) and item.size:
            found[path] = model.variables[int(item[()].flat[0])].path

    with h5py.File(tmp_path / "x.weights.h5") as file:
        file.visititems(note)
    assert found == json.loads((OLD / "weight_layouts.json").read_text())[row.name]


@pytest.fixture
def run_dir(tmp_path) -> Path:
    """A finished run, whose config names ``packed`` beside it."""
    shutil.copytree(OLD / "packed", tmp_path / "packed")
    return Path(shutil.copytree(OLD / "run", tmp_path / "run"))


def test_a_run_is_used(run_dir):
    model = keras.models.load_model(run_dir / "final.keras")
    assert_close(outputs(model, WAVEFORM), "run")
    tagger = panns_tf.AudioTagger(run_dir)
    assert list(tagger.labels) == ["a", "b", "c", "d", "rare"]
    found = tagger.tag(WAVEFORM[0], 8000)
    np.testing.assert_allclose(found.scores, expected("run")["clipwise_output"][0], atol=1e-5)


def test_a_run_is_evaluated(run_dir, tmp_path):
    words = ["--model", run_dir, "--data", OLD / "packed", "--output", tmp_path / "out"]
    commands.evaluate(*words)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    last = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert found["num_clips"] == 60
    for key in ("mAP", "mAUC", "d_prime"):
        assert found[key] == pytest.approx(last[key], abs=1e-4)
    assert (tmp_path / "out" / "per_class.csv").read_text().count("\n") == 6


@pytest.mark.full
def test_a_run_goes_on_or_is_refused_in_one_line(run_dir):
    command = [sys.executable, "-m", "tests.tiny_train"]
    command += ["--run-dir", str(run_dir), "--resume", "--steps", "8"]
    done = subprocess.run(
        command,
        cwd=run_dir.parent,
        env={**os.environ, "PYTHONPATH": str(commands.ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 2), done.stderr
    if done.returncode == 0:
        lines = (run_dir / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == 8
    else:
        assert sum(line.startswith("error:") for line in done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr


def test_the_saved_model_runs_and_is_evaluated(tmp_path):
    served = tf.saved_model.load(OLD / "saved_model").signatures
    assert set(served) >= {"serving_default", "tag", "embed"}
    found = served["serving_default"](waveform=tf.constant(WAVEFORM))
    assert_close({name: value.numpy() for name, value in found.items()}, "Tiny", atol=1e-5)
    named = served["tag"](waveform=tf.constant(WAVEFORM))["labels"].numpy().astype(str)
    order = np.argsort(-expected("Tiny")["clipwise_output"], axis=1)
    assert named.tolist() == [[f"class {i}" for i in row] for row in order]


def test_the_onnx_file_runs():
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(OLD / "tiny.onnx")
    names = [output.name for output in session.get_outputs()]
    (given,) = session.get_inputs()
    found = dict(zip(names, session.run(None, {given.name: WAVEFORM}), strict=True))
    assert_close({name: found[name] for name in expected("Tiny")}, "Tiny", atol=1e-5)
    described = json.loads(session.get_modelmeta().custom_metadata_map["panns_tf"])
    assert described["labels"] == ["class 0", "class 1", "class 2"]


def test_the_litert_file_runs():
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(OLD / "tiny.tflite"))
    (key,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(key)
    found = runner(waveform=WAVEFORM)
    assert_close({name: found[name] for name in expected("Tiny")}, "Tiny", atol=1e-5)
