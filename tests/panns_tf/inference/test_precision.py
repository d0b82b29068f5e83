import keras
import numpy as np
import pytest

from panns_tf.inference import precision
from panns_tf.inference.precision import in_precision
from panns_tf.weights.loading import create_model
from tests.panns_tf.inference.support import kept, noise


def test_float32_is_the_network_itself():
    assert in_precision(kept("Tiny")) is kept("Tiny")


def test_a_network_of_another_policy_is_copied(policy):
    policy("mixed_float16")
    network = create_model("Tiny", 3)
    network.labels = ["a", "b", "c"]
    copy = in_precision(network, "float32")
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    assert copy.labels == network.labels
    for ours, theirs in zip(copy.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bfloat16_keeps_front_end_and_outputs(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    before = keras.config.dtype_policy()
    copy = in_precision(kept("Tiny"), "bfloat16")
    assert keras.config.dtype_policy() == before
    dtypes = {layer.name: layer.compute_dtype for layer in copy.layers}
    assert dtypes["conv_block3.conv1"] == "bfloat16"
    assert dtypes["log_mel"] == dtypes["bn0"] == dtypes["fc_audioset"] == "float32"
    waveform = noise(16000)[None]
    ours, exact = (m(waveform)["clipwise_output"] for m in (copy, kept("Tiny")))
    distance = np.abs(np.asarray(ours) - np.asarray(exact)).max()
    assert 0 < distance < 0.03


def test_refuses_what_is_only_imitated(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    with pytest.raises(ValueError, match="--precision bfloat16: neither this processor"):
        in_precision(kept("Tiny"), "bfloat16")


def test_names_the_choices():
    with pytest.raises(ValueError, match=r"must be one of .*float32.*received 'int8'"):
        in_precision(kept("Tiny"), "int8")
