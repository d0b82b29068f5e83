"""The command `export`."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from panns_tf.cli import main
from panns_tf.export import cli, files
from panns_tf.export.check import open_exported
from panns_tf.export.settings import format_of
from panns_tf.inference.model import load_network
from panns_tf.weights.loading import create_model


def export(*words) -> None:
    assert main(["export", *map(str, words)]) == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    network = create_model("Tiny", num_classes=3)
    network.labels = ["a", "b", "c"]
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    network.save(path)
    return path


def test_a_saved_model_is_written_and_reported(model, tmp_path, capsys):
    export("--model", model, "--output", tmp_path / "served/1", "--top-k", 2)
    served = tf.saved_model.load(tmp_path / "served/1").signatures
    assert served["tag"](waveform=tf.zeros((1, 100)))["labels"].shape == (1, 2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"Written: {tmp_path}/served/1 (")
    size = sum(file.stat().st_size for file in (tmp_path / "served/1").rglob("*.*"))
    assert float(first.split("(")[1].split()[0]) == pytest.approx(size / 1e6, abs=0.06)
    assert float(second.split("at most ")[1].split(",")[0]) <= 1e-5
    with pytest.raises(ValueError, match=r"served/1 exists; remove it, or add --force"):
        export("--model", model, "--output", tmp_path / "served/1")
    export("--model", model, "--output", tmp_path / "served/1", "--force")


def test_the_ending_says_the_format():
    for path, asked, kind in (
        ("a.onnx", None, "onnx"),
        ("a/1", None, "savedmodel"),
        ("net.v2", "savedmodel", "savedmodel"),
        ("a.tflite", "litert", "litert"),
    ):
        assert format_of(Path(path), asked) == kind


@pytest.fixture
def calls(monkeypatch) -> list[dict]:
    """Has an export to the two other formats only written down."""
    found = []

    def export(network, path, precision, calibration, clip_seconds=None):
        found.append((network.arch.name, path.name, precision, calibration, clip_seconds))
        path.write_bytes(bytes(250_000))
        measured = {"largest": {"clipwise_output": 2e-3}, "mean": {"clipwise_output": 1e-4}}
        about = {"runtime": "a runtime", "precision": precision, "agreement": 0.955}
        return {**about, **measured}

    monkeypatch.setattr(files, "export_file", export)
    return found


def test_other_formats_get_what_was_asked_for(model, tmp_path, calls, capsys):
    export("--model", model, "--output", tmp_path / "a.onnx")
    words = ("--precision", "dynamic_int8", "--clip-seconds", 2.5)
    export("--model", model, "--output", tmp_path / "a.tflite", *words)
    assert calls == [
        ("Tiny", "a.onnx", "float32", [], None),
        ("Tiny", "a.tflite", "dynamic_int8", [], 2.5),
    ]
    assert capsys.readouterr().out.splitlines()[-4:] == [
        f"Written: {tmp_path}/a.tflite (0.2 MB)",
        "in a runtime, dynamic_int8, differs from the network by",
        "  clipwise_output: at most 2.0e-03, 1.0e-04 in the mean",
        "the first class is the same in 96% of the clips tried",
    ]


@pytest.mark.parametrize(("ending", "needs"), [("onnx", "tf2onnx"), ("tflite", "ai_edge_litert")])
def test_the_other_formats_for_real(model, tmp_path, capsys, ending, needs):
    pytest.importorskip(needs, reason=f"{needs} is not installed")
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 12345)).astype("float32")
    soundfile.write(tmp_path / "x.wav", waveform[0], 8000)
    output = tmp_path / f"m.{ending}"
    export("--model", model, "--output", output, "--calibration", tmp_path / "x.wav")
    call, described = open_exported(output)
    assert described["labels"] == ["a", "b", "c"]
    expected = load_network(model)(waveform, training=False)["clipwise_output"]
    np.testing.assert_allclose(call(waveform)["clipwise_output"], expected, atol=1e-5)
    printed = capsys.readouterr().out
    assert printed.startswith(f"Written: {output} (")
    assert "float32, differs from the network by\n  clipwise_output: at most " in printed


def test_recordings_to_calibrate_on(model, tmp_path, calls, monkeypatch):
    monkeypatch.setattr(cli, "MOST_CALIBRATION_FILES", 3)
    (tmp_path / "recordings").mkdir()
    for number, seconds in enumerate((12, 1, 0.5, 2)):
        samples = np.full((int(16000 * seconds), 2), 0.1 * number, "float32")
        soundfile.write(tmp_path / f"recordings/{number}.wav", samples, 16000)
    words = ("--model", model, "--output", tmp_path / "a.onnx", "--precision", "int8")
    export(*words, "--calibration", tmp_path / "recordings")
    clips = calls[0][3]
    assert [(clip.shape, clip.dtype) for clip in clips] == [
        ((samples,), np.float32) for samples in (80000, 8000, 4000)
    ]
    assert [round(float(clip[2000]), 2) for clip in clips] == [0.0, 0.1, 0.2]
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("text.wav", "text.wav: not audio"),
        ("gone.wav", "gone.wav: no such file"),
        ("empty", r"no audio files in \S*empty"),
    ):
        with pytest.raises(ValueError, match=message):
            export(*words, "--force", "--calibration", tmp_path / path)


def test_options_that_make_no_sense(tmp_path):
    (tmp_path / "a.tflite").touch()
    (tmp_path / "folder").mkdir()
    for output, words, message in (
        ("out", ("--format", "onnx"), "out is not what --format onnx needs"),
        ("out", ("--format", "litert"), "files end in .onnx or .tflite, and"),
        (
            "out",
            ("--precision", "float16"),
            "--precision float16 is for onnx and litert;",
        ),
        ("out", ("--top-k", "0"), "top_k must be at least 1; received 0"),
        ("out", ("--clip-seconds", "2"), "--clip-seconds is for litert; .* is savedmodel"),
        ("out", ("--calibration", "x"), "--calibration is for onnx and litert; .* is savedmodel"),
        ("a.TFLITE", (), "a.TFLITE is not what"),
        ("a.onnx", ("--top-k", "3"), "--top-k is for savedmodel; .* is onnx"),
        ("a.onnx", ("--format", "savedmodel"), "--format savedmodel needs: .* a folder"),
        ("b.tflite", ("--clip-seconds", "nan"), "clip_seconds must be above 0"),
        ("a.onnx", ("--precision", "int8"), "--precision int8 needs --calibration"),
        ("a.tflite", (), "a.tflite exists; remove it, or add --force"),
        ("folder", ("--force",), "exists and is no SavedModel"),
        ("no/a.onnx", (), "the folder .*no does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            export("--model", "no-such-model", "--output", tmp_path / output, *words)
