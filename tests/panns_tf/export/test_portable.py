"""Networks in operations that every runtime has."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import Frontend
from panns_tf.export.check import excess
from panns_tf.export.portable import ConvolvedLogMel, DilatedConv1D, portable
from panns_tf.layers.log_mel import LogMel
from panns_tf.models.registry import FRONTEND_8K, FRONTEND_16K
from tests.panns_tf.export.support import sound, trained
from tests.support import GRAPHS

#: These in the default suite.
SHORT = ("Thin_Cnn14_DecisionLevelMax", "Thin_Wavegram_Logmel_Cnn14")
FRONTENDS = {
    "32k": (Frontend(), 1e-3),
    "128 bins": (Frontend(mel_bins=128), 1e-2),  # the lowest filters hold parts of one frequency
    "16k": (FRONTEND_16K, 1e-3),
    "8k": (FRONTEND_8K, 1e-3),
    "odd": (Frontend(22050, 800, 173, 40, 0.0, 11025.0, "hamming"), 1e-3),
}


@pytest.mark.parametrize("which", FRONTENDS)
def test_the_convolved_log_mel_is_the_log_mel(which, plain):
    frontend, tolerance = FRONTENDS[which]
    layer = ConvolvedLogMel(frontend)
    expected = LogMel(**vars(frontend))
    for samples in (1, 100, 513, 8000, 20001):
        for x in (sound(2, samples), np.zeros((1, samples), "float32")):
            assert layer(x).shape == expected(x).shape
            np.testing.assert_allclose(layer(x), expected(x), atol=tolerance)


@pytest.mark.parametrize("change", [{"window": "hamming"}, {"fmin": 60.0}, {"hop_size": 321}])
def test_other_settings_are_another_log_mel(change, plain):
    x = sound(1, 8000)
    expected = LogMel(**{**vars(Frontend()), **change})(x)
    frames = expected.shape[1]
    assert np.abs(ConvolvedLogMel(Frontend())(x)[:, :frames] - expected).max() > 0.1


def operations(model) -> set[str]:
    traced = tf.function(lambda x: model(x, training=False))
    graph = traced.get_concrete_function(tf.TensorSpec((None, None))).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(
    "which",
    [pytest.param(row.name, marks=() if row.name in SHORT else pytest.mark.full) for row in GRAPHS],
)
def test_every_network_gives_the_same_portable(which, plain):
    network = trained(which)
    model = portable(network)
    for clips, samples in ((1, 20000), (2, 45678)):
        x = sound(clips, samples)
        found, expected = (
            {name: np.asarray(value) for name, value in outputs(x, training=False).items()}
            for outputs in (model, network)
        )
        assert excess(found, expected) < 0.5
    found = operations(model)
    foreign = {"RFFT", "SpaceToBatchND", "XlaLaunch", "FusedBatchNormV3"}
    assert not foreign & found
    assert not any("Call" in kind for kind in found)  # the plain log-mel is a compiled function


def test_the_network_itself_has_foreign_operations(plain):
    assert "RFFT" in operations(trained("Tiny"))
    assert "SpaceToBatchND" in operations(trained("Wavegram_Tiny"))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("size", "dilation"), [(3, 2), (2, 3), (5, 4)])
def test_dilated_convolution_is_keras_own(size, dilation, padding, bias):
    layer = keras.layers.Conv1D(
        5, size, dilation_rate=dilation, padding=padding, use_bias=bias, bias_initializer="ones"
    )
    x = sound(2, 4 * 40).reshape(2, 40, 4)
    expected = layer(x)
    np.testing.assert_allclose(DilatedConv1D.like(layer)(x), expected, atol=1e-5)
