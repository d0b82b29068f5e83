"""Building blocks of the networks: a factory of named layers, and the reference's blocks."""

from collections.abc import Callable, Iterable

from keras import layers

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.cpu import Conv2D

#: Settings of layers that process waveforms, to which half precision would add noise at -50 dB.
FLOAT32 = {"dtype": "float32"}


class LayerFactory:
    """Returns the layer of a name, created at the first call; later calls share it.

    A graph built with the ``existing`` layers of another model shares all of them with it. With
    ``zeros`` new kernels are zeros, which is faster than random numbers. ``convolution_of`` maps a
    batch normalisation to the convolution before it; at most an average pool lies between them.
    """

    def __init__(self, existing: Iterable[layers.Layer] = (), zeros: bool = False):
        self._layers = {layer.name: layer for layer in existing}
        self._zeros = zeros
        self.convolution_of: dict[str, str] = {}

    def __call__(self, kind: Callable[..., layers.Layer], name: str, **settings) -> layers.Layer:
        """``kind(name=name, **settings)``; layers with weights are named as in the reference."""
        if name not in self._layers:
            if self._zeros and issubclass(kind, (layers.Conv1D, layers.Conv2D, layers.Dense)):
                settings["kernel_initializer"] = "zeros"
            self._layers[name] = kind(name=name, **settings)
        return self._layers[name]


def dropout(layer: LayerFactory, name: str, x, rate: float):
    return layer(layers.Dropout, name, rate=rate)(x) if rate else x


def conv(layer: LayerFactory, name: str, x, filters: int, size: int, **settings):
    """A convolution without bias over time, and over frequency if ``x`` has it."""
    kind = Conv2D if len(x.shape) == 4 else layers.Conv1D
    # "same" is the reference's padding for odd sizes and stride 1.
    settings = {"padding": "same", "use_bias": False, **settings}
    return layer(kind, name, filters=filters, kernel_size=size, **settings)(x)


def batch_norm(layer: LayerFactory, name: str, x, convolution: str, last: bool = False):
    """Batch normalisation of a convolution's output; at the end of a branch it starts at zero."""
    layer.convolution_of[name] = convolution
    return layer(BatchNorm, name, gamma_initializer="zeros" if last else "ones")(x)


def conv_bn(
    layer: LayerFactory, name: str, norm: str, x, filters: int, size: int, last=False, **settings
):
    x = conv(layer, name, x, filters, size, **settings)
    return batch_norm(layer, norm, x, name, last)


def conv_bn_relu(
    layer: LayerFactory, name: str, i: int, x, filters: int, size: int, last=False, **settings
):
    """Convolution ``i`` of a block, batch normalisation and, except at a branch's end, ReLU."""
    names = (f"{name}.conv{i}", f"{name}.bn{i}")
    x = conv_bn(layer, *names, x, filters, size, last, **settings)
    return x if last else layer(layers.ReLU, f"{name}.relu{i}")(x)


def add_shortcut(layer: LayerFactory, name: str, x, shortcut):
    return layer(layers.ReLU, f"{name}.relu")(layer(layers.Add, f"{name}.add")([x, shortcut]))


def conv_block(
    layer: LayerFactory,
    name: str,
    x,
    filters: int,
    pool: tuple[int, int] = (2, 2),
    kernels: tuple[int, ...] = (3, 3),
):
    """``ConvBlock``, and with one kernel of 5 ``ConvBlock5x5``, of the reference."""
    for i, size in enumerate(kernels, start=1):
        x = conv_bn_relu(layer, name, i, x, filters, size)
    if pool == (1, 1):
        return x
    return layer(layers.AveragePooling2D, f"{name}.pool", pool_size=pool)(x)


def wave_block(layer: LayerFactory, name: str, x, filters: int):
    """``ConvPreWavBlock`` of the reference: two convolutions over time, the second dilated."""
    for i in (1, 2):
        x = conv_bn_relu(layer, name, i, x, filters, 3, dilation_rate=i)
    return layer(layers.MaxPooling1D, f"{name}.pool", pool_size=4)(x)


def first_conv_bn(
    layer: LayerFactory, prefix: str, waveform, filters: int, size: int, stride: int, pad: int
):
    """A waveform's first convolution, ``conv0``, and its normalisation."""
    if pad:  # the same number at both ends, unlike "same" with a stride
        waveform = layer(layers.ZeroPadding1D, f"{prefix}pad0", padding=pad, **FLOAT32)(waveform)
    settings = {"strides": stride, "padding": "valid", **FLOAT32}
    names = (f"{prefix}conv0", f"{prefix}bn0")
    return conv_bn(layer, *names, waveform, filters, size, **settings)
