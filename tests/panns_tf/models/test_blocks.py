import keras
import numpy as np
import pytest

from panns_tf.models.blocks import LayerBook, conv_block, dropout, wave_block


def test_a_name_is_made_once():
    layer = LayerBook()
    dense = layer(keras.layers.Dense, "fc", units=3)
    assert layer(keras.layers.Dense, "fc", units=3) is dense
    assert LayerBook([dense])(keras.layers.Dense, "fc", units=3) is dense
    assert LayerBook()(keras.layers.Dense, "fc", units=3) is not dense


@pytest.mark.parametrize(
    ("pool", "shape"), [((2, 2), (2, 3, 4, 5)), ((2, 1), (2, 3, 9, 5)), ((1, 1), (2, 7, 9, 5))]
)
def test_conv_block_drops_odd_rows_and_columns(pool, shape):
    x = np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype("float32")
    y = conv_block(LayerBook(), "block", x, 5, pool)
    assert y.shape == shape
    assert np.min(y) >= 0


def test_wave_block_has_a_dilated_second_convolution():
    layer = LayerBook()
    x = np.random.default_rng(0).normal(size=(2, 23, 3)).astype("float32")
    assert wave_block(layer, "block", x, 5).shape == (2, 5, 5)
    assert layer(None, "block.conv1").dilation_rate == (1,)
    assert layer(None, "block.conv2").dilation_rate == (2,)


def test_no_dropout_is_no_layer():
    x = np.ones((2, 3), "float32")
    assert dropout(LayerBook(), "d", x, 0.0) is x
