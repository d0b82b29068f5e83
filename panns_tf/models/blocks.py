"""What networks are made of: named layers, made once, and the blocks of the reference."""

from collections.abc import Callable, Iterable

from keras import layers

from panns_tf.layers import BatchNorm


class LayerBook:
    """Gives the layer of a name, making it when it is asked for the first time.

    A graph built from the book of another model's layers shares all of them with it.
    """

    def __init__(self, existing: Iterable[layers.Layer] = ()):
        self._layers = {layer.name: layer for layer in existing}

    def __call__(self, kind: Callable[..., layers.Layer], name: str, **settings) -> layers.Layer:
        """Returns layer ``name``, as ``kind(name=name, **settings)`` makes it.

        Layers with weights are named as their module in the reference.
        """
        if name not in self._layers:
            self._layers[name] = kind(name=name, **settings)
        return self._layers[name]


def dropout(layer: LayerBook, name: str, x, rate: float):
    """Element-wise dropout in training; no layer at all if the rate is 0."""
    return layer(layers.Dropout, name, rate=rate)(x) if rate else x


def conv_block(layer: LayerBook, name: str, x, filters: int, pool: tuple[int, int] = (2, 2)):
    """Two 3x3 convolutions, each normalised and rectified, then average pooling.

    Args:
        layer: the layers.
        name: of the block in the reference.
        x: (batch, frames, mel_bins, channels).
        filters: output channels.
        pool: factors of time and frequency; odd rows and columns are dropped.

    Returns:
        (batch, frames // pool[0], mel_bins // pool[1], filters).

    Source: ``ConvBlock`` of the reference.
    """
    for i in (1, 2):
        conv = layer(
            layers.Conv2D,
            f"{name}.conv{i}",
            filters=filters,
            kernel_size=3,
            padding="same",
            use_bias=False,
        )
        x = layer(BatchNorm, f"{name}.bn{i}")(conv(x))
        x = layer(layers.ReLU, f"{name}.relu{i}")(x)
    if pool == (1, 1):
        return x
    return layer(layers.AveragePooling2D, f"{name}.pool", pool_size=pool)(x)


def wave_block(layer: LayerBook, name: str, x, filters: int):
    """Two convolutions over time, the second dilated, then max pooling by 4.

    Args:
        layer: the layers.
        name: of the block in the reference.
        x: (batch, steps, channels).
        filters: output channels.

    Returns:
        (batch, steps // 4, filters).

    Source: ``ConvPreWavBlock`` of the reference.
    """
    for i in (1, 2):
        conv = layer(
            layers.Conv1D,
            f"{name}.conv{i}",
            filters=filters,
            kernel_size=3,
            padding="same",
            dilation_rate=i,
            use_bias=False,
        )
        x = layer(BatchNorm, f"{name}.bn{i}")(conv(x))
        x = layer(layers.ReLU, f"{name}.relu{i}")(x)
    return layer(layers.MaxPooling1D, f"{name}.pool", pool_size=4)(x)
