"""Convolutions that are fast on a CPU, by oneDNN or by XLA, and the switch between the two."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator

import keras
from keras import ops

#: What a function can be traced for. ``layers``: TensorFlow's operations, but for layers that
#: compile themselves by XLA. ``portable``: TensorFlow's operations alone, for files that other
#: machines run. ``this_machine``: the same for this process, so that its processor matters.
#: ``xla``: all of it is compiled by XLA.
TARGETS = ("layers", "portable", "this_machine", "xla")

_target = contextvars.ContextVar("target", default="layers")

#: Winograd's F(2x2, 3x3) saves 5 of 9 multiplications, but passes over maps and kernels once more.
#: Measured on two cores of an AMD EPYC, it pays from this many channels in and out, and from this
#: many positions (clips x frames x bins), since every call transforms the kernel again.
WINOGRAD_CHANNELS = 128
WINOGRAD_POSITIONS = 2000

#: oneDNN reorders a kernel in every training step, forward and twice backward. From this many
#: channels in times channels out, a plain matrix product, which needs no reordering, takes a half
#: to two thirds of the time, measured at 100 to 2,000 positions on the same two cores.
PRODUCT_IN_TRAINING = 2**21
#: The same at inference, where oneDNN takes up to ten times as long for single clips in the last
#: blocks, and about as long for batches of eight.
PRODUCT_AT_INFERENCE = 2**19

#: Other backends of Keras compute as Keras does.
TENSORFLOW = keras.backend.backend() == "tensorflow"


@contextlib.contextmanager
def traced_for(target: str) -> Iterator[None]:
    """Layers that are traced or run within compute in the way that suits one of `TARGETS`."""
    if target not in TARGETS:
        raise ValueError(f"target must be one of {TARGETS}; received {target!r}")
    before = _target.set(target)
    try:
        yield
    finally:
        _target.reset(before)


def current_target() -> str:
    """The one of `TARGETS` that layers are traced for; ``jit_compile=True`` makes it ``"xla"``."""
    target = _target.get()
    return "xla" if target == "layers" and TENSORFLOW and _traced_by_xla() else target


def _traced_by_xla() -> bool:
    """Whether XLA compiles what is traced: no public name says so, but a slice's gradient does."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    x = tf.zeros(2)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.slice(x, [0], [1])
    return tape.gradient(y, x).op.type == "XlaDynamicUpdateSlice"


def _on_cpu() -> bool:
    if not TENSORFLOW:
        return False
    import tensorflow as tf  # Keras does not list devices by kind

    return not tf.config.list_physical_devices("GPU")


def compiled(function: Callable) -> Callable:
    """A tensor function that compiles itself by XLA unless it is traced for TensorFlow alone.

    It takes and returns one tensor, whose items along the first axis are independent.
    """
    if not TENSORFLOW:
        return function
    import tensorflow as tf  # Keras has no such switch for a single function

    batch_function = tf.function(function, jit_compile=True, autograph=False)

    def in_halves(x):
        # On a CPU most of a compiled function runs on one core, so two halves of a batch,
        # which run side by side, take less time than one batch.
        items = x.shape[0]
        if not _on_cpu() or items is None or items < 2:
            return batch_function(x)
        half = items // 2
        return tf.concat([batch_function(x[:half]), batch_function(x[half:])], axis=0)

    by_xla = tf.function(in_halves, autograph=False)
    return lambda x: (by_xla if current_target() in ("layers", "xla") else function)(x)


@keras.saving.register_keras_serializable(package="panns_tf")
class Conv2D(keras.layers.Conv2D):
    """Keras' Conv2D, with faster algorithms on a CPU for 3x3, stride 1 and "same" padding.

    At inference under XLA such convolutions are computed by Winograd's algorithm where the shape is
    static and it pays, and those of a single channel as a sum of shifted and scaled copies; without
    XLA those of many channels are a matrix product. Rounding differs by 1e-6 of the outputs.

    Input shape: (batch, frames, mel_bins, channels). Output shape: (..., filters).
    Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
    """

    def call(self, inputs, training=False):
        algorithm = self._algorithm(inputs.shape, training)
        if algorithm is None:
            return super().call(inputs)
        return _with_bias(self, algorithm(inputs, ops.cast(self.kernel, self.compute_dtype)))

    def _algorithm(self, shape: tuple[int | None, ...], training: bool) -> Callable | None:
        """The function that convolves faster than Keras; None if Keras is as fast."""
        if not (_on_cpu() and self._is_plain()):
            return None
        target, (*positions, channels) = current_target(), shape
        if target != "xla":
            size = PRODUCT_IN_TRAINING if training else PRODUCT_AT_INFERENCE
            allowed = training or target == "this_machine"  # others' processors may differ
            return product_of_patches if allowed and channels * self.filters >= size else None
        if training:
            return None
        if channels == 1:
            return shifted_sum
        many = None not in positions and math.prod(positions) >= WINOGRAD_POSITIONS
        return winograd if many and min(channels, self.filters) >= WINOGRAD_CHANNELS else None

    def _is_plain(self) -> bool:
        is_3x3 = self.kernel_size == (3, 3) and self.strides == self.dilation_rate == (1, 1)
        linear = self.activation is keras.activations.linear
        return is_3x3 and linear and self.padding == "same" and self.groups == 1


