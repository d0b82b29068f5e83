import argparse
import csv
import io
import json

import numpy as np
import pytest
import soundfile

from panns_tf.transfer.commands import predict
from panns_tf.transfer.predicting import TRANSFER
from tests.panns_tf.inference.support import kept, noise, trained

RATE = 8000


def main(arguments) -> int:
    parser = argparse.ArgumentParser()
    predict.add_parser(parser.add_subparsers(required=True))
    options = parser.parse_args(["predict", *map(str, arguments)])
    return options.run(options) or 0


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run directory of a single-label task."""
    folder = tmp_path_factory.mktemp("run")
    network = trained("Tiny", activation="softmax")
    network.labels = ["dog", "sea waves", "rain, hail"]
    network.save(folder / "final.keras")
    (folder / TRANSFER).write_text(json.dumps({"clip_seconds": 0.5, "multi_label": False}))
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for number, samples in enumerate((2000, 4000, 10000)):
        soundfile.write(folder / f"{number}.wav", noise(samples, number), RATE)
    return folder


def test_prints_a_line_for_each_recording(run_dir, sounds, capsys):
    assert main([sounds, "--model", run_dir]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{sounds / n}.wav" for n in "012"]
    labels = {line.split(": ")[1].rsplit(" ", 1)[0] for line in lines}
    assert labels <= {"dog", "sea waves", "rain, hail"}


def test_all_probabilities_of_a_softmax(run_dir, sounds, capsys):
    assert main([sounds / "2.wav", "--model", run_dir, "--top", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predicted"]
    values = [tag["probability"] for tag in found]
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1, abs=1e-5)


def test_tables_and_files(run_dir, sounds, capsys, tmp_path):
    assert main([sounds, "--model", run_dir, "--csv"]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert list(rows[0]) == ["file", "seconds", "label", "probability"]
    assert len(rows) == 3
    output = tmp_path / "predictions.csv"
    assert main([sounds, "--model", run_dir, "--output", output]) == 0
    assert output.read_text() == printed
    with pytest.raises(ValueError, match="exists"):
        main([sounds, "--model", run_dir, "--output", output])


def test_several_labels(sounds, capsys, tmp_path):
    kept("Tiny").save(tmp_path / "final.keras")
    arguments = [sounds / "1.wav", "--model", tmp_path / "final.keras"]
    samples, _ = soundfile.read(sounds / "1.wav", dtype="float32")
    scores = kept("Tiny")(samples[None], training=False)["clipwise_output"][0].numpy()
    low, high = (float(x) for x in np.sort(scores)[[0, -1]])
    assert main([*arguments, "--threshold", f"{(low + high) / 2:.4f}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predicted"]
    assert 0 < len(found) == (scores >= (low + high) / 2).sum() < 3
    assert main([*arguments, "--threshold", "1"]) == 0
    best = f"class {scores.argmax()} {high:.3f}"
    assert capsys.readouterr().out.endswith(f": nothing above 1; nearest: {best}\n")


def test_damaged_recordings_and_mistakes(run_dir, sounds, capsys, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound at all")
    assert main([broken, sounds / "0.wav", "--model", run_dir]) == 1
    captured = capsys.readouterr()
    assert "broken.wav: not audio" in captured.err
    assert len(captured.out.splitlines()) == 1
    with pytest.raises(ValueError, match="--top must be"):
        main([sounds, "--model", run_dir, "--top", "0"])
    with pytest.raises(ValueError, match=r"without final\.keras"):
        main([sounds, "--model", tmp_path])
    with pytest.raises(SystemExit):
        main([sounds])
    assert "--model" in capsys.readouterr().err
