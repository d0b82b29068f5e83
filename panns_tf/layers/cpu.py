"""Ways to compute that are fast on a CPU, by oneDNN or by XLA, and the switch between them."""

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

#: Winograd's F(2x2, 3x3) saves 5 of 9 multiplications and costs passes over maps and kernels.
#: Measured on two cores of an AMD EPYC, it pays from this many channels in and out, and this many
#: places (clips x frames x bins) for which the kernel, transformed anew in every call, is used.
FEWEST_CHANNELS = 128
FEWEST_PLACES = 2000

#: oneDNN copies a kernel into an order of its own in every step, forward and twice backward. From
#: this many weights for each of the 9 places a plain matrix product, which takes the kernel as it
#: lies, costs a half to two thirds, measured at 100 to 2,000 places on the same two cores.
LARGEST_KERNEL = 2**21
#: The same at inference, where single clips of the last blocks take up to ten times as long by
#: oneDNN as by a matrix product, and batches of eight about as long.
LARGEST_AT_INFERENCE = 2**19


@contextlib.contextmanager
def traced_for(target: str) -> Iterator[None]:
    """Has layers compute in the way that suits one of `TARGETS` while they are traced or run."""
    if target not in TARGETS:
        raise ValueError(f"target must be one of {TARGETS}; received {target!r}")
    before = _target.set(target)
    try:
        yield
    finally:
        _target.reset(before)


def current_target() -> str:
    """What is being traced for, of `TARGETS`; a function with ``jit_compile=True`` is noticed."""
    target = _target.get()
    return "xla" if target == "layers" and _traced_by_xla() else target


def _traced_by_xla() -> bool:
    """Whether XLA compiles what is traced: no public name says so, but a slice's gradient does."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    whole = tf.zeros(2)
    with tf.GradientTape() as tape:
        tape.watch(whole)
        part = tf.slice(whole, [0], [1])
    return tape.gradient(part, whole).op.type == "XlaDynamicUpdateSlice"


def by_tensorflow() -> bool:
    """Whether what is being traced runs as TensorFlow's own operations, not XLA's."""
    return keras.backend.backend() == "tensorflow" and current_target() != "xla"


def _on_cpu() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # Keras has no name for devices of a kind

    return not tf.config.list_physical_devices("GPU")


def compiled(function: Callable) -> Callable:
    """A tensor function that compiles itself by XLA unless it is traced for TensorFlow alone.

    It takes and returns one tensor, whose items along the first axis are independent.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf  # Keras has no such switch for a single function

    whole = tf.function(function, jit_compile=True, autograph=False)

    def in_halves(x):
        # On a CPU most of a compiled function runs on one core, so two halves of a batch,
        # which run side by side, take less time than the whole.
        items = x.shape[0]
        if not _on_cpu() or items is None or items < 2:
            return whole(x)
        return tf.concat([whole(x[: items // 2]), whole(x[items // 2 :])], axis=0)

    by_xla = tf.function(in_halves, autograph=False)
    return lambda x: (by_xla if current_target() in ("layers", "xla") else function)(x)


@keras.saving.register_keras_serializable(package="panns_tf")
class Conv2D(keras.layers.Conv2D):
    """Keras' Conv2D, which on a CPU takes shorter ways for 3x3, stride 1 and "same" padding.

    At inference under XLA such convolutions are computed by Winograd's algorithm where sizes are
    known and it pays, and those of a single channel as a sum of shifted and scaled copies; without
    XLA those of many channels are a matrix product. Rounding differs by 1e-6 of the outputs.

    Input shape: (batch, frames, mel_bins, channels). Output shape: (..., filters).
    Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
    """

    def call(self, inputs, training=False):
        way = self._way(inputs.shape, training)
        if way is None:
            return super().call(inputs)
        return _with_bias(self, way(inputs, ops.cast(self.kernel, self.compute_dtype)))

    def _way(self, shape: tuple[int | None, ...], training: bool) -> Callable | None:
        """The function to convolve by; None for Keras' own."""
        if not (_on_cpu() and self._is_plain()):
            return None
        target, (*places, channels) = current_target(), shape
        if training or target != "xla":
            smallest = LARGEST_KERNEL if training else LARGEST_AT_INFERENCE
            here = target != "xla" if training else target == "this_machine"
            return product_of_patches if here and channels * self.filters >= smallest else None
        if channels == 1:
            return shifted_sum
        known = None not in places and math.prod(places) >= FEWEST_PLACES
        return winograd if known and min(channels, self.filters) >= FEWEST_CHANNELS else None

    def _is_plain(self) -> bool:
        plain = self.kernel_size == (3, 3) and self.strides == self.dilation_rate == (1, 1)
        linear = self.activation is keras.activations.linear
        return plain and linear and self.padding == "same" and self.groups == 1


@keras.saving.register_keras_serializable(package="panns_tf")
class DepthwiseConv(keras.layers.DepthwiseConv2D):
    """Keras' DepthwiseConv2D of stride 1 and "same" padding, by default without bias.

    On a CPU XLA takes some thirty times as long for it as TensorFlow's own operation. So there it
    is a sum of shifted and scaled copies, which XLA makes one loop of, as fast as that operation.

    Input and output shape: (batch, frames, mel_bins, channels).
    """

    def __init__(self, kernel_size: int, **kwargs):
        super().__init__(kernel_size, **{"padding": "same", "use_bias": False, **kwargs})

    def call(self, inputs):
        if not (_on_cpu() and current_target() == "xla"):
            return super().call(inputs)
        return _with_bias(self, shifted_sum(inputs, ops.cast(self.kernel, self.compute_dtype)))


def _with_bias(layer: keras.layers.Layer, outputs):
    return (
        ops.add(outputs, ops.cast(layer.bias, layer.compute_dtype)) if layer.use_bias else outputs
    )


def _shifted(x, kernel) -> list:
    """Maps shifted to each place of a kernel, row by row, with zeros beyond their edges."""
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
    return sum(shifted * factors[place] for place, shifted in enumerate(_shifted(x, kernel)))


def winograd(x, kernel):
    """Convolves (batch, frames, bins, channels), all known, by 3x3 in tiles of 2x2."""
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
    tiles = _both_ways(_of_tile, tiles)
    kernels = _both_ways(_of_kernel, [[kernel[i, j] for j in range(3)] for i in range(3)])
    products = [
        [
            ops.matmul(ops.reshape(tile, (-1, channels)), part)
            for tile, part in zip(*line, strict=True)
        ]
        for line in zip(tiles, kernels, strict=True)
    ]
    outputs = _both_ways(_of_output, products)  # [2][2] of (batch * rows * columns, filters)
    shape = (batch, rows, columns, filters)
    outputs = ops.stack(
        [ops.stack([ops.reshape(y, shape) for y in line], axis=3) for line in outputs], axis=2
    )  # (batch, rows, 2, columns, 2, filters)
    return ops.reshape(outputs, (batch, 2 * rows, 2 * columns, filters))[:, :frames, :bins]


def _both_ways(transform: Callable, grid: list[list]) -> list[list]:
    """Applies a transform of a list along the columns of a grid, then along its rows."""
    columns = [transform(*column) for column in zip(*grid, strict=True)]
    return [list(transform(*row)) for row in zip(*columns, strict=True)]


def _of_tile(a, b, c, d):
    return a - c, b + c, c - b, b - d


def _of_kernel(a, b, c):
    return a, (a + b + c) * 0.5, (a - b + c) * 0.5, c


def _of_output(a, b, c, d):
    return a + b + c, b - c - d
