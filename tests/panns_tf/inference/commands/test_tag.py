import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from panns_tf.__main__ import main
from tests.hostile import hostile_inputs
from tests.panns_tf.inference.support import kept, noise

COMMAND = """
import sys
from tests.support import register_tiny
register_tiny()
from panns_tf.__main__ import main
from panns_tf.commands import run
run(lambda: main(sys.argv[1:]))
"""


def test_prints_tags(model, sounds, scores, capsys):
    assert main(["tag", str(sounds / "0.wav"), "--model", str(model), "--top", "2"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"{sounds / '0.wav'} (1.00 s)"
    order = np.argsort(-scores(0))[:2]
    assert lines == [f"  {scores(0)[i]:.3f}  class {i}" for i in order]


def test_a_folder_with_a_damaged_file(model, sounds, scores, capsys):
    assert main(["tag", str(sounds), "--model", str(model), "--json"]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    names = ["0.wav", "1.wav", "2.wav", "3.wav", "broken.wav", "more/4.wav", "more/5.wav"]
    assert [row["file"] for row in rows] == [str(sounds / name) for name in names]
    assert "not audio" in rows[4]["error"]
    assert "broken.wav: not audio" in captured.err
    assert "1 could not be read" in captured.err
    for row, number in zip(rows[:4], range(4), strict=True):
        assert row["tags"][0]["score"] == pytest.approx(scores(number).max(), abs=1e-5)


def test_tables(model, sounds, capsys, tmp_path):
    arguments = ["tag", str(sounds / "more"), "--model", str(model), "--top", "1"]
    assert main([*arguments, "--csv"]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["file"] for row in rows] == [str(sounds / "more" / f"{n}.wav") for n in (4, 5)]
    assert list(rows[0]) == ["file", "seconds", "label", "score"]
    for ending in ("csv", "json", "jsonl"):
        output = tmp_path / f"tags.{ending}"
        assert main([*arguments, "--output", str(output)]) == 0
        assert not list(tmp_path.glob("*partial*"))
    assert (tmp_path / "tags.csv").read_text() == printed
    objects = json.loads((tmp_path / "tags.json").read_text())
    lines = (tmp_path / "tags.jsonl").read_text().splitlines()
    assert objects == [json.loads(line) for line in lines]
    assert [row["tags"][0]["label"] for row in objects] == [row["label"] for row in rows]


def test_windows(model, sounds, capsys):
    arguments = ["tag", str(sounds / "2.wav"), "--model", str(model), "--top", "1"]
    assert main([*arguments, "--window", "0.5", "--hop", "0.25", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["start"] for row in rows] == ["0.0", "0.25", "0.5", "0.75"]
    assert {row["seconds"] for row in rows} == {"0.5"}
    assert main([*arguments, "--window", "0.5", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert [part["start"] for part in row["windows"]] == [0.0, 0.5, 0.75]
    assert main([*arguments, "--window", "0.5"]) == 0
    assert "  0.50 s to 1.00 s" in capsys.readouterr().out


def test_standard_input(model, sounds, scores, capsys, monkeypatch):
    with (sounds / "1.wav").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert main(["tag", "-", "--model", str(model), "--json", "--top", "1"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["tags"][0]["score"] == pytest.approx(scores(1).max(), abs=1e-5)


def test_an_interrupted_command_goes_on(model, sounds, tmp_path, monkeypatch, capsys):
    output = tmp_path / "tags.jsonl"
    arguments = ["tag", str(sounds), "--model", str(model), "--output", str(output)]
    from panns_tf.inference import tagging

    hear_each, heard = tagging.hear_each, []

    def dies(hearer, sources, **settings):
        for number, one in enumerate(hear_each(hearer, sources, **settings)):
            if number == 3:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(tagging, "hear_each", dies)
    with pytest.raises(KeyboardInterrupt, match="the same command"):
        main(arguments)
    assert not output.exists()
    with pytest.raises(ValueError, match="unfinished command with another top"):
        main([*arguments, "--top", "1"])

    def counts(hearer, sources, **settings):
        for one in hear_each(hearer, sources, **settings):
            heard.append(one.name)
            yield one

    monkeypatch.setattr(tagging, "hear_each", counts)
    assert main(arguments) == 1  # a file is broken
    assert len(heard) == 4
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len({row["file"] for row in rows}) == 7
    monkeypatch.setattr(tagging, "hear_each", hear_each)
    assert main([*arguments[:-1], str(tmp_path / "whole.jsonl")]) == 1
    assert output.read_text() == (tmp_path / "whole.jsonl").read_text()
    capsys.readouterr()


def killed_after(rows: int, arguments, monkeypatch):
    """Runs a command that ends without a word after so many results."""
    from panns_tf.inference.commands.spool import Spool

    add, count = Spool.add, []

    def dies(spool, *given):
        if len(count) == rows:
            spool.close()
            raise SystemExit
        count.append(1)
        add(spool, *given)

    with monkeypatch.context() as context:
        context.setattr(Spool, "add", dies)
        with pytest.raises(SystemExit):
            main(arguments)


@pytest.fixture
def few(tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", noise(8000 + number, number), 8000)
    (folder / "1b.wav").write_bytes(b"no sound at all")
    return folder


def test_what_changed_since_the_kill_is_heard_anew(model, few, tmp_path, monkeypatch, capsys):
    output = tmp_path / "tags.csv"
    arguments = ["tag", str(few), "--model", str(model), "--output", str(output)]
    killed_after(4, arguments, monkeypatch)
    soundfile.write(few / "0.wav", noise(9000, 90), 8000)
    soundfile.write(few / "1b.wav", noise(9000, 91), 8000)
    soundfile.write(few / "00.wav", noise(9000, 92), 8000)
    (few / "1.wav").unlink()
    assert main(arguments) == 0
    assert main([*arguments[:-1], str(tmp_path / "whole.csv")]) == 0
    assert output.read_text() == (tmp_path / "whole.csv").read_text()
    capsys.readouterr()


def test_names_that_look_alike_are_two(model, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "alike"
    folder.mkdir()
    for number, name in enumerate(("a\nb.wav", "a\\nb.wav", 'q",c;.wav')):
        soundfile.write(folder / name, noise(8000 + number, number), 8000)
    output = tmp_path / "tags.csv"
    arguments = ["tag", str(folder), "--model", str(model), "--top", "1", "--output", str(output)]
    killed_after(1, arguments, monkeypatch)
    assert main(arguments) == 0
    with output.open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert sorted(names) == sorted(str(path) for path in folder.iterdir())
    capsys.readouterr()


def test_other_weights_since_the_kill_are_noticed(few, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    kept("Tiny").save(run / "final.keras")
    arguments = ["tag", str(few), "--model", str(run), "--output", str(tmp_path / "x.csv")]
    killed_after(1, arguments, monkeypatch)
    kept("Wavegram_Tiny").save(run / "final.keras")
    with pytest.raises(ValueError, match=r"with another model_final.keras"):
        main(arguments)


def test_a_full_disk_says_how_to_go_on(model, few, tmp_path, monkeypatch, capsys):
    from panns_tf.inference.commands.spool import Spool

    arguments = ["tag", str(few), "--model", str(model), "--output", str(tmp_path / "x.csv")]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(Spool, "add", full)
        with pytest.raises(ValueError, match=r"x.csv.partial: No space .* the same command goes"):
            main(arguments)
    capsys.readouterr()


def test_the_output_is_no_recording(model, few, tmp_path):
    recording = tmp_path / "eq.csv"
    (few / "0.wav").rename(recording)
    arguments = ["tag", str(recording), "--model", str(model), "--output", str(recording)]
    with pytest.raises(ValueError, match=r"eq.csv is one of the recordings; name another"):
        main([*arguments, "--force"])
    assert soundfile.info(recording).frames == 8000


def test_a_closed_standard_input_is_named(model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="standard input, which is closed"):
        main(["tag", "-", "--model", str(model)])


@pytest.mark.slow
def test_a_killed_command_goes_on(model, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1200):
        samples = noise(8000 + number % 3, number)
        soundfile.write(folder / f"{number:04d}.wav", samples, 8000)
    output = tmp_path / "tags.csv"
    arguments = ["tag", str(folder), "--model", str(model), "--output", str(output)]
    command = [sys.executable, "-c", COMMAND, *arguments]
    spool, kills = tmp_path / "tags.csv.partial" / "rows.jsonl", 0
    while not output.exists():
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        before = spool.stat().st_size if spool.exists() else 0
        wanted = before + 8000
        while process.poll() is None and kills < 3:
            time.sleep(0.02)
            if spool.exists() and spool.stat().st_size > wanted:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
        process.wait()
        assert output.exists() or kills
    assert kills >= 2
    with output.open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert names == sorted(names)
    assert len(set(names)) == 1200
    assert len(names) == 3600  # all three classes, each once


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.wav", "--output", "nowhere/x.csv"], "the folder nowhere does not exist"),
        (["x.wav", "--output", "x.txt"], "--output must end in .csv, .json, .jsonl"),
        (["x.wav", "--hop", "1"], "--hop 1 needs a --window"),
        (["x.wav", "--top", "0"], "--top must be a whole number"),
        (["x.wav", "--threshold", "7"], r"--threshold must lie in \[0, 1\]"),
        (["x.wav", "--batch-size", "0"], "--batch-size must be at least 1"),
        (["x.wav", "--window", "0"], "--window must be seconds, 0.01 to 3600"),
        (["x.wav", "--workers", "0"], "--workers must be 1 to 64"),
        (["", "x.wav"], "an empty path"),
        ([".", "--json"], "no audio files"),
    ],
)
def test_mistakes_are_named(model, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        main(["tag", *arguments, "--model", str(model)])


def test_outputs_are_looked_at_before_the_model(tmp_path):
    (tmp_path / "x.csv").write_text("")
    for output, said in (("x.csv", "exists; remove it, or add --force"), (".", "must end in")):
        with pytest.raises(ValueError, match=said):
            main(["tag", "a.wav", "--model", "no.keras", "--output", str(tmp_path / output)])


@pytest.mark.parametrize("count", [300, 2000])
def test_hostile_files_end_nothing(model, count, tmp_path, capsys):
    paths = hostile_inputs(tmp_path / "hostile", count, seed=count)
    arguments = ["tag", *map(str, paths), "--model", str(model), "--top", "1", "--json"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    # A folder stands for its files; all others have a line each.
    files = {row["file"] for row in rows}
    assert len(files) >= 0.9 * count
    assert sum("error" in row for row in rows) > count / 6
    assert sum("tags" in row for row in rows) > count / 6
    for row in rows:
        assert len(row.get("error", "").splitlines()) <= 1
        for tag in row.get("tags", ()):
            assert 0 <= tag["score"] <= 1
    assert "Traceback" not in captured.err
