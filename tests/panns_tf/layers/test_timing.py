import keras
import numpy as np
import pytest

from panns_tf.layers import ConcatenateInTime, PadToMinimum


@pytest.mark.parametrize("samples", [1, 9, 10, 11, 30])
def test_pads_short_clips_at_their_end(samples):
    x = np.random.default_rng(0).normal(size=(2, samples)).astype("float32")
    y = np.asarray(PadToMinimum(10)(x))
    assert y.shape == (2, max(10, samples))
    np.testing.assert_array_equal(y[:, :samples], x)
    assert not y[:, samples:].any()
    assert PadToMinimum(10)(keras.Input((samples,))).shape == (None, max(10, samples))


@pytest.mark.parametrize("frames", [(4, 4), (4, 5), (5, 4)])
def test_concatenation_crops_to_the_shortest(frames):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(2, t, 3, 4)).astype("float32") for t in frames)
    expected = np.concatenate([a[:, :4], b[:, :4]], axis=-1)
    np.testing.assert_array_equal(ConcatenateInTime()([a, b]), expected)
    inputs = [keras.Input(x.shape[1:]) for x in (a, b)]
    assert ConcatenateInTime()(inputs).shape == (None, 4, 3, 8)
