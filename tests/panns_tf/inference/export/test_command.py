import argparse
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from panns_tf.inference.export import command
from panns_tf.inference.loading import load_network
from panns_tf.weights.loading import create_model


def parse(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["export", *map(str, words)])


def export(*words) -> None:
    options = parse(*words)
    options.run(options)


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


@pytest.mark.parametrize(
    ("path", "asked", "form"),
    [
        ("a.onnx", None, "onnx"),
        ("a/1", None, "savedmodel"),
        ("net.v2", "savedmodel", "savedmodel"),
        ("a.tflite", "litert", "litert"),
    ],
)
def test_the_ending_says_the_format(path, asked, form):
    assert command.format_of(Path(path), asked) == form


def fake_exports(monkeypatch) -> list[dict]:
    """Has the two other formats only write down how they were called."""
    calls = []

    def export(network, path, report, **settings):
        calls.append({"network": network.row.name, "path": path, **settings})
        path.write_bytes(bytes(250_000))
        differences = {"clipwise_output": 2e-3}
        report(
            {
                "runtime": "a runtime",
                "precision": settings["precision"],
                "largest": differences,
                "mean": {"clipwise_output": 1e-4},
                "agreement": 0.955,
            }
        )

    for name, function in (("onnx_file", "export_onnx"), ("litert_file", "export_litert")):
        module = types.ModuleType(name)
        setattr(module, function, export)
        monkeypatch.setitem(sys.modules, f"panns_tf.inference.export.{name}", module)
    return calls


def test_other_formats_get_what_was_asked_for(model, tmp_path, monkeypatch, capsys):
    calls = fake_exports(monkeypatch)
    export("--model", model, "--output", tmp_path / "a.onnx")
    words = ("--precision", "dynamic_int8", "--clip-seconds", 2.5)
    export("--model", model, "--output", tmp_path / "a.tflite", *words)
    plain = {"network": "Tiny", "calibration": None}
    assert calls == [
        {**plain, "path": tmp_path / "a.onnx", "precision": "float32"},
        {
            **plain,
            "path": tmp_path / "a.tflite",
            "precision": "dynamic_int8",
            "clip_seconds": 2.5,
        },
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
    from panns_tf.inference.export.runtimes import open_exported

    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 12345)).astype("float32")
    soundfile.write(tmp_path / "x.wav", sound[0], 8000)
    output = tmp_path / f"m.{ending}"
    export("--model", model, "--output", output, "--calibration", tmp_path / "x.wav")
    call, described = open_exported(output)
    assert described["labels"] == ["a", "b", "c"]
    network = load_network(model)
    expected = network(sound, training=False)["clipwise_output"]
    np.testing.assert_allclose(call(sound)["clipwise_output"], expected, atol=1e-5)
    said = capsys.readouterr().out
    assert said.startswith(f"Written: {output} (")
    assert "float32, differs from the network by\n  clipwise_output: at most " in said


def test_recordings_to_calibrate_on(model, tmp_path, monkeypatch):
    calls = fake_exports(monkeypatch)
    monkeypatch.setattr(command, "MOST_CALIBRATION_FILES", 3)
    (tmp_path / "sounds").mkdir()
    for number, seconds in enumerate((12, 1, 0.5, 2)):
        sound = np.full((int(16000 * seconds), 2), 0.1 * number, "float32")
        soundfile.write(tmp_path / f"sounds/{number}.wav", sound, 16000)
    words = ("--precision", "int8", "--calibration", tmp_path / "sounds")
    export("--model", model, "--output", tmp_path / "a.onnx", *words)
    clips = calls[0]["calibration"]
    assert [(clip.shape, clip.dtype) for clip in clips] == [
        ((samples,), np.float32) for samples in (80000, 8000, 4000)
    ]
    assert [round(float(clip[2000]), 2) for clip in clips] == [0.0, 0.1, 0.2]


def test_a_recording_that_is_none_is_named(model, tmp_path, monkeypatch):
    fake_exports(monkeypatch)
    (tmp_path / "text.wav").write_text("not audio")
    words = ("--model", model, "--output", tmp_path / "a.onnx", "--precision", "int8")
    for path, said in (("text.wav", "text.wav: not audio"), ("gone.wav", "gone.wav: no such file")):
        with pytest.raises(ValueError, match=said):
            export(*words, "--calibration", tmp_path / path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no audio files in \S*empty"):
        export(*words, "--calibration", tmp_path / "empty")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "onnx"), "--format onnx needs the ending .onnx; received --output .*/out"),
        (("--format", "litert"), "needs the ending .tflite"),
        (("--precision", "float16"), "a SavedModel is float32; received --precision float16"),
        (("--top-k", "0"), "--top-k must be above 0; received 0"),
        (("--clip-seconds", "2"), "--clip-seconds is for litert; .* is savedmodel"),
        (("--calibration", "x.wav"), "--calibration is for onnx and litert; .* is savedmodel"),
    ],
)
def test_options_that_make_no_sense(tmp_path, words, said):
    with pytest.raises(ValueError, match=said):
        export("--model", "no-such-model", "--output", tmp_path / "out", *words)


@pytest.mark.parametrize(
    ("output", "words", "said"),
    [
        ("a.TFLITE", (), "write the ending as .tflite"),
        ("a.onnx", ("--top-k", "3"), "--top-k is for savedmodel; .* is onnx"),
        ("a.onnx", ("--format", "savedmodel"), "--format savedmodel needs a folder"),
        ("a.tflite", ("--clip-seconds", "-1"), "--clip-seconds must be above 0; received -1"),
        ("a.tflite", ("--clip-seconds", "nan"), "--clip-seconds must be above 0"),
        ("a.tflite", ("--precision", "int8"), "int8 needs --calibration"),
        ("file/m", (), "file is a file; give a folder"),
        ("file", (), "exists; remove it, or add --force"),
        ("file", ("--force",), "exists and is no SavedModel"),
        ("dangling", (), "exists; remove it"),
        ("folder.onnx", ("--force",), "is a folder; name a file"),
        ("/proc/x/m", (), "nothing can be written to /proc"),
        ("/proc/m.onnx", (), "nothing can be written to /proc"),
        ("absent/m.tflite", (), "the folder .*absent does not exist"),
    ],
)
def test_outputs_that_cannot_be(tmp_path, output, words, said):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=said):
        export("--model", "no-such-model", "--output", tmp_path / output, *words)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_force_replaces_a_saved_model(model, tmp_path):
    export("--model", model, "--output", tmp_path / "m")
    (tmp_path / "m/saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="exists; remove it, or add --force"):
        export("--model", model, "--output", tmp_path / "m")
    export("--model", model, "--output", tmp_path / "m", "--force")
    assert (tmp_path / "m/saved_model.pb").stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_model_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        export("--model", tmp_path / "absent.keras", "--output", tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_tensorflow():
    code = (
        "import sys; from panns_tf.inference.export import command;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
