"""All networks give the reference's numbers, and mistakes are noticed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import panns_tf
from tests.support import case_waveform, read_json, read_npz, reference_state

TOLERANCE = 2e-5
CASES = read_json("cases")
#: One network of each backbone and head, in the default suite at one length.
SHORT = (
    *("Cnn6", "Wavegram_Logmel_Cnn14", "Cnn14_DecisionLevelAtt", "ResNet22"),
    *("MobileNetV1", "MobileNetV2", "LeeNet11", "DaiNet19", "Res1dNet31"),
)


def loaded(name: str, **overrides) -> keras.Model:
    keras.backend.clear_session()  # the last network's memory
    model = panns_tf.create_model(name, **overrides)
    panns_tf.load_torch_state(model, reference_state(name, CASES[name]["state_seed"]))
    return model


def assert_equals_reference(model: keras.Model, key: str) -> None:
    case = CASES[model.name]["cases"][key]
    outputs = model(case_waveform(case), training=False)
    expected = {
        path.split("/")[1]: value
        for path, value in read_npz(model.name).items()
        if path.startswith(f"{key}/") and path != "2s/logmel"
    }
    assert set(expected) <= set(outputs)
    for name, value in expected.items():
        # Probabilities as they are.
        scale = np.abs(value).max() if name == "embedding" else 1
        np.testing.assert_allclose(outputs[name], value, atol=TOLERANCE * scale, rtol=0)


def assert_log_mel_equals_reference(model: keras.Model) -> None:
    stored = read_npz(model.name)
    names = {layer.name for layer in model.layers}
    assert ("2s/logmel" in stored) == ("log_mel" in names)
    if "2s/logmel" in stored:
        layer = model.get_layer("log_mel")
        log_mel = layer(case_waveform(CASES[model.name]["cases"]["2s"]))[0]
        tolerance = 1e-2 if log_mel.shape[-1] == 128 else 1e-3
        np.testing.assert_allclose(log_mel, stored["2s/logmel"], atol=tolerance, rtol=0)


def assert_state_equals_reference(model: keras.Model) -> None:
    """Names, shapes and values of the state dict, there and back."""
    state = panns_tf.to_torch_state(model)
    entries = read_json("manifest")["architectures"][model.name]["state"]
    shapes = {name: array.shape for name, array in state.items()}
    assert shapes == {name: tuple(shape) for name, shape, _ in entries}
    used = {layer.name for layer in model.layers}
    for name, array in reference_state(model.name, CASES[model.name]["state_seed"]).items():
        if name.rpartition(".")[0] in used:
            np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize("network", SHORT)
def test_one_of_each_backbone_equals_the_reference(network):
    model = loaded(network)
    assert_equals_reference(model, "2s")
    assert_log_mel_equals_reference(model)


@pytest.mark.full
@pytest.mark.parametrize("network", CASES)
def test_every_network_equals_the_reference(network):
    model = loaded(network)
    for key in CASES[network]["cases"]:
        assert_equals_reference(model, key)
    assert_log_mel_equals_reference(model)
    assert_state_equals_reference(model)


def test_names_and_shapes_are_the_references():
    assert_state_equals_reference(loaded("MobileNetV2"))


def break_epsilon(model):
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 1e-3


def break_wavegram(model):
    kernel = model.get_layer("pre_block4.conv1").kernel
    kernel.assign(np.asarray(kernel)[:, ::-1])


def break_pool(model):
    average = model.get_layer("segments.average")
    right = average.call

    def without_padding(padded):
        mean = np.array(right(padded))
        mean[:, [0, -1]] *= 3 / 2  # two values at the ends, where a third is padding
        return tf.constant(mean)

    average.call = without_padding


def break_clamp(model):
    (clamp,) = (operation for operation in model.operations if type(operation).__name__ == "Clip")
    clamp.x_min, clamp.x_max = -1e9, 1e9


@pytest.mark.parametrize(
    ("network", "mistake"),
    [
        ("Wavegram_Logmel_Cnn14", break_epsilon),
        ("Wavegram_Logmel_Cnn14", break_wavegram),
        ("Cnn14_DecisionLevelAvg", break_pool),
        ("Cnn14_DecisionLevelAtt", break_clamp),
    ],
)
@pytest.mark.full
def test_a_mistake_is_noticed(network, mistake):
    model = loaded(network)
    mistake(model)
    output = model(case_waveform(CASES[network]["cases"]["odd"]), training=False)["clipwise_output"]
    assert np.abs(output - read_npz(network)["odd/clipwise_output"]).max() > 5 * TOLERANCE


def log_mel_by_numpy(waveform: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(batch, samples) to (batch, frames, 64) in double precision, at 32 kHz."""
    padded = np.pad(waveform.astype(float), ((0, 0), (512, 512)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 1024, axis=1)[:, ::320]
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    mel = power @ read_npz("frontend")["32k/mel_matrix"]
    return 10 * np.log10(np.maximum(mel, 1e-10)).astype("float32")


def test_a_symmetric_window_is_noticed():
    model = loaded("Cnn6")
    behind = keras.Model(model.get_layer("log_mel").output, model.outputs)
    waveform = case_waveform(CASES["Cnn6"]["cases"]["odd"])
    expected = read_npz("Cnn6")["odd/clipwise_output"]

    def error(window):
        found = behind(log_mel_by_numpy(waveform, window))
        (clipwise,) = [output for output in found if output.shape[-1] == 527]
        return np.abs(clipwise - expected).max()

    assert error(np.hanning(1025)[:-1]) < TOLERANCE
    assert error(np.hanning(1024)) > 5 * TOLERANCE
