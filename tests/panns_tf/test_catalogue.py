"""The table of networks, as data, text and Markdown."""

import json
import re

import pytest

from panns_tf import catalogue
from panns_tf.complexity import Complexity, complexity
from panns_tf.models import ARCHITECTURES, list_models
from panns_tf.weights.zoo import PUBLISHED
from tests.support import THIN, TINY, read_json

#: In one process, as the table takes some seconds.

MANIFEST = read_json("manifest")["architectures"]
PAPER = [name for name in ARCHITECTURES if name not in {row.name for row in (*TINY, *THIN)}]
KEYS = {
    *("name", "parameters", "operations", "multiply_adds", "sample_rate", "front_end", "outputs"),
    *("published_mAP", "checkpoint"),
}
LOG_MEL = {"inputs", "window_size", "hop_size", "mel_bins", "fmin", "fmax", "window"}
#: Columns of numbers, which end below each other.
FIGURES = (1, 2, 3, 7)
#: The paper's mAP is of another training run than the published file.
OTHER_RUN = {"Cnn14_16k", "Cnn14_8k"}


def known_complexity(name: str, seconds: float) -> Complexity:
    """In place of `complexity`, which takes long for all and has tests of its own."""
    assert seconds == 10
    if name not in MANIFEST:
        return Complexity(73_776_015, 18_176_000_000, 9_084_000_000)
    parameters, operations = (MANIFEST[name][key] for key in ("parameters", "multi_adds_10s"))
    return Complexity(parameters, operations, int(0.4995 * operations))


