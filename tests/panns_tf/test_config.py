import pytest

from panns_tf.config import Frontend, TrainConfig


def test_defaults_are_the_papers_recipe():
    config = TrainConfig()
    assert (config.batch_size, config.learning_rate) == (32, 1e-3)
    assert (config.sampling, config.mixup) == ("balanced", "features")
    assert config.clips_per_step == 64
    assert TrainConfig(mixup="none").clips_per_step == 32


def test_whole_numbers_may_be_floats():
    assert Frontend(sample_rate=32000.0).sample_rate == 32000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1; received 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0; received nan"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes must be above 0"),
        ({"mixup": "maybe"}, "mixup must be one of"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"seed": 2**32}, "seed must be 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)
