"""Flags become settings, and what would change nothing is refused."""

import argparse

import pytest

from panns_tf.__main__ import main
from panns_tf.transfer import options as flags
from panns_tf.transfer.options import OWN_PATIENCE, config_of, counts_of, seeds_of
from panns_tf.transfer.settings import DEFAULTS, FROZEN, STRATEGIES, TransferConfig


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    flags.add_flags(parser)
    return parser.parse_args(["--data", "sounds", *words])


#: Flags of learning with a value other than any default, and that value.
LEARNING = {
    "epochs": 7,
    "min_steps": 11,
    "batch_size": 9,
    "learning_rate": 0.02,
    "schedule": "cosine",
    "warmup_steps": 3,
    "layer_decay": 0.7,
    "unfreeze_epochs": 2,
    "patience": 4,
    "class_weights": True,
    "sampling": "balanced",
    "mixup": "none",
    "mixup_alpha": 0.4,
    "crop_seconds": 1.5,
    "time_shift": 0.3,
    "gain": 6.0,
    "spec_augment": False,
    "dropout": False,
    "label_smoothing": 0.1,
    "weight_decay": 0.01,
    "ema": 0.9,
    "precision": "mixed_bfloat16",
    "seed": 5,
}
#: What training does with sound, which a frozen network heard once and for all.
OF_SOUND = {
    *("mixup", "mixup_alpha", "crop_seconds", "time_shift", "gain", "spec_augment", "ema"),
    *("layer_decay", "unfreeze_epochs", "patience", "precision", "dropout"),
}
IDLE = {
    "scratch": {"unfreeze_epochs"},
    "finetune": set(),
    "freeze_l1": OF_SOUND,
    "freeze_l3": OF_SOUND,
    "linear_probe": set(LEARNING) - {"seed"},
}


def words(name: str) -> list[str]:
    """The flag of a setting on the command line."""
    value, flag = LEARNING[name], name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]


def test_every_setting_has_a_flag():
    assert set(LEARNING) | {"strategy"} == set(TransferConfig.__dataclass_fields__)
    for name, value in LEARNING.items():
        assert getattr(parsed(*words(name)), name) == value
        assert not hasattr(parsed(), name), "what is not said must not be a setting"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("setting", LEARNING)
def test_a_flag_is_a_setting_or_refused(setting, strategy):
    options = parsed("--strategy", strategy, *words(setting))
    if setting in IDLE[strategy]:
        flag = setting.replace("_", "-")
        message = f"--{flag} changes nothing under --strategy {strategy}"
        with pytest.raises(ValueError, match=message) as caught:
            config_of(options, is_own=False)
        assert "\n" not in str(caught.value)
        return
    config = config_of(options, is_own=False)
    assert getattr(config, setting) == LEARNING[setting]
    said = {"strategy": strategy, setting: LEARNING[setting]}
    assert config == TransferConfig(**{**DEFAULTS[strategy], **said})


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("is_own", [True, False])
def test_strategies_set_what_is_not_said(strategy, is_own):
    config = config_of(parsed("--strategy", strategy), is_own)
    patience = OWN_PATIENCE if is_own and strategy not in FROZEN else None
    base = {"strategy": strategy, "patience": patience}
    assert config == TransferConfig(**{**base, **DEFAULTS[strategy]})
    assert set(DEFAULTS[strategy]) <= set(LEARNING) - IDLE[strategy]


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize(("said", "expected"), [("0", None), ("3", 3)])
def test_patience_can_be_switched_off(said, expected, is_own):
    assert config_of(parsed("--patience", said), is_own).patience == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("--patience", "-1"), "patience must be at least 1"),
        (("--epochs", "0"), "epochs must be at least 1"),
        (("--layer-decay", "1.5"), "layer_decay must lie in"),
        (("--crop-seconds", "0"), "crop_seconds must lie in"),
        (("--learning-rate", "-1"), "learning"),
        (("--ema", "1"), "ema"),
    ],
)
def test_impossible_settings_are_refused(said, message):
    with pytest.raises(ValueError, match=message) as caught:
        config_of(parsed(*said), is_own=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", (None,)),
        ("5", (5,)),
        ("1, 2,5 ,ALL", (1, 2, 5, None)),
        ("5,1,5,all,all", (5, 1, None)),
        ("010", (10,)),
        ("3,", (3,)),
    ],
)
def test_counts(text, expected):
    assert counts_of(text) == expected


@pytest.mark.parametrize("text", ["", " ", ",", "0", "1,0", "-1", "2.5", "many", "1;2", "²"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ValueError, match="--clips-per-class must list numbers above 0 and all"):
        counts_of(text)


@pytest.mark.parametrize(
    ("text", "first", "expected"), [("1", 0, (0,)), ("3", 5, (5, 6, 7)), ("03", 0, (0, 1, 2))]
)
def test_seeds(text, first, expected):
    assert seeds_of(text, first) == expected


@pytest.mark.parametrize("text", ["0", "-2", "", "1,2", "two", "10001", "1.0", "9" * 40, "²"])
def test_what_is_no_number_of_seeds_is_refused(text):
    with pytest.raises(ValueError, match="--seeds must be a number of trainings, 1 to 10000"):
        seeds_of(text, 0)


def test_a_data_set_of_ones_own_is_not_said_unless_it_is():
    options = parsed()
    assert all(getattr(options, name) is None for name in (*flags.OWN, *flags.OVERRIDES))
    options = parsed("--drop-rare", "--folds", "3", "--fmax", "3500", "--mel-bins", "32")
    assert (options.drop_rare, options.folds, options.fmax, options.mel_bins) == (True, 3, 3500, 32)
    assert options.test is None


def test_help_tells_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["finetune", "--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    for name in (*LEARNING, *flags.OWN, *flags.OVERRIDES, "strategy", "clips_per_class"):
        assert f"--{name.replace('_', '-')}" in told
    for strategy, row in DEFAULTS.items():
        for name in {"epochs", "learning_rate"} & row.keys():
            assert f"{strategy} {row[name]}" in " ".join(told.split())
