"""Flags become settings, and what would change nothing is refused."""

import argparse
import dataclasses

import pytest

from panns_tf.cli import main
from panns_tf.transfer import cli
from panns_tf.transfer.settings import (
    DEFAULTS,
    FROZEN,
    STRATEGIES,
    USER_PATIENCE,
    FinetuneConfig,
    Options,
    finetune_config,
    finetune_options,
    used_settings,
)

#: Flags of learning with a value other than any default.
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
#: What training does with sound and network, which frozen strategies do not use.
OF_SOUND = {
    *("mixup", "mixup_alpha", "crop_seconds", "time_shift", "gain", "spec_augment", "ema"),
    *("layer_decay", "unfreeze_epochs", "patience", "precision", "dropout"),
}
UNUSED = {
    "scratch": {"unfreeze_epochs"},
    "finetune": set(),
    "freeze_l1": OF_SOUND,
    "freeze_l3": OF_SOUND,
    "linear_probe": set(LEARNING) - {"seed"},
}


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_finetune_flags(parser)
    return parser.parse_args(["--data", "sounds", *map(str, words)])


def flag(name: str) -> list[str]:
    value, dashed = LEARNING[name], name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    return [f"--{dashed}", str(value)]


def test_every_flag_is_a_setting_or_refused():
    assert set(LEARNING) | {"strategy"} == {f.name for f in dataclasses.fields(FinetuneConfig)}
    for strategy in STRATEGIES:
        assert set(LEARNING) - used_settings(strategy) == UNUSED[strategy]
        for name, value in LEARNING.items():
            namespace = parsed("--task", "esc50", "--strategy", strategy, *flag(name))
            if name not in UNUSED[strategy]:
                given = {"strategy": strategy, name: value}
                config = finetune_config(namespace)
                assert config == FinetuneConfig(**{**DEFAULTS[strategy], **given})
                continue
            error = f"--{name.replace('_', '-')} changes nothing under --strategy {strategy}"
            with pytest.raises(ValueError, match=error):
                finetune_config(namespace)


def test_patience_is_on_for_user_data():
    for strategy in STRATEGIES:
        user = finetune_config(parsed("--strategy", strategy))
        assert user.patience == (None if strategy in FROZEN else USER_PATIENCE)
        assert finetune_config(parsed("--strategy", strategy, "--task", "esc50")).patience is None
    assert not finetune_config(parsed("--patience", 0)).patience


@pytest.mark.parametrize(
    "words",
    [
        ("--patience", -1),
        ("--epochs", 0),
        ("--layer-decay", 1.5),
        ("--crop-seconds", 0),
        ("--learning-rate", -1),
        ("--ema", 1),
        ("--test", 1),
        ("--validation", -0.1),
        ("--folds", 1),
        ("--clip-seconds", 0.01),
        ("--workers", 0),
        ("--seeds", 0),
        ("--clips-per-class", "1;2"),
        ("--clips-per-class", "1,0"),
    ],
)
def test_impossible_values_are_refused_by_name(words):
    namespace = parsed(*words)
    name = words[0][2:].replace("-", "[-_]")
    with pytest.raises(ValueError, match=name) as caught:
        finetune_config(namespace), finetune_options(namespace)
    assert "\n" not in str(caught.value)


def test_flags_that_exclude_each_other():
    for words, error in (
        (("--task", "gtzan", "--folds", 3), "--folds is for user data; --task gtzan has its"),
        (("--task", "gtzan", "--drop-rare"), "--drop-rare is for user data"),
        (("--strategy", "scratch", "--weights", "x"), "leave --weights out"),
    ):
        with pytest.raises(ValueError, match=error):
            finetune_options(parsed(*words))


def test_lists():
    for text, expected in (("all", (None,)), ("1, 2,5 ,ALL", (1, 2, 5, None)), ("5,1,5", (1, 5))):
        assert Options(data="x", clips_per_class=text).counts == expected


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["finetune", "--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    for name in (*LEARNING, *(f.name for f in dataclasses.fields(Options)), "hop_size", "fmax"):
        assert f"--{name.replace('_', '-')}" in told
    for strategy, row in DEFAULTS.items():
        for name in {"epochs", "learning_rate"} & row.keys():
            assert f"{strategy} {row[name]}" in " ".join(told.split())
