import pytest

from panns_tf.models import find, list_models


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Wavegram_Logmel_Cnn14", "Wavegram_Logmel_Cnn14"),
        ("wavegram_logmel", "Wavegram_Logmel_Cnn14"),
        ("WAVEGRAM-LOGMEL-CNN14", "Wavegram_Logmel_Cnn14"),
        ("cnn14", "Cnn14"),
    ],
)
def test_short_forms_are_understood(typed, expected):
    assert find(typed).name == expected


@pytest.mark.parametrize("typed", ["cnn15", "wavegram_logmell", "resnet", ""])
def test_an_unknown_name_lists_the_nearest(typed):
    with pytest.raises(ValueError, match=f"unknown network '{typed}'; the nearest are: .*Cnn14"):
        find(typed)


def test_list_models_takes_patterns():
    assert {"Cnn14", "Wavegram_Logmel_Cnn14"} <= set(list_models())
    assert "Cnn14" not in list_models("wave*")
    assert "Wavegram_Logmel_Cnn14" in list_models("*LOGMEL*")
    assert list_models("nothing*") == []


def test_overrides_change_a_copy():
    row = find("cnn14")
    changed = row.override(mel_bins=128, hop_size=640, embedding_size=32, dropout=False)
    assert (changed.frontend.mel_bins, changed.frontend.hop_size) == (128, 640)
    assert (changed.embedding_size, changed.block_dropout, changed.head_dropout) == (32, 0, 0)
    assert row.frontend.mel_bins == 64
    assert row.override() == row.override(dropout=True, spec_augment=True) == row


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"melbins": 64}, "unknown override 'melbins'; expected one of"),
        ({"sample_rate": 16000}, "fmax"),
        ({"dropout": 0.3}, "dropout is switched by True or False"),
        ({"embedding_size": 0}, "embedding_size must be at least 1"),
    ],
)
def test_impossible_overrides_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        find("cnn14").override(**overrides)
