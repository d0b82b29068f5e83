"""The commands: in this process with the small networks, and a few real ones side by side."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from panns_tf import catalogue
from panns_tf.__main__ import main
from panns_tf.weights import cli as convert_module
from panns_tf.weights.loading import create_model
from panns_tf.weights.state_dict import to_torch_state
from panns_tf.weights.torch_writer import write_torch_state

ROOT = Path(__file__).parents[2]


def start(folder: Path, *words: str, options: tuple[str, ...] = ()) -> subprocess.Popen:
    """Starts a command as a user does: nothing hushes TensorFlow but the command itself."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "PANNS_TF_"))}
    environment |= {
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PANNS_TF_CACHE": str(folder),
        "PANNS_TF_MIRROR": "http://127.0.0.1:9",
        "no_proxy": "127.0.0.1",
    }
    return subprocess.Popen(
        [sys.executable, *options, "-m", "panns_tf", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "words", [("--help",), ("models", "--help"), ("convert", "--help"), ("plot", "--help")]
)
def test_help_does_not_wait_for_tensorflow(words, tmp_path):
    status, out, err = result(start(tmp_path, *words, options=("-X", "importtime")))
    assert status == 0
    assert out.startswith("usage: python -m panns_tf")
    imported = {line.split("|")[-1].strip() for line in err.splitlines()}
    assert "panns_tf.commands" in imported
    assert not {"tensorflow", "keras", "numpy", "h5py", "panns_tf.models"} & imported


def test_commands_as_a_user_runs_them(tmp_path):
    """Two at once, as they spend most of their time on starting TensorFlow."""
    network = create_model("LeeNet11")
    write_torch_state(tmp_path / "LeeNet11_mAP=0.266.pth", {"model": to_torch_state(network)})
    models = start(tmp_path, "models", "leenet11", "--json")
    convert = start(tmp_path, "convert", "leenet11", "--output", "out.keras")
    status, out, err = result(models)
    assert (status, err) == (0, "")
    assert [row["parameters"] for row in json.loads(out)] == [748_367]
    status, out, err = result(convert)
    assert (status, out) == (0, "out.keras: LeeNet11, 527 classes, 748,367 parameters\n")
    assert err == "LeeNet11_mAP=0.266.pth is unverified: no checksum of it is known\n"
    loaded = create_model("LeeNet11", weights=tmp_path / "out.keras")
    for ours, theirs in zip(loaded.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def printed(capsys, *words: str) -> str:
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_models_in_each_form(capsys):
    found = catalogue.entries("wavegram_t*")
    assert len(found) == 1
    assert printed(capsys, "models", "Wavegram_T*") == catalogue.as_text(found) + "\n"
    assert json.loads(printed(capsys, "models", "Wavegram_T*", "--json")) == found
    out = printed(capsys, "models", "--markdown", "Wavegram_T*")
    assert out == catalogue.as_markdown(found) + "\n"


def test_without_a_pattern_all_are_listed(capsys, monkeypatch):
    monkeypatch.setattr(catalogue, "list_models", lambda pattern: [{"*": "Tiny"}[pattern]])
    assert [row["name"] for row in json.loads(printed(capsys, "models", "--json"))] == ["Tiny"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["Cnn14"], ("Cnn14", None, None, False)),
        (["a.pth", "--arch", "cnn6", "--force"], ("a.pth", None, "cnn6", True)),
        (["a.keras", "--output", "b/c.pth"], ("a.keras", Path("b/c.pth"), None, False)),
    ],
)
def test_convert_hands_its_arguments_on(words, expected, capsys, monkeypatch):
    def convert(*arguments):
        assert arguments == expected
        return "what was written"

    monkeypatch.setattr(convert_module, "convert", convert)
    assert printed(capsys, "convert", *words) == "what was written\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models", "nix*"], "error: no network matches 'nix*'; there are VGGish, Cnn6, "),
        (["convert", "absent.pth"], "error: no such file: absent.pth\n"),
        (["convert", "Cnn15"], "error: unknown network 'Cnn15'; the nearest are: "),
    ],
    ids=["pattern", "file", "network"],
)
def test_mistakes_are_one_line_and_status_2(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["panns_tf", *words])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(f"{ROOT}/panns_tf/__main__.py", run_name="__main__")
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(said)
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train"],
        ["convert"],
        ["convert", "a.pth", "b.pth"],
        ["models", "--json", "--markdown"],
        ["models", "--yaml"],
    ],
    ids=" ".join,
)
def test_other_words_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: python -m panns_tf")
