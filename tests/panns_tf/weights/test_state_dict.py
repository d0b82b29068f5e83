"""Parity with the reference networks, and the strictness of loading."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import panns_tf
from panns_tf.models import Network, blueprint, create_model
from panns_tf.weights.state_dict import COUNTER, entry_shapes, frozen_entries, torch_entries
from tests.support import case_waveform, read_json, read_npz, reference_state

TOLERANCE = 2e-5


def loaded(network: str) -> keras.Model:
    keras.backend.clear_session()  # the last network's memory
    model = Network(network, zeros=True)
    seed = read_json("cases")[network]["state_seed"]
    panns_tf.load_torch_state(model, reference_state(network, seed))
    return model


def test_outputs_equal_the_reference(reference):
    model, stored = loaded(reference), read_npz(reference)
    for key, case in read_json("cases")[reference]["cases"].items():
        outputs = model(case_waveform(case), training=False)
        expected = {
            path.split("/")[1]: value
            for path, value in stored.items()
            if path.startswith(f"{key}/") and path != "2s/logmel"
        }
        assert set(expected) <= set(outputs)
        for output, value in expected.items():
            # Probabilities as they are.
            scale = np.abs(value).max() if output == "embedding" else 1
            np.testing.assert_allclose(outputs[output], value, atol=TOLERANCE * scale, rtol=0)
    assert ("2s/logmel" in stored) == ("log_mel" in model.row.inputs)
    if "2s/logmel" in stored:
        case = read_json("cases")[reference]["cases"]["2s"]
        log_mel = model.get_layer("log_mel")(case_waveform(case))[0]
        tolerance = 1e-2 if model.row.frontend.mel_bins == 128 else 1e-3
        np.testing.assert_allclose(log_mel, stored["2s/logmel"], atol=tolerance, rtol=0)


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
        ("Wavegram_Logmel_Cnn14", break_window),
        ("Wavegram_Logmel_Cnn14", break_wavegram),
        ("Cnn14_DecisionLevelAvg", break_pool),
        ("Cnn14_DecisionLevelAtt", break_clamp),
    ],
)
def test_a_mistake_is_noticed(network, mistake):
    model = loaded(network)
    mistake(model)
    case = read_json("cases")[network]["cases"]["odd"]
    output = model(case_waveform(case), training=False)["clipwise_output"]
    assert np.abs(output - read_npz(network)["odd/clipwise_output"]).max() > 5 * TOLERANCE


def test_names_and_shapes_are_the_references(reference):
    entries = read_json("manifest")["architectures"][reference]["state"]
    required, optional = entry_shapes(blueprint(reference))
    ours = {**required, **optional}
    counters = {key.replace("running_var", COUNTER): () for key in ours if "running_var" in key}
    assert {**ours, **counters} == {key: tuple(shape) for key, shape, _ in entries}


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
    with pytest.raises(ValueError, match=r"numbers: fc1.bias.*numbers: logmel_extractor"):
        panns_tf.load_torch_state(model, state)


def test_the_window_of_a_checkpoint_is_compared(tiny):
    model, state = tiny
    hamming = create_model("Tiny", num_classes=3, window="hamming")
    with pytest.raises(ValueError, match=r"of another front end: spectrogram_extractor.stft.conv_"):
        panns_tf.load_torch_state(model, {**state, **frozen_entries(hamming)})


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="expected a network"):
        panns_tf.load_torch_state(keras.Sequential(), {})


def test_a_network_survives_the_way_to_pytorch_and_back(thin, plain):
    model = create_model(thin, num_classes=5)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    state = panns_tf.to_torch_state(model)
    required, optional = entry_shapes(model)
    shapes = {k: v.shape for k, v in state.items() if COUNTER not in k}
    assert shapes == {**required, **optional}
    assert {array.dtype.name for array in state.values()} <= {"float32", "int64"}
    other = create_model(thin, num_classes=5)
    panns_tf.load_torch_state(other, state)
    for a, b in zip(model.weights, other.weights, strict=True):
        if "seed" not in a.path:
            np.testing.assert_array_equal(a, b)


def test_unused_modules_may_be_there_in_their_shape_only():
    model = create_model("DaiNet19", num_classes=5)
    state = panns_tf.to_torch_state(model)
    unused = [name for name in state if "conv_block1.downsample" in name]
    assert unused
    panns_tf.load_torch_state(model, {k: v for k, v in state.items() if k not in unused})
    state[unused[0]] = np.zeros((1, 2, 3), "float32")
    with pytest.raises(
        ValueError, match=r"misshapen: conv_block1.downsample.weight is \(1, 2, 3\)"
    ):
        panns_tf.load_torch_state(model, state)
    state = {**panns_tf.to_torch_state(model), "fc9.num_batches_tracked": np.zeros((), "int64")}
    with pytest.raises(ValueError, match=r"unknown: fc9.num_batches_tracked"):
        panns_tf.load_torch_state(model, state)
