import pytest

from panns_tf.transfer.settings import DEFAULTS, STRATEGIES, TransferConfig


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_defaults_of_a_strategy_are_settings(strategy):
    config = TransferConfig(strategy=strategy, **DEFAULTS[strategy])
    assert config.train_config(10).learning_rate == config.learning_rate


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strategy": "freeze_l2"}, "strategy must be one of"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"min_steps": 0}, "min_steps"),
        ({"patience": 0}, "patience"),
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"layer_decay": 1.5}, "layer_decay"),
        ({"crop_seconds": 0.0}, "crop_seconds"),
        ({"crop_seconds": float("nan")}, "crop_seconds"),
        ({"sampling": "alternate"}, "sampling"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"mixup": "both"}, "mixup"),
        ({"precision": "float8"}, "precision"),
    ],
)
def test_impossible_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        TransferConfig(**given)


def test_an_epoch_hears_every_clip_about_once():
    plain = TransferConfig(mixup="none", batch_size=8)
    mixed = TransferConfig(batch_size=8)  # mixup draws two clips for one
    assert plain.steps_per_epoch(320) == 40
    assert mixed.steps_per_epoch(320) == 20
    assert plain.steps_per_epoch(1) == 1
    assert TransferConfig(epochs=2, min_steps=100).steps(10) == 100
