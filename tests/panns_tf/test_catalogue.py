"""The table of networks, as data, text and Markdown."""

import json
import re

import pytest

from panns_tf import catalogue
from panns_tf.cli import main
from panns_tf.weights.zoo import PUBLISHED
from tests.support import THIN, TINY, read_json
from tfrecords.text import text_table

MANIFEST = read_json("manifest")["architectures"]
SMALL = {arch.name for arch in (*TINY, *THIN)}
TABLE = {entry["name"]: entry for entry in catalogue.entries() if entry["name"] not in SMALL}
#: The paper's mAP is of another training run than the published file.
OTHER_RUN = {"Cnn14_16k", "Cnn14_8k"}


def test_numbers_front_ends_and_outputs_are_the_references():
    assert set(TABLE) == {*MANIFEST, "VGGish"}
    for name, reference in MANIFEST.items():
        entry, front_end = TABLE[name], TABLE[name]["front_end"]
        assert entry["parameters"] == reference["parameters"]
        assert entry["operations"] == reference["multi_adds_10s"]
        outputs = reference["outputs_10s"]
        assert set(outputs) <= set(entry["outputs"])
        for key, shape in outputs.items():  # the batch and the lengths are free
            expected = [None, shape[1]] if len(shape) == 2 else [None, None, shape[2]]
            assert entry["outputs"][key] == expected
        arguments = reference["arguments"]
        assert entry["sample_rate"] == arguments["sample_rate"]
        if "log_mel" in front_end["inputs"]:
            for key in ("window_size", "hop_size", "mel_bins", "fmin", "fmax"):
                assert front_end[key] == arguments[key]
            assert front_end["window"] == "hann"


def test_checkpoints_are_the_published_ones():
    assert {name for name, entry in TABLE.items() if entry["checkpoint"]} == set(PUBLISHED)
    assert TABLE["Cnn14"]["checkpoint"] == {
        "file": "Cnn14_mAP=0.431.pth",
        "url": "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1",
        "md5": "541141fa2ee191a88f24a3219fff024e",
        "bytes": 327_428_481,
    }
    for name, entry in TABLE.items():
        if entry["checkpoint"] and name not in OTHER_RUN:
            named = re.search(r"mAP=(0\.\d+)\.pth$", entry["checkpoint"]["file"])[1]
            assert f"{entry['published_mAP']:.3f}" == named, name
    unknown = {name for name, entry in TABLE.items() if entry["published_mAP"] is None}
    assert unknown == {
        *("VGGish", "Cnn14_no_specaug", "Cnn14_no_dropout", "Cnn14_DecisionLevelAvg"),
        "Wavegram_Logmel128_Cnn14",
    }


CELLS = {
    "Cnn14": [
        *("Cnn14", "80,753,615", "21.094e9", "42.220e9", "32 kHz", "log-mel 64 x 10 ms"),
        *("clipwise, embedding 2048", "0.431", "Cnn14_mAP=0.431.pth"),
    ],
    "Wavegram_Logmel128_Cnn14": [
        *("Wavegram_Logmel128_Cnn14", "81,262,735", "49.974e9", "100.065e9", "32 kHz"),
        *("log-mel 128 x 10 ms + wavegram", "clipwise, embedding 2048", "-", "-"),
    ],
    "Cnn14_DecisionLevelAtt": [
        *("Cnn14_DecisionLevelAtt", "81,834,492", "21.159e9", "42.351e9", "32 kHz"),
        *("log-mel 64 x 10 ms", "clipwise, segmentwise, framewise, embedding 2048", "0.425"),
        "Cnn14_DecisionLevelAtt_mAP=0.425.pth",
    ],
}


@pytest.mark.parametrize("network", CELLS)
def test_the_command_prints_text_markdown_and_json(network, capsys):
    assert main(["models", network.lower()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split(" {2,}", lines[1]) == CELLS[network]
    assert " ".join(lines[3:]) == catalogue.NOTE
    assert main(["models", network, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r" *\| *", lines[2].strip("| ")) == CELLS[network]
    assert main(["models", network, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [TABLE[network]]


def test_columns_are_aligned():
    lines = text_table(catalogue.rows(list(TABLE.values()))).splitlines()
    at = lines[0].index("front end")
    assert all(line[at - 2 : at].isspace() and not line[at].isspace() for line in lines)
    assert not any(line.endswith(" ") for line in lines)


def test_a_pattern_without_a_network_is_refused():
    with pytest.raises(ValueError, match=r"no network matches 'nix\*'; there are .*Cnn14"):
        main(["models", "nix*"])