@pytest.fixture(scope="module")
def table():
    """The paper's networks, without the small ones that the tests add."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "complexity", known_complexity)
        patch.setattr(
            catalogue,
            "list_models",
            lambda pattern: [n for n in list_models(pattern) if n in PAPER],
        )
        return catalogue.entries()


@pytest.fixture(scope="module")
def rows(table):
    return {row["name"]: row for row in table}


def test_all_thirty_in_the_order_of_the_registry(table):
    assert len(table) == 30
    assert [row["name"] for row in table] == PAPER
    for row in table:
        assert set(row) == KEYS
        assert set(row["front_end"]) == (
            LOG_MEL if "log_mel" in row["front_end"]["inputs"] else {"inputs"}
        )


@pytest.mark.parametrize("network", ["Cnn14_8k", "LeeNet11"])
def test_figures_are_counted(network, rows):
    entry = catalogue.entry(network)
    assert entry["parameters"] == MANIFEST[network]["parameters"]
    assert entry["operations"] == MANIFEST[network]["multi_adds_10s"]
    assert entry == {**rows[network], "multiply_adds": complexity(network).multiply_adds}


@pytest.mark.parametrize("network", MANIFEST)
def test_figures_and_outputs_are_the_references(network, rows):
    known, row = MANIFEST[network], rows[network]
    assert row["parameters"] == known["parameters"]
    assert row["operations"] == known["multi_adds_10s"]
    assert row["multiply_adds"] == known_complexity(network, 10).multiply_adds
    outputs = known["outputs_10s"]
    assert set(outputs) <= set(row["outputs"])
    for key, shape in outputs.items():
        # the batch and the lengths are free
        expected = [None, shape[1]] if len(shape) == 2 else [None, None, shape[2]]
        assert row["outputs"][key] == expected


@pytest.mark.parametrize("network", MANIFEST)
def test_front_ends_are_the_references(network, rows):
    arguments, row = MANIFEST[network]["arguments"], rows[network]
    assert row["sample_rate"] == arguments["sample_rate"]
    front_end = row["front_end"]
    if "log_mel" in front_end["inputs"]:
        for key in ("window_size", "hop_size", "mel_bins", "fmin", "fmax"):
            assert front_end[key] == arguments[key]
        assert front_end["window"] == "hann"


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        ("VGGish", ["log_mel"]),
        ("MobileNetV2", ["log_mel"]),
        ("LeeNet11", ["waveform"]),
        ("Res1dNet51", ["waveform"]),
        ("Wavegram_Cnn14", ["wavegram"]),
        ("Wavegram_Logmel128_Cnn14", ["log_mel", "wavegram"]),
    ],
)
def test_what_the_bodies_see(network, inputs, rows):
    assert rows[network]["front_end"]["inputs"] == inputs


def test_checkpoints_are_the_published_ones(rows):
    assert {name for name, row in rows.items() if row["checkpoint"]} == set(PUBLISHED)
    assert rows["Cnn14"]["checkpoint"] == {
        "file": "Cnn14_mAP=0.431.pth",
        "url": "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1",
        "md5": "541141fa2ee191a88f24a3219fff024e",
        "bytes": 327_428_481,
    }
    assert rows["LeeNet11"]["checkpoint"]["md5"] is None
    assert rows["LeeNet11"]["checkpoint"]["bytes"] is None
    assert rows["VGGish"]["checkpoint"] is None


def test_precisions_are_those_of_the_files_names(rows):
    for name, row in rows.items():
        if row["checkpoint"] and name not in OTHER_RUN:
            named = re.search(r"mAP=(0\.\d+)\.pth$", row["checkpoint"]["file"])[1]
            assert f"{row['published_mAP']:.3f}" == named, name
    unknown = [name for name, row in rows.items() if row["published_mAP"] is None]
    assert set(unknown) == {
        *("VGGish", "Cnn14_no_specaug", "Cnn14_no_dropout", "Cnn14_DecisionLevelAvg"),
        "Wavegram_Logmel128_Cnn14",
    }


def test_json_is_all_of_it(table):
    assert json.loads(catalogue.as_json(table)) == table


def test_a_pattern_and_an_unknown_one():
    assert [row["name"] for row in catalogue.entries("TINY")] == ["Tiny"]
    with pytest.raises(
        ValueError, match=r"no network matches 'nix\*'; there are .*Cnn14"
    ) as caught:
        catalogue.entries("nix*")
    assert "\n" not in str(caught.value)


def test_markdown_is_one_table_of_nine_columns(table):
    lines = catalogue.as_markdown(table).splitlines()
    rows = lines[: lines.index("")]
    assert len(rows) == 2 + len(table)
    assert all(row.startswith("| ") and row.endswith(" |") for row in rows)
    cells = [row[2:-2].split(" | ") for row in rows]
    assert {len(row) for row in cells} == {9}
    assert not any("|" in cell or not cell.strip() for row in cells for cell in row)
    assert cells[1] == ["---:" if i in FIGURES else "---" for i in range(9)]
    assert [row[0] for row in cells[2:]] == PAPER
    assert cells[5] == [
        *("Cnn14", "80,753,615", "21.089e9", "42.220e9", "32 kHz", "log-mel 64 x 10 ms"),
        *("clipwise, embedding 2048", "0.431", "Cnn14_mAP=0.431.pth"),
    ]
    assert lines[lines.index("") + 1 :] == [catalogue.NOTE]


def test_text_is_aligned(table):
    lines = catalogue.as_text(table).splitlines()
    rows, note = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert len(rows) == 1 + len(table)
    assert not any(line.endswith(" ") for line in lines)
    assert " ".join(note) == catalogue.NOTE
    assert max(map(len, note)) <= 100
    cells = [re.split(" {2,}", row) for row in rows]
    assert {len(row) for row in cells} == {9}
    assert [row[0] for row in cells[1:]] == PAPER
    at = 0
    for i, column in enumerate(zip(*cells, strict=True)):
        width = max(map(len, column))
        place = str.rjust if i in FIGURES else str.ljust
        found = [row[at : at + width].ljust(width) for row in rows]
        assert found == [place(cell, width) for cell in column]
        at += width + 2


@pytest.mark.parametrize(
    ("network", "cells"),
    [
        ("Cnn14_8k", {"8 kHz", "log-mel 64 x 10 ms", "0.406", "Cnn14_8k_mAP=0.416.pth"}),
        ("LeeNet11", {"748,367", "waveform", "clipwise, embedding 512"}),
        ("Wavegram_Logmel128_Cnn14", {"log-mel 128 x 10 ms + wavegram", "49.982e9", "100.065e9"}),
        ("Cnn14_DecisionLevelAtt", {"clipwise, segmentwise, framewise, embedding 2048"}),
        ("VGGish", {"73,776,015", "-"}),
    ],
)
def test_cells(network, cells, rows):
    row = catalogue.as_text([rows[network]]).splitlines()[1]
    assert cells <= set(re.split(" {2,}", row))
