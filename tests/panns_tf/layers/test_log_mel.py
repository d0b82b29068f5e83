import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import Frontend
from panns_tf.layers.log_mel import LogMel, analysis_window, mel_matrix
from tests.support import case_waveform, read_json, read_npz

CASES = read_json("frontend")["cases"]


def frontend(case: dict) -> Frontend:
    return Frontend(**{name: case[name] for name in Frontend.__dataclass_fields__})


def layer(settings: Frontend, **kwargs) -> LogMel:
    return LogMel(**vars(settings), **kwargs)


def tolerance(case: dict) -> float:
    return 1e-2 if case["mel_bins"] == 128 else 1e-3


@pytest.mark.parametrize("key", CASES)
@pytest.mark.parametrize("jit_compile", [True, False])
def test_equals_the_reference(key, jit_compile):
    case = CASES[key]
    waveform = case_waveform({"batch": 1, **case})
    log_mel = layer(frontend(case), jit_compile=jit_compile)(waveform)[0]
    expected = read_npz("frontend")
    np.testing.assert_allclose(log_mel, expected[f"{key}/logmel"], atol=tolerance(case), rtol=0)
    exact = expected[f"{key}/logmel_librosa"]
    np.testing.assert_allclose(log_mel, exact, atol=tolerance(case), rtol=0)


@pytest.mark.parametrize("key", CASES)
def test_the_other_window_is_noticed(key):
    case = dict(CASES[key])
    case["window"] = {"hann": "hamming", "hamming": "hann"}[case["window"]]
    log_mel = layer(frontend(case))(case_waveform({"batch": 1, **case}))[0]
    assert np.abs(log_mel - read_npz("frontend")[f"{key}/logmel"]).max() > 10 * tolerance(case)


@pytest.mark.parametrize("key", [key for key in CASES if key.endswith("hann")])
def test_mel_filters_equal_librosa(key):
    settings = frontend(CASES[key])
    expected = librosa.filters.mel(
        sr=settings.sample_rate,
        n_fft=settings.window_size,
        n_mels=settings.mel_bins,
        fmin=settings.fmin,
        fmax=settings.fmax,
        dtype=np.float64,
    ).T
    np.testing.assert_allclose(mel_matrix(settings), expected, atol=1e-12)
    stored = read_npz("frontend")[f"{key.split('/')[0]}/mel_matrix"]
    np.testing.assert_allclose(mel_matrix(settings), stored, atol=3e-9)


def test_windows_are_periodic():
    hann = analysis_window(Frontend())
    assert hann[0] == 0
    assert hann[512] == 1
    assert hann[1] == pytest.approx(hann[-1])
    assert analysis_window(Frontend(window="hamming"))[0] == pytest.approx(0.08)


@pytest.mark.parametrize("samples", [1, 2, 319, 320, 511, 512, 513, 1023, 1024, 7777, 32001])
def test_any_length_gives_one_frame_per_hop(samples):
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


def test_is_compiled_by_xla_on_its_own_and_within_a_step():
    log_mel = LogMel()

    @tf.function
    def step(waveform):
        return log_mel(waveform)

    graph = step.get_concrete_function(tf.TensorSpec((2, 4000), tf.float32)).graph.as_graph_def()

    def must_compile(node):
        return node.attr["_XlaMustCompile"].b

    calls = [node.attr["f"].func.name for node in graph.node if "f" in node.attr]
    compiled = [f for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    assert compiled, f"no compiled function among {calls}"


def test_survives_serialisation():
    original = LogMel(16000, 512, 160, 64, 50, 8000, window="hamming", jit_compile=False)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(original))
    assert copy.frontend == original.frontend
    assert copy.jit_compile is False


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
