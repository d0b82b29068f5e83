import csv
import io
import json

import pytest

from panns_tf import EventSettings, SoundEventDetector
from panns_tf.__main__ import main
from tests.panns_tf.inference.support import kept


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "native.keras"
    kept("Thin_Cnn14_DecisionLevelMax").save(path)
    return path


def test_prints_events(native, sounds, capsys):
    path = sounds / "1.wav"
    arguments = ["detect", str(path), "--model", str(native), "--threshold", "0.45"]
    found = SoundEventDetector(kept("Thin_Cnn14_DecisionLevelMax")).detect(
        path, settings=EventSettings(high=0.45)
    )
    assert found.events
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(found.to_json())
    assert main([*arguments, "--csv"]) == 0
    assert capsys.readouterr().out == found.to_csv()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1 + len(found.events)
    assert not captured.err
    assert main([*arguments[:-1], "1.0", "--low", "1.0"]) == 0
    assert "no events" in capsys.readouterr().out


def test_networks_that_do_not_say_when_hear_windows(model, sounds, capsys):
    arguments = ["detect", str(sounds / "1.wav"), "--model", str(model), "--csv"]
    assert main([*arguments, "--threshold", "0.01"]) == 0
    captured = capsys.readouterr()
    assert "Tiny does not say when; it hears windows of 2.5 s every 0.5 s" in captured.err
    assert "Cnn14_DecisionLevelMax" in captured.err
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert {row["label"] for row in rows} == {"class 0", "class 1", "class 2"}
    assert main([*arguments, "--window", "1", "--classes", "CLASS 1", "--threshold", "0.01"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert {row["label"] for row in rows} == {"class 1"}


def test_pictures_and_labels_lie_as_the_recordings(model, sounds, tmp_path, capsys):
    arguments = [
        "detect",
        str(sounds),
        "--model",
        str(model),
        "--window",
        "1",
        "--threshold",
        "0.1",
    ]
    places = ["--plot", str(tmp_path / "plots"), "--audacity", str(tmp_path / "labels")]
    output = tmp_path / "events.csv"
    assert main([*arguments, *places, "--output", str(output)]) == 1
    for folder, ending in ((tmp_path / "plots", ".png"), (tmp_path / "labels", ".txt")):
        found = sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
        )
        assert found == sorted(
            f"{name}.wav{ending}" for name in ("0", "1", "2", "3", "more/4", "more/5")
        )
    with output.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].endswith("0.wav")]
    lines = (tmp_path / "labels" / "0.wav.txt").read_text().splitlines()
    assert len(lines) == len(rows)
    onset, offset, label = lines[0].split("\t")
    assert (float(onset), float(offset)) == (float(rows[0]["onset"]), float(rows[0]["offset"]))
    assert label.startswith(rows[0]["label"])
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threshold", "0"], "--threshold must lie above 0"),
        (["--low", "0.9"], "--low must lie above 0 and at most at the threshold"),
        (["--smooth", "-1"], "--smooth must be seconds"),
        (["--classes", "class 7"], "--classes.*class"),
        (["--classes", " ; "], "--classes names no class"),
        (["--window", "1", "--hop", "3"], "--hop 3 is longer"),
        (["--output", "events.txt"], "--output must end in"),
    ],
)
def test_mistakes_are_named(model, sounds, arguments, said):
    with pytest.raises(ValueError, match=said):
        main(["detect", str(sounds / "0.wav"), "--model", str(model), *arguments])


def test_folders_that_cannot_be_made_are_named(model, sounds, tmp_path):
    (tmp_path / "file").write_text("")
    for flag in ("--plot", "--audacity"):
        with pytest.raises(ValueError, match=f"{flag} .*file is a file; name a folder"):
            main(["detect", str(sounds / "0.wav"), "--model", str(model), flag, f"{tmp_path}/file"])


def test_labels_that_were_edited_are_kept(model, sounds, tmp_path, capsys):
    labels = tmp_path / "labels"
    arguments = ["detect", str(sounds / "0.wav"), "--model", str(model), "--threshold", "0.1"]
    arguments += ["--audacity", str(labels)]
    assert main(arguments) == 0
    place = labels / "0.wav.txt"
    written = place.read_bytes()
    assert main(arguments) == 0
    assert "is kept" not in capsys.readouterr().err  # they are the same
    place.write_bytes(b"edited")
    assert main(arguments) == 0
    assert place.read_bytes() == b"edited"
    assert "0.wav.txt exists and is kept; --force replaces it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert place.read_bytes() == written


def test_pictures_and_labels_count_as_settings(model, sounds, tmp_path, monkeypatch):
    from tests.panns_tf.inference.commands.test_tag import killed_after

    arguments = ["detect", str(sounds), "--model", str(model), "--output", f"{tmp_path}/x.csv"]
    killed_after(2, arguments, monkeypatch)
    with pytest.raises(ValueError, match="with another audacity"):
        main([*arguments, "--audacity", str(tmp_path / "labels")])