@keras.saving.register_keras_serializable(package="panns_tf")
class DepthwiseConv(keras.layers.DepthwiseConv2D):
    """Keras' DepthwiseConv2D of stride 1 and "same" padding, by default without bias.

    On a CPU XLA takes some thirty times as long for it as TensorFlow's operation. There it is a sum
    of shifted and scaled copies, which XLA fuses into one loop, as fast as that operation.

    Input and output shape: (batch, frames, mel_bins, channels).
    """

    def __init__(self, kernel_size: int, **kwargs):
        super().__init__(kernel_size, **{"padding": "same", "use_bias": False, **kwargs})

    def call(self, inputs):
        if not (_on_cpu() and current_target() == "xla"):
            return super().call(inputs)
        return _with_bias(self, shifted_sum(inputs, ops.cast(self.kernel, self.compute_dtype)))


def _with_bias(layer: keras.layers.Layer, outputs):
    return outputs + ops.cast(layer.bias, layer.compute_dtype) if layer.use_bias else outputs


def _shifted(x, kernel) -> list:
    """Maps shifted to each position in a kernel, row by row, with zeros beyond their edges."""
    _, frames, bins, _ = ops.shape(x)
    height, width = kernel.shape[:2]
    padded = ops.pad(x, ((0, 0), (height // 2, height // 2), (width // 2, width // 2), (0, 0)))
    return [padded[:, i : i + frames, j : j + bins] for i in range(height) for j in range(width)]


def product_of_patches(x, kernel):
    """Convolves as one matrix product: (batch, frames, bins, channels) to (..., filters)."""
    batch, frames, bins, _ = ops.shape(x)
    patches = ops.concatenate(_shifted(x, kernel), axis=-1)  # (batch, frames, bins, size)
    size, filters = math.prod(kernel.shape[:-1]), kernel.shape[-1]
    outputs = ops.matmul(ops.reshape(patches, (-1, size)), ops.reshape(kernel, (size, filters)))
    return ops.reshape(outputs, (batch, frames, bins, filters))


def shifted_sum(x, kernel):
    """Convolves a single channel, or every channel by itself; returns (batch, frames, bins, n).

    Takes (batch, frames, bins, 1) and a kernel (height, width, 1, n), or (batch, frames, bins, n)
    and (height, width, n, 1).
    """
    factors = ops.reshape(kernel, (math.prod(kernel.shape[:2]), -1))
    return sum(shifted * factors[i] for i, shifted in enumerate(_shifted(x, kernel)))


def winograd(x, kernel):
    """Convolves (batch, frames, bins, channels), a static shape, by 3x3 in tiles of 2x2."""
    batch, frames, bins, channels = x.shape
    rows, columns = -(-frames // 2), -(-bins // 2)  # of tiles
    filters = kernel.shape[-1]
    ends = ((1, 2 * rows + 1 - frames), (1, 2 * columns + 1 - bins))
    padded = ops.pad(x, ((0, 0), *ends, (0, 0)))
    # Lists [4 rows of a tile][4 columns of a tile] of (batch, rows, columns, channels)
    tiles = [
        [padded[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2] for j in range(4)]
        for i in range(4)
    ]
    tiles = _in_2d(_of_tile, tiles)
    kernels = _in_2d(_of_kernel, [[kernel[i, j] for j in range(3)] for i in range(3)])
    products = [
        [
            ops.matmul(ops.reshape(tile, (-1, channels)), weights)
            for tile, weights in zip(*row, strict=True)
        ]
        for row in zip(tiles, kernels, strict=True)
    ]
    outputs = _in_2d(_of_output, products)  # [2][2] of (batch * rows * columns, filters)
    shape = (batch, rows, columns, filters)
    outputs = ops.stack(
        [ops.stack([ops.reshape(y, shape) for y in row], axis=3) for row in outputs], axis=2
    )  # (batch, rows, 2, columns, 2, filters)
    return ops.reshape(outputs, (batch, 2 * rows, 2 * columns, filters))[:, :frames, :bins]


def _in_2d(transform: Callable, grid: list[list]) -> list[list]:
    """Applies a transform of a list along the columns of a grid, then along its rows."""
    columns = [transform(*column) for column in zip(*grid, strict=True)]
    return [list(transform(*row)) for row in zip(*columns, strict=True)]


def _of_tile(a, b, c, d):
    return a - c, b + c, c - b, b - d


def _of_kernel(a, b, c):
    return a, (a + b + c) * 0.5, (a - b + c) * 0.5, c


def _of_output(a, b, c, d):
    return a + b + c, b - c - d
