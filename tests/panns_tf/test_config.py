import dataclasses

import pytest

from panns_tf.config import FitSettings, Frontend, TrainConfig, train_config
from tfrecords.flags import settings_of


def test_defaults_are_the_papers_recipe():
    config = TrainConfig()
    assert (config.batch_size, config.learning_rate) == (32, 1e-3)
    assert (config.sampling, config.mixup) == ("balanced", "features")
    assert config.clips_per_step == 64
    assert TrainConfig(mixup="none").clips_per_step == 32


def test_the_front_end_checks_its_settings():
    assert Frontend(sample_rate=32000.0).sample_rate == 32000
    for settings, message in (
        ({"mel_bins": 0}, "mel_bins must be a whole number of at least 1; received 0"),
        ({"hop_size": 1.5}, "hop_size must be a whole number"),
        ({"window_size": 1023}, "window_size must be even"),
        ({"window": "boxcar"}, "window must be one of"),
        ({"sample_rate": 8000}, "for this rate pass for instance fmax=4000"),
        ({"fmin": 300, "fmax": 200}, "expected 0 <= fmin < fmax"),
    ):
        with pytest.raises(ValueError, match=message):
            Frontend(**settings)


def test_settings_of_the_network_are_those_of_the_front_end():
    config = TrainConfig(mel_bins=32, embedding_size=128)
    assert config.overrides == {"mel_bins": 32, "embedding_size": 128}
    assert not TrainConfig().overrides
    for name in ("sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax"):
        assert settings_of(TrainConfig)[name][1] == settings_of(Frontend)[name][1]


def test_impossible_settings_are_refused_in_a_line():
    for settings, message in (
        ({"steps": 0}, "steps must be at least 1; received 0"),
        ({"batch_size": 6, "accumulate": 4}, "cannot be cut into 4 equal parts"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be finite"),
        ({"weight_decay": float("nan")}, "weight_decay must be at least 0; received nan"),
        ({"time_shift": 3601.0}, r"time_shift must be at least 0 and at most 3600"),
        ({"fraction": 0}, r"fraction must be above 0 and at most 1; received 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be at least 0 and below 1"),
        ({"ema": 1.0}, r"ema must be above 0 and below 1; received 1"),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine; received 'linear'"),
        ({"seed": 2**32}, "seed must be "),
        ({"profile": "30:20"}, "profile must be START:STOP"),
        ({"profile": "5:20", "steps": 10}, "two numbers of steps up to 10"),
        ({"steps": 1.0}, "steps must be a whole number; received 1.0"),
        ({"steps": True}, "steps must be a whole number; received True"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number; received '1e-3'"),
        ({"eval_steps": 2.5}, "eval_steps must be a whole number or nothing; received 2.5"),
        ({"dropout": 1}, "dropout must be true or false; received 1"),
        ({"mixup": ["none"]}, "mixup must be a text; received"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            TrainConfig(**settings)
        assert "\n" not in str(error.value)


def test_limits_themselves_are_possible():
    limits = {"fraction": 1, "distill_weight": 1, "label_smoothing": 0, "gain": 0, "ema": None}
    config = TrainConfig(**limits, seed=0, batch_size=6, accumulate=6, checkpoint_minutes=None)
    assert {name: getattr(config, name) for name in limits} == limits


def test_precision_decides_the_policy():
    assert TrainConfig(precision="tf32").policy == "float32"
    assert TrainConfig(precision="mixed_bfloat16").policy == "mixed_bfloat16"


def test_a_runs_settings_are_read_back_and_unknown_ones_refused():
    config = TrainConfig(arch="Cnn6", mel_bins=32, ema=0.9)
    assert train_config(dataclasses.asdict(config)) == config
    assert train_config({"cache": None, "arch": "Cnn6"}) == TrainConfig(arch="Cnn6")
    with pytest.raises(ValueError, match="unknown settings: mel_bands"):
        train_config({"mel_bands": 3})


def test_every_setting_has_a_help():
    for cls in (Frontend, FitSettings, TrainConfig):
        assert {field.name for field in dataclasses.fields(cls)} == set(settings_of(cls))
        assert all(about.help for _, about, _ in settings_of(cls).values())
