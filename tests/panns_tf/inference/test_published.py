"""What the published checkpoints say of the reference's example recording.

These run where a checkpoint lies in the cache (``$PANNS_TF_CACHE``, else ``~/.cache/panns_tf``), in
the working directory or beside the repository; nothing is downloaded. The recording is the
reference's ``resources/R9_ZSCveAHg_7s.wav``.
"""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from panns_tf import to_torch_state
from panns_tf.__main__ import main
from panns_tf.weights.torch_file import write_torch_state
from panns_tf.weights.zoo import cache_folder, published_file
from tests.panns_tf.inference.support import kept
from tests.support import FIXTURES

RECORDING = FIXTURES / "R9_ZSCveAHg_7s.wav"
ROOT = Path(__file__).parents[3]

#: The README of audioset_tagging_cnn (and of panns_inference) shows these of Cnn14_mAP=0.431.pth.
PROMISED = {
    "Speech": 0.893,
    "Telephone bell ringing": 0.754,
    "Inside, small room": 0.235,
    "Telephone": 0.183,
    "Music": 0.092,
    "Ringtone": 0.047,
    "Inside, large room or hall": 0.028,
    "Alarm": 0.014,
    "Animal": 0.009,
    "Vehicle": 0.008,
}


def checkpoint(network: str) -> Path:
    """The published file, if it is here; skips the test otherwise."""
    name = published_file(network).file
    for folder in (cache_folder(), Path.cwd(), ROOT, ROOT.parent):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"{name} is not here")


def test_tags_are_those_that_the_reference_promises(capsys):
    path = checkpoint("Cnn14")
    arguments = ["tag", str(RECORDING), "--model", "Cnn14", "--weights", str(path), "--csv"]
    assert main(arguments) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["label"] for row in rows] == list(PROMISED)
    for row in rows:
        assert float(row["score"]) == pytest.approx(PROMISED[row["label"]], abs=1e-3)


def test_embeddings_have_the_promised_width(capsys, tmp_path):
    path = checkpoint("Cnn14")
    output = tmp_path / "x.npy"
    arguments = ["embed", str(RECORDING), "--model", "Cnn14", "--weights", str(path)]
    assert main([*arguments, "--output", str(output)]) == 0
    assert np.load(output).shape == (1, 2048)


def test_the_telephone_rings_before_the_speech(capsys):
    """The reference's README shows this as a picture: bells up to about 2.5 s, then speech."""
    path = checkpoint("Cnn14_DecisionLevelMax")
    arguments = ["detect", str(RECORDING), "--model", "Cnn14_DecisionLevelMax", "--csv"]
    assert main([*arguments, "--weights", str(path), "--threshold", "0.3"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    bells, speech = (
        [(float(row["onset"]), float(row["offset"])) for row in rows if row["label"] == label]
        for label in ("Telephone bell ringing", "Speech")
    )
    assert bells[0][0] < 0.7
    assert 2.0 < bells[-1][1] < 3.2
    assert 1.9 < speech[0][0] < 3.2
    assert speech[-1][1] == 7.0


@pytest.mark.parametrize("network", ["Cnn14", "Cnn14_DecisionLevelMax"])
def test_the_commands_work_on_it_with_other_weights(network, capsys, tmp_path):
    """The same commands, so that they are not run for the first time where a checkpoint is."""
    path = tmp_path / f"Thin_{network}.pth"
    write_torch_state(path, {"model": to_torch_state(kept(f"Thin_{network}"))})
    arguments = [str(RECORDING), "--weights", str(path), "--model", f"Thin_{network}", "--csv"]
    assert main(["detect" if "Decision" in network else "tag", *arguments]) == 0
    assert "R9_ZSCveAHg_7s.wav" in capsys.readouterr().out
