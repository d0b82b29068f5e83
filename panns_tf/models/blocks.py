"""What networks are made of: named layers, made once, and the blocks of the reference."""

from collections.abc import Callable, Iterable

from keras import layers

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.cpu import Conv2D


class LayerFactory:
    """Gives the layer of a name, making it when it is asked for the first time.

    A graph built from another model's layers shares all of them with it.

    Args:
        existing: layers that are there already.
        zeros: whether kernels start as zeros, which takes less time and memory than drawing
            them, for networks whose weights are loaded anyway.
    """

    def __init__(self, existing: Iterable[layers.Layer] = (), zeros: bool = False):
        self._layers = {layer.name: layer for layer in existing}
        self._zeros = zeros

    def __call__(self, kind: Callable[..., layers.Layer], name: str, **settings) -> layers.Layer:
        """Returns layer ``name``, as ``kind(name=name, **settings)`` makes it.

        Layers with weights are named as their module in the reference.
        """
        if name not in self._layers:
            if self._zeros and issubclass(kind, (layers.Conv1D, layers.Conv2D, layers.Dense)):
                settings["kernel_initializer"] = "zeros"
            self._layers[name] = kind(name=name, **settings)
        return self._layers[name]


def dropout(layer: LayerFactory, name: str, x, rate: float):
    """Element-wise dropout in training; no layer at all if the rate is 0."""
    return layer(layers.Dropout, name, rate=rate)(x) if rate else x


def convolve(layer: LayerFactory, name: str, x, filters: int, size: int, **settings):
    """A convolution without bias over time, or over time and frequency as ``x`` has them.

    Stride 1 with "same" padding, which for odd sizes is the reference's, unless ``settings``
    say otherwise.
    """
    kind = Conv2D if len(x.shape) == 4 else layers.Conv1D
    settings = {"padding": "same", "use_bias": False, **settings}
    return layer(kind, name, filters=filters, kernel_size=size, **settings)(x)


def normalize(layer: LayerFactory, name: str, x, last_of_branch: bool = False):
    """Batch normalisation; one that ends a residual branch starts with scale 0."""
    return layer(BatchNorm, name, gamma_initializer="zeros" if last_of_branch else "ones")(x)


def rectify(layer: LayerFactory, name: str, x):
    """max(x, 0)."""
    return layer(layers.ReLU, name)(x)


def conv_block(
    layer: LayerFactory,
    name: str,
    x,
    filters: int,
    pool: tuple[int, int] = (2, 2),
    kernels: tuple[int, ...] = (3, 3),
):
    """Convolutions, each normalised and rectified, then average pooling.

    Args:
        layer: the layers.
        name: of the block in the reference.
        x: (batch, frames, mel_bins, channels).
        filters: output channels.
        pool: factors of time and frequency; odd rows and columns are dropped.
        kernels: sizes of the convolutions.

    Returns:
        (batch, frames // pool[0], mel_bins // pool[1], filters).

    Source: ``ConvBlock``, and with one kernel of 5 ``ConvBlock5x5``, of the reference.
    """
    for i, size in enumerate(kernels, start=1):
        x = convolve(layer, f"{name}.conv{i}", x, filters, size)
        x = rectify(layer, f"{name}.relu{i}", normalize(layer, f"{name}.bn{i}", x))
    if pool == (1, 1):
        return x
    return layer(layers.AveragePooling2D, f"{name}.pool", pool_size=pool)(x)


def wave_block(layer: LayerFactory, name: str, x, filters: int):
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
        x = convolve(layer, f"{name}.conv{i}", x, filters, 3, dilation_rate=i)
        x = rectify(layer, f"{name}.relu{i}", normalize(layer, f"{name}.bn{i}", x))
    return layer(layers.MaxPooling1D, f"{name}.pool", pool_size=4)(x)


def first_convolution(
    layer: LayerFactory, prefix: str, waveform, filters: int, size: int, stride: int, pad: int
):
    """A waveform's first convolution and its normalisation.

    Args:
        layer: the layers.
        prefix: of the names ``conv0`` and ``bn0``.
        waveform: (batch, samples, 1).
        filters: output channels.
        size: of the kernel, in samples.
        stride: in samples.
        pad: zeros at both ends; not "same", which pads a strided convolution elsewhere.

    Returns:
        (batch, 1 + (samples + 2 * pad - size) // stride, filters).
    """
    exact = {"dtype": "float32"}  # sound does not fit into half precision
    if pad:
        waveform = layer(layers.ZeroPadding1D, f"{prefix}pad0", padding=pad, **exact)(waveform)
    settings = {"strides": stride, "padding": "valid", **exact}
    x = convolve(layer, f"{prefix}conv0", waveform, filters, size, **settings)
    return normalize(layer, f"{prefix}bn0", x)
