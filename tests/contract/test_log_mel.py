"""The log-mel is the reference's and librosa's."""

import keras
import numpy as np
import pytest

from panns_tf import LogMel
from tests.support import case_waveform, read_json, read_npz

CASES = read_json("frontend")["cases"]
SETTINGS = ("sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax", "window")


def layer(case: dict) -> LogMel:
    return LogMel(**{name: case[name] for name in SETTINGS})


def tolerance(case: dict) -> float:
    return 1e-2 if case["mel_bins"] == 128 else 1e-3


@pytest.mark.parametrize("key", CASES)
def test_equals_the_reference(key):
    case = CASES[key]
    waveform = case_waveform({"batch": 1, **case})
    log_mel = layer(case)(waveform)[0]
    expected = read_npz("frontend")
    np.testing.assert_allclose(log_mel, expected[f"{key}/logmel"], atol=tolerance(case), rtol=0)
    exact = expected[f"{key}/logmel_librosa"]
    np.testing.assert_allclose(log_mel, exact, atol=tolerance(case), rtol=0)


@pytest.mark.parametrize("key", CASES)
def test_the_other_window_is_noticed(key):
    case = dict(CASES[key])
    case["window"] = {"hann": "hamming", "hamming": "hann"}[case["window"]]
    log_mel = layer(case)(case_waveform({"batch": 1, **case}))[0]
    assert np.abs(log_mel - read_npz("frontend")[f"{key}/logmel"]).max() > 10 * tolerance(case)


def test_any_length_gives_one_frame_per_hop():
    for samples in (1, 2, 319, 320, 511, 512, 513, 1023, 1024, 7777, 32001):
        waveform = np.random.default_rng(samples).uniform(-1, 1, (2, samples)).astype("float32")
        log_mel = LogMel()(waveform)
        assert log_mel.shape == (2, 1 + samples // 320, 64)
        assert np.isfinite(log_mel).all()


def test_short_clips_are_extended_by_zeros():
    waveform = np.random.default_rng(0).uniform(-1, 1, (1, 100)).astype("float32")
    extended = np.pad(waveform, ((0, 0), (0, 413)))
    np.testing.assert_allclose(LogMel()(waveform), LogMel()(extended)[:, :1], atol=1e-4)


def test_silence_is_minus_100_db():
    np.testing.assert_allclose(LogMel()(np.zeros((1, 4000), "float32")), -100, atol=1e-4)


@pytest.mark.parametrize("policy_name", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_is_float32_under_any_policy(policy_name, policy):
    waveform = np.random.default_rng(0).uniform(-1, 1, (1, 8000)).astype("float32")
    expected = LogMel()(waveform)
    policy(policy_name)
    log_mel = LogMel()(waveform)
    assert log_mel.dtype == "float32"
    np.testing.assert_array_equal(log_mel, expected)


def test_works_with_dynamic_shapes_in_compiled_predict():
    inputs = keras.Input((None,))
    model = keras.Model(inputs, LogMel()(inputs))
    assert model.output_shape == (None, None, 64)
    waveform = np.random.default_rng(0).uniform(-1, 1, (2, 5000)).astype("float32")
    np.testing.assert_allclose(model.predict(waveform, verbose=0), LogMel()(waveform), atol=1e-3)


def test_survives_serialisation():
    original = LogMel(16000, 512, 160, 64, 50, 8000, window="hamming")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(original))
    waveform = np.random.default_rng(0).uniform(-1, 1, (1, 8000)).astype("float32")
    np.testing.assert_array_equal(copy(waveform), original(waveform))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fmax": 16001}, "fmax"),
        ({"fmin": -1}, "fmin"),
        ({"fmin": 14000}, "fmin < fmax"),
        ({"window": "kaiser"}, "window must be one of"),
        ({"window_size": 1023}, "even"),
        ({"hop_size": 0}, "hop_size must be a whole number"),
        ({"mel_bins": 2.5}, "mel_bins must be a whole number"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LogMel(**settings)


@pytest.mark.parametrize("shape", [(100,), (1, 100, 1), (1, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="LogMel expects"):
        LogMel()(np.zeros(shape, "float32"))
