"""Loading a state dict is strict, and a network survives the way to PyTorch and back."""

import keras
import numpy as np
import pytest

import panns_tf
from tests.support import GRAPHS

COUNTER = "num_batches_tracked"
FROZEN = ("spectrogram_extractor.", "logmel_extractor.")


@pytest.fixture
def tiny():
    """A network, and a state dict with other values of what it learns."""
    model = panns_tf.create_model("Tiny", num_classes=3)
    rng = np.random.default_rng(0)
    state = {
        key: rng.normal(size=array.shape).astype("float32")
        for key, array in panns_tf.to_torch_state(model).items()
        if COUNTER not in key and not key.startswith(FROZEN)
    }
    return model, state


def test_constants_and_counters_may_be_there(tiny):
    model, state = tiny
    whole = panns_tf.to_torch_state(model)
    constants = {key: array for key, array in whole.items() if key.startswith(FROZEN)}
    assert len(constants) == 3
    panns_tf.load_torch_state(model, {**state, **constants, f"bn0.{COUNTER}": np.array(3)})
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
    with pytest.raises(ValueError, match=r"fc1.bias.*logmel_extractor"):
        panns_tf.load_torch_state(model, state)


def test_the_window_of_a_checkpoint_is_compared(tiny):
    model, state = tiny
    hamming = panns_tf.to_torch_state(panns_tf.create_model("Tiny", 3, window="hamming"))
    constants = {key: array for key, array in hamming.items() if key.startswith(FROZEN)}
    with pytest.raises(ValueError, match=r"of another front end: spectrogram_extractor.stft.conv_"):
        panns_tf.load_torch_state(model, {**state, **constants})


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="expected a network"):
        panns_tf.load_torch_state(keras.Sequential(), {})


def test_unused_modules_may_be_there_in_their_shape_only():
    model = panns_tf.create_model("DaiNet19", num_classes=5)
    whole = panns_tf.to_torch_state(model)
    unused = [name for name in whole if "conv_block1.downsample" in name]
    assert unused
    panns_tf.load_torch_state(model, {k: v for k, v in whole.items() if k not in unused})
    state = {**whole, unused[0]: np.zeros((1, 2, 3), "float32")}
    with pytest.raises(
        ValueError, match=r"misshapen: conv_block1.downsample.weight is \(1, 2, 3\)"
    ):
        panns_tf.load_torch_state(model, state)
    with pytest.raises(ValueError, match=rf"unknown: fc9.{COUNTER}"):
        panns_tf.load_torch_state(model, {**whole, f"fc9.{COUNTER}": np.zeros((), "int64")})


def test_networks_survive_the_way_to_pytorch_and_back():
    for row in GRAPHS:
        model, other = (panns_tf.create_model(row.name, num_classes=5) for _ in range(2))
        rng = np.random.default_rng(0)
        for variable in model.weights:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        state = panns_tf.to_torch_state(model)
        assert {array.dtype.name for array in state.values()} <= {"float32", "int64"}
        panns_tf.load_torch_state(other, state)
        for a, b in zip(model.weights, other.weights, strict=True):
            if "seed" not in a.path:
                np.testing.assert_array_equal(a, b)
