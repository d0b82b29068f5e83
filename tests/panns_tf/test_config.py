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
        ({"accumulate": 0}, "accumulate must be at least 1; received 0"),
        ({"steps_per_call": 0}, "steps_per_call must be at least 1"),
        ({"batch_size": 32, "accumulate": 3}, "batch_size 32 cannot be cut into 3 equal parts"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative; received -1"),
        ({"weight_decay": -1e-4}, "weight_decay must not be negative"),
        ({"weight_decay": float("nan")}, "weight_decay must not be negative; received nan"),
        ({"time_shift": float("inf")}, "time_shift must not be negative; received inf"),
        ({"gain": -1.0}, "gain must not be negative"),
        ({"mixup_alpha": 0}, "mixup_alpha must be above 0"),
        ({"fraction": 0}, r"fraction must lie in \(0, 1\]; received 0"),
        ({"distill_weight": 1.01}, r"distill_weight must lie in \(0, 1\]"),
        ({"label_smoothing": 1}, r"label_smoothing must lie in \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"label_smoothing must lie in \[0, 1\)"),
        ({"ema": 1}, "ema must lie between 0 and 1; received 1"),
        ({"ema": 0.0}, "ema must lie between 0 and 1"),
        ({"ema": float("nan")}, "ema must lie between 0 and 1; received nan"),
        ({"schedule": "linear"}, r"schedule must be one of \('constant', 'cosine'\)"),
        ({"sampling": "random"}, "sampling must be one of"),
        ({"decimation": "fast"}, "decimation must be one of"),
        ({"damaged": "ignore"}, "damaged must be one of"),
        ({"xla": "yes"}, "xla must be one of"),
        ({"full_disk": "wait"}, "full_disk must be one of"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 1.0}, "steps must be a whole number; received 1.0"),
        ({"steps": True}, "steps must be a whole number; received True"),
        ({"steps": "10"}, "steps must be a whole number; received '10'"),
        ({"steps": None}, "steps must be a whole number; received None"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number; received '1e-3'"),
        ({"learning_rate": True}, "learning_rate must be a number; received True"),
        ({"ema": "0.9"}, "ema must be a number or nothing; received '0.9'"),
        ({"eval_steps": 2.5}, "eval_steps must be a whole number or nothing; received 2.5"),
        ({"dropout": 1}, "dropout must be bool; received 1"),
        ({"sync_batchnorm": None}, "sync_batchnorm must be bool; received None"),
        ({"exclude": 3}, "exclude must be a text or nothing; received 3"),
        ({"distill": True}, "distill must be a text or nothing; received True"),
        ({"mixup": ["none"]}, "mixup must be a text; received"),
    ],
)
def test_settings_of_another_type_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_limits_themselves_are_possible():
    limits = {"fraction": 1, "distill_weight": 1, "label_smoothing": 0, "gain": 0, "ema": None}
    config = TrainConfig(**limits, seed=0, batch_size=6, accumulate=6, checkpoint_minutes=None)
    assert {name: getattr(config, name) for name in limits} == limits


@pytest.mark.parametrize(
    ("precision", "policy"),
    [("float32", "float32"), ("tf32", "float32"), ("mixed_bfloat16", "mixed_bfloat16")],
)
def test_precision_decides_the_policy(precision, policy):
    assert TrainConfig(precision=precision).policy == policy
