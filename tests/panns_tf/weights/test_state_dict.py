"""Parity with the reference networks, and the strictness of loading."""

import functools

import keras
import numpy as np
import pytest

import panns_tf
from panns_tf.models import create_model, find
from panns_tf.weights.state_dict import frozen_entries, torch_entries
from tests.support import case_waveform, read_json, read_npz, reference_state

TOLERANCE = 2e-5


@functools.lru_cache(maxsize=1)
def loaded(name: str) -> keras.Model:
    model = create_model(name)
    panns_tf.load_torch_state(model, reference_state(name, read_json("cases")[name]["state_seed"]))
    return model


@pytest.mark.parametrize("key", ["2s", "10s", "odd"])
def test_outputs_equal_the_reference(reference, key):
    case = read_json("cases")[reference]["cases"][key]
    outputs = loaded(reference)(case_waveform(case), training=False)
    expected = {
        path.split("/")[1]: value
        for path, value in read_npz(reference).items()
        if path.startswith(f"{key}/") and path != "2s/logmel"
    }
    assert set(expected) <= set(outputs)
    for output, value in expected.items():
        scale = np.abs(value).max() if output == "embedding" else 1  # probabilities as they are
        np.testing.assert_allclose(outputs[output], value, atol=TOLERANCE * scale, rtol=0)


def test_log_mel_equals_the_reference(reference):
    expected = read_npz(reference).get("2s/logmel")
    if expected is None:
        assert "log_mel" not in find(reference).inputs
        return
    case = read_json("cases")[reference]["cases"]["2s"]
    log_mel = loaded(reference).get_layer("log_mel")(case_waveform(case))[0]
    tolerance = 1e-2 if expected.shape[1] == 128 else 1e-3
    np.testing.assert_allclose(log_mel, expected, atol=tolerance, rtol=0)


def break_epsilon(model):
    for layer in model.layers:
        if isinstance(layer, panns_tf.layers.BatchNorm):
            layer.epsilon = 1e-3


def break_window(model):
    layer = model.get_layer("log_mel")
    layer.jit_compile = False
    size = layer.frontend.window_size
    layer._window = np.hanning(size).astype("float32")  # symmetric, not periodic


def break_wavegram(model):
    kernel = model.get_layer("pre_block4.conv1").kernel
    kernel.assign(np.asarray(kernel)[:, ::-1])


@pytest.mark.parametrize("mistake", [break_epsilon, break_window, break_wavegram])
def test_a_mistake_is_noticed(mistake):
    name = "Wavegram_Logmel_Cnn14"
    model = create_model(name)
    panns_tf.load_torch_state(model, reference_state(name, read_json("cases")[name]["state_seed"]))
    mistake(model)
    case = read_json("cases")[name]["cases"]["odd"]
    output = model(case_waveform(case), training=False)["clipwise_output"]
    assert np.abs(output - read_npz(name)["odd/clipwise_output"]).max() > 5 * TOLERANCE


def test_names_are_the_references(reference):
    entries = read_json("manifest")["architectures"][reference]["state"]
    model = loaded(reference)
    ours = {
        key: tuple(np.transpose(variable, np.argsort(axes)).shape)
        for key, (variable, axes) in torch_entries(model).items()
    }
    ours |= {key: value.shape for key, value in frozen_entries(model).items()}
    theirs = {key: tuple(shape) for key, shape, _ in entries if "num_batches" not in key}
    assert ours == theirs


@pytest.fixture
def tiny():
    model = create_model("Tiny", num_classes=3)
    rng = np.random.default_rng(0)
    state = {
        key: rng.normal(size=np.transpose(variable, np.argsort(axes)).shape).astype("float32")
        for key, (variable, axes) in torch_entries(model).items()
    }
    return model, state


def test_frozen_constants_and_counters_may_be_there(tiny):
    model, state = tiny
    constants = {key: value.astype("float32") for key, value in frozen_entries(model).items()}
    panns_tf.load_torch_state(model, {**state, **constants, "bn0.num_batches_tracked": np.array(3)})
    np.testing.assert_array_equal(model.get_layer("fc1").kernel, state["fc1.weight"].T)
    expected = state["conv_block2.conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_layer("conv_block2.conv1").kernel, expected)


def test_every_fault_is_listed_and_nothing_is_loaded(tiny):
    model, state = tiny
    before = [np.asarray(w) for w in model.weights]
    del state["fc1.bias"]
    state["fc2.weight"] = np.zeros(3)
    state["bn0.weight"] = np.zeros(63, "float32")
    state["logmel_extractor.melW"] = np.zeros((129, 64), "float32")
    with pytest.raises(ValueError, match="this is no state of Tiny") as caught:
        panns_tf.load_torch_state(model, state)
    for fault in (
        "missing: fc1.bias",
        "unknown: fc2.weight",
        "misshapen: bn0.weight is (63,), expected (64,)",
        "of another front end: logmel_extractor.melW",
    ):
        assert fault in str(caught.value)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_nan_is_refused(tiny):
    model, state = tiny
    state["fc1.bias"] = np.full_like(state["fc1.bias"], np.nan)
    state["logmel_extractor.melW"] = np.full((129, 64), np.nan, "float32")
    with pytest.raises(ValueError, match=r"not finite numbers: fc1.bias.*front end: logmel"):
        panns_tf.load_torch_state(model, state)


def test_the_window_of_a_checkpoint_is_compared(tiny):
    model, state = tiny
    hamming = create_model("Tiny", num_classes=3, window="hamming")
    with pytest.raises(ValueError, match=r"of another front end: spectrogram_extractor.stft.conv_"):
        panns_tf.load_torch_state(model, {**state, **frozen_entries(hamming)})


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="expected a network"):
        panns_tf.load_torch_state(keras.Sequential(), {})
