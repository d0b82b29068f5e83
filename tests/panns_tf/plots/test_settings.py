from pathlib import Path

import pytest

from panns_tf.plots.settings import (
    Group,
    comparable,
    describe,
    differing,
    freeze,
    names_of,
    shortest,
)

HERE = Path("runs/a")


def settings(**config) -> dict:
    return comparable({"arch": "Cnn14", "data": "d/train", "steps": 600, **config}, HERE)


@pytest.mark.parametrize(
    ("arch", "same", "differs", "label"),
    [
        ("Cnn14_emb32", {"embedding_size": 32}, ["embedding_size"], "embedding 32"),
        ("Cnn14_mel128", {"mel_bins": 128}, ["mel_bins"], "128 mel bins"),
        (
            "Cnn14_8k",
            {"sample_rate": 8000, "window_size": 256, "hop_size": 80, "fmax": 4000.0},
            ["sample_rate"],
            "8 kHz",
        ),
        ("Cnn14_no_specaug", {"spec_augment": False}, ["spec_augment"], "no SpecAugment"),
        ("Cnn14_mixup_time_domain", {"mixup": "waveform"}, ["mixup"], "mixup of waveforms"),
    ],
)
def test_rows_are_settings_of_their_family(arch, same, differs, label):
    row, overridden, plain = settings(arch=arch), settings(**same), settings()
    assert freeze(row) == freeze(overridden) != freeze(plain)
    assert differing([row, plain]) == differs
    assert describe(row, differs) == label


def test_networks_differ_in_nothing_but_themselves():
    many = [settings(arch=arch) for arch in ("Cnn6", "MobileNetV1", "LeeNet11", "Wavegram_Cnn14")]
    assert differing([*many, settings()]) == ["arch"]
    assert settings(arch="Cnn14_DecisionLevelMax")["arch"] == "Cnn14_DecisionLevelMax"


def test_what_does_not_change_learning_does_not_count():
    a = settings(seed=1, run_dir="x", log_steps=3, eval_steps=7, steps=1200, xla="off")
    assert freeze(a) == freeze(settings(seed=2))
    assert differing([settings(schedule="cosine", steps=1), settings(schedule="cosine")]) == [
        "steps"
    ]


def test_the_demos_data_are_the_same_in_every_run():
    a = comparable({"arch": "Cnn14", "data": "runs/a/data/train", "demo": True}, Path("runs/a"))
    b = comparable({"arch": "Cnn14", "data": "/x/b/data/train", "demo": True}, Path("moved/b"))
    assert differing([a, b]) == []
    assert differing([a, settings()]) == ["data"]


def test_labels():
    many = settings(sampling="shuffled", mixup="none", fraction=0.5, hop_size=640)
    assert describe(many, ["sampling", "mixup"]) == "no balancing, no mixup"
    assert describe(many, ["fraction"]) == "50 % of the clips"
    assert describe(many, ["hop"]) == "20 ms"
    assert describe(settings(), []) == "Cnn14"


def test_names_of_many_kinds_say_what_is_unusual():
    many = [settings(), settings(arch="Cnn6"), settings(mel_bins=32), settings(fraction=0.5)]
    groups = [Group(found, ()) for found in many]
    assert names_of(groups, differing(many), {}) == [
        "Cnn14",
        "Cnn6",
        "Cnn14, 32 mel bins",
        "Cnn14, 50 % of the clips",
    ]
    assert names_of(groups[::2], ["mel_bins"], {}) == ["64 mel bins", "32 mel bins"]


def test_an_unknown_network_is_as_it_is_written():
    found = settings(arch="Cnn99", mel_bins=32)
    assert (found["arch"], found["mel_bins"]) == ("Cnn99", 32)


def test_shortest_paths():
    assert shortest(["a/b/c", "a/x/c", "q", None]) == {
        "a/b/c": "b/c",
        "a/x/c": "x/c",
        "q": "q",
        None: "no data",
    }
