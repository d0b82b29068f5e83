"""The commands, run in this process."""

import json
import shutil
import subprocess
import sys

import pytest

import tfrecords
from tfrecords.commands import COMMANDS, main


@pytest.fixture
def arguments(source, tmp_path):
    text = f"pack --metadata {source}/metadata.csv --audio {source}/audio --output {tmp_path}/out"
    return [*text.split(), "--sample-rate", "8000", "--clip-seconds", "0.25"]


def test_pack_info_verify(arguments, tmp_path, capfd):
    assert main([*arguments, "--clips-per-shard", "16", "--workers", "2"]) == 0
    assert "packed 60 clips" in capfd.readouterr().out
    assert main(["info", f"{tmp_path}/out"]) == 0
    out = capfd.readouterr().out
    assert "60 clips of 0.25 s at 8000 Hz" in out
    assert "4 classes of 3 to 20 clips, 1.05 labels a clip" in out
    assert "3         3  rare" in out
    assert main(["info", f"{tmp_path}/out", "--json"]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["classes"] == {"a": 20, "b": 20, "c": 20, "rare": 3}
    assert main(["verify", f"{tmp_path}/out"]) == 0
    assert f"ok: {tmp_path}/out: 60 clips in 4 shards" in capfd.readouterr().out
    (tmp_path / "out" / "train-00001-of-00004.tfrecord").unlink()
    assert main(["verify", f"{tmp_path}/out"]) == 1
    captured = capfd.readouterr()
    assert "train-00001-of-00004.tfrecord: the file is missing" in captured.out
    assert "1 problem" in captured.err


def test_merge_and_synthesize(packed, tmp_path, capfd):
    shutil.copytree(packed, tmp_path / "train")
    (tmp_path / "list").write_text("clip_000.wav\n")
    words = f"merge {tmp_path}/train --output {tmp_path}/view --exclude {tmp_path}/list".split()
    assert main(words) == 0
    assert "59 of 60 clips, as a view of metadata.csv" in capfd.readouterr().out
    with pytest.raises(ValueError, match="exists already"):
        main(words)
    text = f"synthesize --output {tmp_path}/out --clips 20 --clip-seconds 0.25 --seed 1"
    assert main([*text.split(), "--sample-rate", "8000"]) == 0
    out = capfd.readouterr().out
    assert "packed 20 clips" in out
    assert "not AudioSet" in out


def test_mistakes_are_errors(arguments, tmp_path):
    for words in (
        [*arguments, "--clip-seconds", "-1"],
        [*arguments, "--folds", "1"],
        [*arguments, "--audio", f"{tmp_path}/nowhere"],
        [*arguments, "--exclude", f"{tmp_path}/nowhere"],
        [*arguments, "--runner-options=--x"],
        ["info", f"{tmp_path}/nowhere"],
        ["verify", f"{tmp_path}/nowhere"],
        ["verify", f"{tmp_path}", "--workers", "0"],
        ["audioset", "--root", f"{tmp_path}/nowhere", "--output", f"{tmp_path}/out"],
        ["synthesize", "--output", f"{tmp_path}/out", "--classes", "13"],
    ):
        with pytest.raises((ValueError, OSError)):
            main(words)
    assert not (tmp_path / "out").exists()


def test_help_and_usage(capfd):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert "usage: python -m tfrecords" in capfd.readouterr().out
    for words in (["unpack"], ["pack", "--codec", "mp3"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2


def test_names_and_no_wait_for_tensorflow():
    for name in 2 * tfrecords.__all__:
        assert getattr(tfrecords, name).__name__ == name
    assert set(tfrecords.__all__) <= set(dir(tfrecords))
    with pytest.raises(AttributeError, match="'nothing'"):
        tfrecords.nothing  # noqa: B018
    code = (
        "import sys, tfrecords, tfrecords.commands as cli\n"
        "try: cli.main(['pack', '--help'])\n"
        "except SystemExit: sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0
