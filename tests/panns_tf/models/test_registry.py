"""The table of networks, and how one is found in it."""

import pytest

from panns_tf.models.network import BACKBONES
from panns_tf.models.registry import find, list_models
from tests.support import THIN, TINY, read_json


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Wavegram_Logmel_Cnn14", "Wavegram_Logmel_Cnn14"),
        ("wavegram_logmel", "Wavegram_Logmel_Cnn14"),
        ("WAVEGRAM-LOGMEL-CNN14", "Wavegram_Logmel_Cnn14"),
        ("cnn14", "Cnn14"),
        ("wavegram", "Wavegram_Cnn14"),
        ("wavegram_logmel128", "Wavegram_Logmel128_Cnn14"),
        ("cnn14_16k", "Cnn14_16k"),
        ("cnn14-decisionlevelatt", "Cnn14_DecisionLevelAtt"),
        ("mobilenetv2", "MobileNetV2"),
        ("vggish", "VGGish"),
    ],
)
def test_short_forms_are_understood(typed, expected):
    assert find(typed).name == expected


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("cnn15", "Cnn14"),
        ("wavegram_logmell", "Wavegram_L"),
        ("resnet", "ResNet22"),
        ("", "VGGish, Cnn6"),
    ],
)
def test_an_unknown_name_lists_the_nearest(typed, near):
    with pytest.raises(
        ValueError, match=f"unknown network '{typed}'; (did you mean|expected one of) .*{near}"
    ):
        find(typed)


def test_list_models_takes_patterns():
    assert {"Cnn14", "Wavegram_Logmel_Cnn14"} <= set(list_models())
    assert "Cnn14" not in list_models("wave*")
    assert "Wavegram_Logmel_Cnn14" in list_models("*LOGMEL*")
    assert list_models("nothing*") == []


def test_overrides_change_a_copy():
    arch = find("cnn14")
    changed = arch.override(mel_bins=128, hop_size=640, embedding_size=32, dropout=False)
    assert (changed.frontend.mel_bins, changed.frontend.hop_size) == (128, 640)
    assert (changed.embedding_size, changed.block_dropout, changed.head_dropout) == (32, 0, 0)
    assert arch.frontend.mel_bins == 64
    assert arch.override() == arch.override(dropout=True, spec_augment=True) == arch


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"melbins": 64}, "unknown override 'melbins'; expected one of"),
        ({"sample_rate": 16000}, "fmax"),
        ({"dropout": 0.3}, "dropout is switched by True or False"),
        ({"embedding_size": 0}, "embedding_size must be at least 1"),
        ({"hidden": (512, 0)}, r"hidden must be widths of at least 1.*received \(512, 0\)"),
        ({"hidden": (2.5,)}, "hidden must be widths of at least 1"),
        ({"hidden": (float("nan"),)}, "hidden must be widths of at least 1"),
        ({"hidden": (4, "5")}, "hidden must be widths of at least 1"),
        ({"hidden": 512}, "hidden must be widths of at least 1.*received 512"),
        ({"hidden": "512"}, "hidden must be widths of at least 1.*received '512'"),
        ({"activation": "relu"}, "activation must be one of .*'softmax'.*received 'relu'"),
        ({"activation": None}, "activation must be one of .*received None"),
    ],
)
def test_impossible_overrides_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message) as caught:
        find("cnn14").override(**overrides)
    assert "\n" not in str(caught.value)


SMALL = {arch.name for arch in (*TINY, *THIN)}
PAPER = [name for name in list_models() if name not in SMALL]


def test_the_29_networks_of_the_reference_and_vggish_are_there():
    assert set(PAPER) == {*read_json("cases"), "VGGish"}
    for name in PAPER:
        arch = find(name)
        assert arch.name == name
        assert arch.backbone in BACKBONES
        assert arch.head in ("clip", "max", "average", "attention", "patches")


def test_what_would_change_nothing_is_refused():
    with pytest.raises(ValueError, match="LeeNet11 has no log-mel, so mel_bins, fmax would change"):
        find("LeeNet11").override(mel_bins=128, fmax=8000)
    # The reference's own arguments are no change.
    default = find("LeeNet11").frontend
    same = {key: getattr(default, key) for key in ("window_size", "hop_size", "mel_bins", "fmax")}
    assert find("LeeNet11").override(**same) == find("LeeNet11")
    assert find("LeeNet11").override(sample_rate=16000).frontend.sample_rate == 16000
    assert find("Wavegram_Cnn14").override(mel_bins=128).frontend.mel_bins == 128


def test_unused_parameters_are_the_references():
    # architectures.md, section 13
    counts = {"Wavegram_Cnn14": 37_824, "DaiNet19": 4_224, "Cnn14_DecisionLevelAtt": 1_054}
    for name in PAPER:
        assert find(name).unused_parameters(527) == counts.get(name, 0)
    assert find("Wavegram_Cnn14").unused_parameters(10) == 37_824
    assert find("Cnn14_DecisionLevelAtt").unused_parameters(10) == 20


def test_the_classifier_of_a_task_may_be_others():
    arch = find("cnn14").override(hidden=[512, 64.0], activation="softmax")
    assert (arch.hidden, arch.activation) == ((512, 64), "softmax")
    assert hash(arch) == hash(find("cnn14").override(hidden=(512, 64), activation="softmax"))
    assert (find("cnn14").hidden, find("cnn14").activation) == ((), "sigmoid")
    assert find("cnn14").override(hidden=(), activation="sigmoid") == find("cnn14")


def test_softmax_is_for_heads_that_classify_clips_at_once():
    for name in PAPER:
        arch = find(name)
        if arch.head == "clip":
            assert arch.override(activation="softmax").activation == "softmax"
            continue
        with pytest.raises(ValueError, match=f"{name} joins probabilities of parts of a clip"):
            arch.override(activation="softmax")
        assert arch.override(activation="sigmoid", hidden=(4,)).hidden == (4,)
