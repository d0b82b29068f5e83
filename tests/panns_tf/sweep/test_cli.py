import json
import sys
from pathlib import Path

import pytest

from panns_tf.cli import main
from panns_tf.sweep import runner
from panns_tf.sweep.cli import parse_data, parse_seeds, parse_settings
from tests.panns_tf.sweep.support import FAKE
from tfrecords.files import lock

ROOT = Path(__file__).parents[3]
GRID = """
title = "Loudness"
[base]
arch = "tiny"
steps = 5
[[row]]
label = "gain 0"
gain = 0.0
published = { mAP = 0.2 }
[[row]]
label = "gain 1"
gain = 1.0
published = { mAP = 0.3 }
[[row]]
label = "other data"
data = "other"
"""


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(runner, "train_command", lambda: FAKE)


@pytest.fixture
def words(data, tmp_path):
    (tmp_path / "loud.toml").write_text(GRID)
    return [
        str(tmp_path / "loud.toml"),
        f"--data={data / 'train'}",
        f"--eval-data={data / 'eval'}",
        f"--output={tmp_path / 'out'}",
    ]


def run(*words: str) -> int:
    return main(["ablate", *words])


def test_from_the_grid_to_the_table_and_again(words, tmp_path, capsys):
    assert run(*words, "--seeds=2") == 0
    printed, logged = capsys.readouterr()
    assert "Left out for lack of data: give --data other=DIR for 'other data'" in logged
    assert "[4/4] gain 1, seed 1: mAP 0.3100" in logged
    table = (tmp_path / "out" / "table.md").read_text()
    assert printed == table
    assert "gain 0 to gain 1: published +0.100, here +0.100 ± 0.000: the same direction" in table
    assert run(f"--output={tmp_path / 'out'}", "--table") == 0
    assert capsys.readouterr().out == table
    # More seeds, another set: the runs that are there stay.
    assert run(*words, "--seeds=3", f"--data=other={words[1].removeprefix('--data=')}") == 0
    printed, logged = capsys.readouterr()
    assert "9 runs: 4 finished, 5 to do" in logged
    assert "| other data " in printed
    # Fewer seeds: nothing to do, and the table is of all.
    assert run(*words, "--seeds=1") == 0
    assert "Seeds: 0, 1, 2." in capsys.readouterr().out


def test_dry_run_prints_the_commands_and_writes_nothing(words, tmp_path, capsys):
    assert run(*words, "--dry-run", "--seeds=7,", "--set", "log-steps=2") == 0
    printed = capsys.readouterr().out
    assert "gain 1, seed 7: not started" in printed
    assert printed.count("--arch=Tiny") == 2
    assert printed.count("--log-steps=2") == 2
    assert not (tmp_path / "out").exists()


def test_failed_runs(words, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_FAIL", "gain-0")
    assert run(*words) == 1
    printed = capsys.readouterr().out
    assert "- gain 0, seed 0: failed at step 0 of 5: error: the disk is on" in printed


def test_changed_settings_are_named(words, tmp_path):
    assert run(*words) == 0
    before = (tmp_path / "out" / "grid.json").read_text()
    with pytest.raises(ValueError, match=r"seed-0 holds a run of other settings: steps was 5, now"):
        run(*words, "--set", "steps=6")
    grid = Path(words[0])
    grid.write_text(GRID.replace("gain = 1.0", "gain = 2.0"))
    with pytest.raises(ValueError, match=r"gain was 1\.0, now 2\.0"):
        run(*words)
    assert (tmp_path / "out" / "grid.json").read_text() == before
    other = grid.with_name("other.toml")
    other.write_text(GRID)
    with pytest.raises(ValueError, match="out holds the grid 'loud', not 'other'"):
        run(str(other), *words[1:])
    with pytest.raises(ValueError, match="holds the grid 'loud'"):
        run("table_v", words[3], "--table")
    grid.write_text(GRID)
    with (
        lock(tmp_path / "out" / "lock", ""),
        pytest.raises(ValueError, match="another ablation is at work in"),
    ):
        run(*words)


def test_mistakes_leave_nothing_behind(words, tmp_path, data):
    for more, message in (
        (["--set", "step=6"], "unknown key 'step'; did you mean steps"),
        (["--set", "gain=6"], "the rows differ in gain"),
        (["--set", "steps"], "--set takes NAME=VALUE"),
        (["--seeds", "x"], "--seeds must be"),
        (["--data", "nix=d"], r"--data nix=\.\.\.: the rows of loud name 'other'"),
        (["--data", "d"], "--data gives a set without a name twice"),
    ):
        with pytest.raises(ValueError, match=message):
            run(*words, *more)
    for arguments, message in (
        ([words[3]], r"which grid\? One of balancing_mixup, "),
        ([words[0], words[3]], "--data and --eval-data are needed"),
        ([words[3], "--table"], "no ablation in"),
        ([words[0], "--data=nowhere", *words[2:]], "nowhere"),
        (["table_v", *words[1:3], f"--data=x={data}", words[3]], "--data x=...: the rows of"),
        (["table_v", *words[1:]], "no row of table_v has its data; give --data balanced=DIR"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            run(*arguments)
    assert not (tmp_path / "out").exists()
    (tmp_path / "grid.json").write_text('{"grid": {}}')
    with pytest.raises(ValueError, match=r"grid\.json is damaged"):
        run(f"--output={tmp_path}", "--table")


def test_values_of_flags():
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("1234,7") == (1234, 7)
    assert parse_seeds("1234,") == (1234,)
    for text in ("", "-1", "1,1", "a,b", "0"):
        with pytest.raises(ValueError, match="--seeds"):
            parse_seeds(text)
    with pytest.raises(ValueError, match="--seeds must be a number of seeds from 1 to 100"):
        parse_seeds("1234")
    settings = parse_settings(["steps=200", "learning-rate=1e-3", "dropout=false", "mixup=none"])
    assert settings == {"steps": 200, "learning_rate": 1e-3, "dropout": False, "mixup": "none"}
    with pytest.raises(ValueError, match="each name once"):
        parse_settings(["steps=1", "steps=2"])
    assert parse_data(["full=/a/b", "/c=d"]) == {"full": "/a/b", None: "/c=d"}
    assert parse_data(["gs://bucket/a"]) == {None: "gs://bucket/a"}


@pytest.mark.full
def test_trainings_and_a_table_of_them(data, tmp_path, capsys, monkeypatch):
    """Four of the paper's settings on the tiny network, each trained and evaluated."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "tests.tiny_train"]
    monkeypatch.setattr(runner, "train_command", lambda: command)
    words = ["table_vi", f"--data={data / 'train'}", f"--eval-data={data / 'eval'}"]
    words += [f"--output={tmp_path / 'out'}", "--set", "arch=tiny", "--set", "steps=4"]
    words += ["--set", "batch_size=4"]
    assert run(*words) == 0
    printed = capsys.readouterr().out
    config = json.loads((tmp_path / "out/hop-1000-31.25-ms/seed-0/config.json").read_text())
    assert config["config"]["hop_size"] == 1000
    results = {}
    for slug in ("hop-320-10.00-ms", "hop-1000-31.25-ms"):
        values = json.loads((tmp_path / f"out/{slug}/seed-0/evaluation/metrics.json").read_text())
        results[slug] = f"{values['mAP']:.3f} (one seed)"
    assert len(set(results.values())) == 2
    for text in results.values():
        assert text in printed
    assert run(*words) == 0
    assert "4 runs: 4 finished, 0 to do" in capsys.readouterr().err
