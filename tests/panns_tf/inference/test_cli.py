"""The commands tag, embed and detect."""

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from panns_tf import AudioTagger, EventSettings, SoundEventDetector
from panns_tf.cli import main
from panns_tf.inference.cli import file_beside, recordings_of
from panns_tf.inference.results import PartialResults
from tests.hostile import hostile_inputs
from tests.panns_tf.inference.support import kept, noise

NAMES = ["0.wav", "1.wav", "2.wav", "3.wav", "more/4.wav", "more/5.wav"]
COMMAND = """
import sys
from tests.support import register_tiny
register_tiny()
from panns_tf.cli import main, run
run(lambda: main(sys.argv[1:]))
"""


def table(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


def killed_after(rows: int, arguments, monkeypatch):
    """Runs a command that ends without a word after so many results."""
    add, count = PartialResults.add, []

    def dies(partial, *given):
        if len(count) == rows:
            raise SystemExit
        count.append(1)
        add(partial, *given)

    with monkeypatch.context() as context:
        context.setattr(PartialResults, "add", dies)
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


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "native.keras"
    kept("Thin_Cnn14_DecisionLevelMax").save(path)
    return path


def test_tags_are_printed(model, sounds, scores, capsys):
    assert main(["tag", str(sounds / "0.wav"), "--model", str(model), "--top", "2"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"{sounds / '0.wav'} (1.00 s)"
    order = np.argsort(-scores(0))[:2]
    assert lines == [f"  {scores(0)[i]:.3f}  class {i}" for i in order]


def test_a_folder_with_a_damaged_file(model, sounds, scores, capsys):
    assert main(["tag", str(sounds), "--model", str(model), "--json"]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    files = [str(sounds / name) for name in (*NAMES[:4], "broken.wav", *NAMES[4:])]
    assert [row["file"] for row in rows] == files
    assert "not audio" in rows[4]["error"]
    assert "broken.wav: not audio" in captured.err
    assert "1 could not be read" in captured.err
    for number in range(4):
        assert rows[number]["tags"][0]["score"] == pytest.approx(scores(number).max(), abs=1e-5)


def test_tables(model, sounds, capsys, tmp_path):
    arguments = ["tag", str(sounds / "more"), "--model", str(model), "--top", "1"]
    assert main([*arguments, "--csv"]) == 0
    printed = capsys.readouterr().out
    rows = table(printed)
    assert [row["file"] for row in rows] == [str(sounds / "more" / f"{n}.wav") for n in (4, 5)]
    assert list(rows[0]) == ["file", "seconds", "label", "score"]
    for suffix in ("csv", "json", "jsonl"):
        assert main([*arguments, "--output", str(tmp_path / f"tags.{suffix}")]) == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".json", ".jsonl"]
    assert (tmp_path / "tags.csv").read_text() == printed
    objects = json.loads((tmp_path / "tags.json").read_text())
    lines = (tmp_path / "tags.jsonl").read_text().splitlines()
    assert objects == [json.loads(line) for line in lines]
    assert [row["tags"][0]["label"] for row in objects] == [row["label"] for row in rows]


def test_windows(model, sounds, capsys):
    arguments = ["tag", str(sounds / "2.wav"), "--model", str(model), "--top", "1"]
    assert main([*arguments, "--window", "0.5", "--hop", "0.25", "--csv"]) == 0
    rows = table(capsys.readouterr().out)
    assert [row["start"] for row in rows] == ["0.0", "0.25", "0.5", "0.75"]
    assert {row["seconds"] for row in rows} == {"0.5"}
    assert main([*arguments, "--window", "0.5", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert [part["start"] for part in row["windows"]] == [0.0, 0.5, 0.75]
    assert main([*arguments, "--window", "0.5"]) == 0
    assert "  0.50 s to 1.00 s" in capsys.readouterr().out


def test_standard_input(model, sounds, scores, capsys, monkeypatch, tmp_path):
    with (sounds / "1.wav").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert main(["tag", "-", "--model", str(model), "--json", "--top", "1"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["tags"][0]["score"] == pytest.approx(scores(1).max(), abs=1e-5)
        (tmp_path / "x.wav").touch()
        assert list(recordings_of(["-", str(tmp_path)])) == [file, tmp_path / "x.wav"]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="standard input, which is closed"):
        main(["tag", "-", "--model", str(model)])


def test_what_is_new_or_gone_since_the_kill(model, few, tmp_path, monkeypatch):
    output, whole = tmp_path / "tags.csv", tmp_path / "whole.csv"
    arguments = ["tag", str(few), "--model", str(model), "--output", str(output)]
    killed_after(4, arguments, monkeypatch)
    assert not output.exists()
    soundfile.write(few / "1b.wav", noise(9000, 91), 8000)  # could not be read before
    soundfile.write(few / "00.wav", noise(9000, 92), 8000)
    (few / "1.wav").unlink()
    with pytest.raises(ValueError, match="unfinished command with other settings"):
        main([*arguments, "--top", "1"])
    assert main(arguments) == 0
    assert main([*arguments[:-1], str(whole)]) == 0
    assert output.read_text() == whole.read_text()


def test_names_that_look_alike_are_two(model, tmp_path, monkeypatch):
    folder = tmp_path / "alike"
    folder.mkdir()
    for number, name in enumerate(("a\nb.wav", "a\\nb.wav", 'q",c;.wav')):
        soundfile.write(folder / name, noise(8000 + number, number), 8000)
    output = tmp_path / "tags.csv"
    arguments = ["tag", str(folder), "--model", str(model), "--top", "1", "--output", str(output)]
    killed_after(1, arguments, monkeypatch)
    assert main(arguments) == 0
    names = [row["file"] for row in table(output.read_bytes().decode())]
    assert sorted(names) == sorted(str(path) for path in folder.iterdir())


def test_other_weights_and_a_full_disk_since_the_kill(few, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    kept("Tiny").save(run / "final.keras")
    arguments = ["tag", str(few), "--model", str(run), "--output", str(tmp_path / "x.csv")]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(PartialResults, "add", full)
        with pytest.raises(ValueError, match=r"No space .* the same command goes on from there"):
            main(arguments)
    with monkeypatch.context() as context:
        context.setattr(PartialResults, "add", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt, match="the same command"):
            main(arguments)
    kept("Wavegram_Tiny").save(run / "final.keras")
    with pytest.raises(ValueError, match=r"with other settings.*final.keras"):
        main(arguments)


@pytest.mark.full
def test_a_killed_command_goes_on(model, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1200):
        soundfile.write(folder / f"{number:04d}.wav", noise(8000 + number % 3, number), 8000)
    output = tmp_path / "tags.csv"
    arguments = ["tag", str(folder), "--model", str(model), "--output", str(output)]
    partial, kills = tmp_path / "tags.csv.partial.jsonl", 0
    while not output.exists():
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.DEVNULL
        )
        wanted = (partial.stat().st_size if partial.exists() else 0) + 8000
        while process.poll() is None and kills < 3:
            time.sleep(0.02)
            if partial.exists() and partial.stat().st_size > wanted:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
        process.wait()
        assert output.exists() or kills
    assert kills >= 2
    names = [row["file"] for row in table(output.read_text())]
    assert names == sorted(names)
    assert (len(set(names)), len(names)) == (1200, 3600)  # all three classes, each once


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["tag", "x.wav", "--output", "nowhere/x.csv"], "the folder nowhere does not exist"),
        (["tag", "x.wav", "--output", "x.txt"], "--output must end in .csv, .json, .jsonl"),
        (["tag", "x.wav", "--output", "there.csv"], "exists; remove it, or add --force"),
        (["tag", "x.wav", "--hop", "1"], "--hop 1 needs a --window"),
        (["tag", "x.wav", "--top", "0"], "top must be at least 1"),
        (["tag", "x.wav", "--threshold", "7"], r"threshold must be at least 0 and at most 1"),
        (["tag", "x.wav", "--batch-size", "0"], "batch_size must be at least 1"),
        (["tag", "x.wav", "--window", "0"], r"window must be at least 0.01 and at most 3600"),
        (["tag", "x.wav", "--workers", "0"], r"workers must be at least 1 and at most 64"),
        (["embed", "x.wav"], "embed needs --output FILE"),
        (["embed", "x.wav", "--output", "x.txt"], "--output must end in .npy, .npz, .parquet"),
        (["embed", "x.wav", "--output", "no/x.npz"], "the folder no does not exist"),
        (["embed", "x.wav", "--output", "there.npy"], r"there.csv exists; remove it"),
        (["detect", "x.wav", "--threshold", "0"], r"--threshold must be above 0 and at most 1"),
        (["detect", "x.wav", "--low", "0.9"], "--low must be at most the threshold"),
        (["detect", "x.wav", "--smooth", "-1"], "smooth must be at least 0"),
        (["detect", "x.wav", "--classes", " ; "], "--classes names no class"),
        (["detect", "x.wav", "--output", "x.txt"], "--output must end in"),
        (["detect", "x.wav", "--plot", "there.csv"], "--plot .*there.csv is a file; give a folder"),
        (["detect", "x.wav", "--audacity", "there.csv"], "--audacity .*is a file; give a folder"),
    ],
)
def test_mistakes_are_named_before_the_model_is_loaded(arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("mine")
    with pytest.raises(ValueError, match=text) as error:
        main([*arguments, "--model", "no.keras"])
    assert "\n" not in str(error.value)
    assert Path("there.csv").read_text() == "mine"


def test_mistakes_that_the_model_shows(model, sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_bytes((sounds / "0.wav").read_bytes())
    for arguments, text in (
        (["tag", "", "x.wav"], "an empty path"),
        (["tag", ".", "--json"], "no audio files"),
        (["tag", "x.csv", "--output", "x.csv", "--force"], "x.csv is one of the recordings"),
        (["detect", "x.wav", "--classes", "class 7"], "--classes.*class"),
        (["detect", "x.wav", "--window", "1", "--hop", "3"], "--hop 3 is longer"),
    ):
        with pytest.raises(ValueError, match=text):
            main([*arguments, "--model", str(model)])
    assert Path("x.csv").read_bytes() == (sounds / "0.wav").read_bytes()
    with pytest.raises(ValueError, match="an empty name of a model"):
        main(["tag", "x.csv", "--model", ""])


@pytest.mark.full
@pytest.mark.parametrize("count", [300, 2000])
def test_hostile_files_end_nothing(model, count, tmp_path, capsys):
    paths = hostile_inputs(tmp_path / "hostile", count, seed=count)
    arguments = ["tag", *map(str, paths), "--model", str(model), "--top", "1", "--json"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    # A folder stands for its files; all others have a line each.
    assert len({row["file"] for row in rows}) >= 0.9 * count
    assert sum("error" in row for row in rows) > count / 6
    assert sum("tags" in row for row in rows) > count / 6
    for row in rows:
        assert len(row.get("error", "").splitlines()) <= 1
        assert all(0 <= tag["score"] <= 1 for tag in row.get("tags", ()))
    assert "Traceback" not in captured.err


def read_vectors(path):
    """The vectors, files and starts of a result of ``embed``."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["embedding"], file["file"].tolist(), file["start"].tolist()
    if path.suffix == ".npy":
        rows = table(path.with_suffix(".csv").read_text())
        return np.load(path), [row["file"] for row in rows], [float(row["start"]) for row in rows]
    rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    return vectors, [row["file"] for row in rows], [row["start"] for row in rows]


@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet"])
def test_embeddings_in_every_format(model, sounds, suffix, tmp_path, monkeypatch, capsys):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"vectors.{suffix}"
    arguments = ["embed", str(sounds), "--model", str(model), "--output", str(output)]
    killed_after(2, arguments, monkeypatch)
    assert main(arguments) == 1
    vectors, files, starts = read_vectors(output)
    assert files == [str(sounds / name) for name in NAMES]
    assert starts == [0.0] * 6
    assert vectors.dtype == np.float32
    tagger = AudioTagger(kept("Tiny"))
    expected = np.stack([tagger.embed(sounds / name).vector for name in NAMES])
    np.testing.assert_allclose(vectors, expected, atol=1e-5 * np.abs(expected).max())
    assert "broken.wav: not audio" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {output.name, "vectors.csv"}
    arguments[1] = str(sounds / "broken.wav")
    assert main([*arguments, "--force"]) == 1
    assert read_vectors(output)[1] == []


def test_embeddings_of_windows(model, sounds, tmp_path, capsys):
    output = tmp_path / "vectors.npz"
    arguments = ["embed", str(sounds / "2.wav"), "--model", str(model), "--window", "0.5"]
    assert main([*arguments, "--output", str(output)]) == 0
    vectors, files, starts = read_vectors(output)
    assert vectors.shape == (3, 8)
    assert starts == [0.0, 0.5, 0.75]
    assert files == [str(sounds / "2.wav")] * 3
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(row["embedding"], vectors, atol=1e-5)
    assert row["starts"] == starts


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="Parquet needs pyarrow: pip install"):
        main(["embed", "x.wav", "--output", str(tmp_path / "x.parquet")])


def test_a_kill_between_the_two_files_of_an_npy_is_survived(model, sounds, tmp_path, monkeypatch):
    output = tmp_path / "x.npy"
    arguments = ["embed", str(sounds), "--model", str(model), "--output", str(output)]
    with monkeypatch.context() as context:
        context.setattr("numpy.save", lambda *_: sys.exit(1))
        with pytest.raises(SystemExit):
            main(arguments)
    assert output.with_suffix(".csv").exists()
    assert main(arguments) == 1  # a file is broken
    assert read_vectors(output)[1] == [str(sounds / name) for name in NAMES]


def test_events_are_printed(native, sounds, capsys):
    path = sounds / "1.wav"
    arguments = ["detect", str(path), "--model", str(native), "--threshold", "0.45"]
    detector = SoundEventDetector(kept("Thin_Cnn14_DecisionLevelMax"))
    detection = detector.detect(path, settings=EventSettings(high=0.45))
    assert detection.events
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(detection.to_json())
    assert main([*arguments, "--csv"]) == 0
    assert capsys.readouterr().out == detection.to_csv()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1 + len(detection.events)
    assert not captured.err
    assert main([*arguments[:-1], "1.0", "--low", "1.0"]) == 0
    assert "no events" in capsys.readouterr().out


def test_networks_without_frames_are_run_on_windows(model, sounds, capsys):
    arguments = ["detect", str(sounds / "1.wav"), "--model", str(model), "--csv"]
    assert main([*arguments, "--threshold", "0.01"]) == 0
    captured = capsys.readouterr()
    assert "Tiny has no framewise output; it is run on windows of 2.5 s every 0.5" in captured.err
    assert "Cnn14_DecisionLevelMax" in captured.err
    assert {row["label"] for row in table(captured.out)} == {"class 0", "class 1", "class 2"}
    assert main([*arguments, "--window", "1", "--classes", "CLASS 1", "--threshold", "0.01"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert {row["label"] for row in table(captured.out)} == {"class 1"}


def test_pictures_and_labels_lie_as_the_recordings(model, sounds, tmp_path, monkeypatch):
    plots, labels, output = tmp_path / "plots", tmp_path / "labels", tmp_path / "events.csv"
    arguments = ["detect", str(sounds), "--model", str(model), "--window", "1", "--plot"]
    arguments += [str(plots), "--audacity", str(labels), "--threshold", "0.1"]
    arguments += ["--output", str(output)]
    killed_after(2, arguments, monkeypatch)
    with pytest.raises(ValueError, match="with other settings"):
        main([*arguments, "--dark"])
    assert main(arguments) == 1
    for folder, suffix in ((plots, ".png"), (labels, ".txt")):
        files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        assert sorted(files) == [f"{name}{suffix}" for name in NAMES]
    rows = [row for row in table(output.read_text()) if row["file"].endswith("0.wav")]
    lines = (labels / "0.wav.txt").read_text().splitlines()
    assert len(lines) == len(rows)
    onset, offset, label = lines[0].split("\t")
    assert (float(onset), float(offset)) == (float(rows[0]["onset"]), float(rows[0]["offset"]))
    assert label.startswith(rows[0]["label"])


def test_labels_that_were_edited_are_kept(model, sounds, tmp_path, capsys):
    place = tmp_path / "labels" / "0.wav.txt"
    arguments = ["detect", str(sounds / "0.wav"), "--model", str(model), "--threshold", "0.1"]
    arguments += ["--audacity", str(place.parent)]
    assert main(arguments) == 0
    written = place.read_bytes()
    assert main(arguments) == 0
    assert "is kept" not in capsys.readouterr().err  # they are the same
    place.write_bytes(b"edited")
    assert main(arguments) == 0
    assert place.read_bytes() == b"edited"
    assert "0.wav.txt exists and is kept; --force replaces it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert place.read_bytes() == written


def test_results_lie_as_the_recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a/b", "a/c"):
        Path(folder).mkdir(parents=True)
    Path("a/b/x.wav").touch()
    for source, paths, expected in (
        ("a/b/x.wav", ["a"], "b/x.wav.png"),
        ("a/b/x.wav", ["a/b/x.wav"], "x.wav.png"),
        ("a/b/x.wav", ["a/b/x.wav", "a/c"], "b/x.wav.png"),
        ("a/b/x.wav", ["a/**/*.wav"], "b/x.wav.png"),
        ("a/../a/b/x.wav", ["a/../a/b"], "x.wav.png"),
    ):
        assert file_beside(source, paths, Path("out"), ".png") == Path("out") / expected
        assert (Path("out") / expected).parent.is_dir()
    assert file_beside(object(), ["-"], tmp_path, ".txt") == tmp_path / "stdin.txt"
