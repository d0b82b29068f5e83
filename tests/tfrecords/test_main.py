"""The commands, run in this process; one as a real one."""

import json
import shutil
import subprocess
import sys

import pytest

from tfrecords.__main__ import main


@pytest.fixture
def arguments(source, tmp_path):
    text = f"pack --metadata {source}/metadata.csv --audio {source}/audio --output {tmp_path}/out"
    return [*text.split(), "--sample-rate", "8000", "--clip-seconds", "0.25"]


def test_pack_info_verify(arguments, tmp_path, capfd):
    assert main([*arguments, "--clips-per-shard", "16", "--workers", "2"]) == 0
    out = capfd.readouterr().out
    assert "packed 60 clips" in out
    assert main(["info", f"{tmp_path}/out"]) == 0
    out = capfd.readouterr().out
    assert "60 clips of 0.25 s at 8000 Hz" in out
    assert "4 classes, 1.05 labels a clip; clips per class: min 3, median 20, max 20" in out
    assert "3         3  rare" in out
    assert main(["info", f"{tmp_path}/out", "--json"]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["classes"] == {"a": 20, "b": 20, "c": 20, "rare": 3}
    assert main(["verify", f"{tmp_path}/out"]) == 0
    assert f"ok: {tmp_path}/out: 60 clips in 4 shards" in capfd.readouterr().out


def test_verify_fails_on_damage(packed, tmp_path, capfd):
    copy = shutil.copytree(packed, tmp_path / "copy")
    (copy / "train-00001-of-00004.tfrecord").unlink()
    assert main(["verify", str(copy)]) == 1
    captured = capfd.readouterr()
    assert "train-00001-of-00004.tfrecord: the file is missing" in captured.out
    assert "1 problem" in captured.err


def test_synthesize_says_what_it_is(tmp_path, capfd):
    text = f"synthesize --output {tmp_path}/out --clips 20 --clip-seconds 0.25 --seed 1"
    assert main([*text.split(), "--sample-rate", "8000"]) == 0
    out = capfd.readouterr().out
    assert "packed 20 clips" in out
    assert "not AudioSet" in out


def test_errors_are_one_line_and_status_2(arguments, tmp_path, capfd):
    wrong = (
        [*arguments, "--clip-seconds", "-1"],
        [*arguments, "--folds", "1"],
        [*arguments, "--audio", f"{tmp_path}/nowhere"],
        ["info", f"{tmp_path}/nowhere"],
        ["verify", f"{tmp_path}/nowhere"],
    )
    for words in wrong:
        assert main(words) == 2
        error = capfd.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["pack", "info", "verify", "synthesize"])
def test_help(command, capfd):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "usage: python -m tfrecords" in capfd.readouterr().out


@pytest.mark.parametrize("words", [[], ["unpack"], ["pack", "--codec", "mp3"]])
def test_usage_errors(words):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_as_a_process_stderr_holds_the_error_alone(tmp_path):
    command = [sys.executable, "-m", "tfrecords", "info", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys, tfrecords, tfrecords.__main__ as m; m.make_parser(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
