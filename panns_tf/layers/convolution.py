"""3x3 convolution in the ways that are fast on a CPU."""

from collections.abc import Callable

import keras
from keras import ops

from panns_tf.layers.compiled import only_here, plain_on_cpu, xla_on_cpu

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


@keras.saving.register_keras_serializable(package="panns_tf")
class Conv2D(keras.layers.Conv2D):
    """Keras' Conv2D, which on a CPU takes shorter ways for 3x3, stride 1 and "same" padding.

    At inference under XLA such convolutions are computed by Winograd's algorithm where it pays,
    and those of a single channel as a sum of shifted and scaled copies; where a size is unknown
    when the function is traced, it is Keras' layer. In training without XLA those of many channels
    are a matrix product. Rounding differs by some 1e-6 of the outputs.

    Input shape: (batch, frames, mel_bins, channels). Output shape: (..., filters).

    Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
    """

    def call(self, inputs, training=False):
        if not self._is_plain():
            return super().call(inputs)
        batch, frames, bins, channels = inputs.shape
        if training:
            if channels * self.filters >= LARGEST_KERNEL and plain_on_cpu():
                return self._by(product_of_patches, inputs)
            return super().call(inputs)
        if not xla_on_cpu():
            large = channels * self.filters >= LARGEST_AT_INFERENCE
            if large and only_here() and plain_on_cpu():
                return self._by(product_of_patches, inputs)
            return super().call(inputs)
        if channels == 1:
            return self._by(shifted_sum, inputs)
        enough = min(channels, self.filters) >= FEWEST_CHANNELS
        known = None not in (batch, frames, bins)
        if enough and known and batch * frames * bins >= FEWEST_PLACES:
            return self._by(winograd, inputs)
        return super().call(inputs)

    def _by(self, way: Callable, inputs):
        outputs = way(inputs, ops.cast(self.kernel, self.compute_dtype))
        if not self.use_bias:
            return outputs
        return ops.add(outputs, ops.cast(self.bias, self.compute_dtype))

    def _is_plain(self) -> bool:
        plain = self.kernel_size == (3, 3) and self.strides == self.dilation_rate == (1, 1)
        return (
            plain
            and self.padding == "same"
            and self.groups == 1
            and self.activation is keras.activations.linear
        )


def product_of_patches(x, kernel):
    """Convolves as one matrix product: (batch, frames, bins, channels) to (..., filters)."""
    batch, frames, bins, _ = ops.shape(x)
    height, width, channels, filters = kernel.shape
    padded = ops.pad(x, ((0, 0), (height // 2, height // 2), (width // 2, width // 2), (0, 0)))
    patches = ops.concatenate(
        [padded[:, i : i + frames, j : j + bins] for i in range(height) for j in range(width)],
        axis=-1,
    )  # (batch, frames, bins, height * width * channels)
    size = height * width * channels
    outputs = ops.matmul(ops.reshape(patches, (-1, size)), ops.reshape(kernel, (size, filters)))
    return ops.reshape(outputs, (batch, frames, bins, filters))


def shifted_sum(x, kernel):
    """Convolves a single channel: (batch, frames, bins, 1) to (batch, frames, bins, filters)."""
    _, frames, bins, _ = ops.shape(x)
    height, width = kernel.shape[:2]
    padded = ops.pad(x, ((0, 0), (height // 2, height // 2), (width // 2, width // 2), (0, 0)))
    outputs = 0
    for i in range(height):
        for j in range(width):
            outputs += padded[:, i : i + frames, j : j + bins] * kernel[i, j, 0]
    return outputs


def winograd(x, kernel):
    """Convolves by 3x3 in tiles of 2x2: F(2x2, 3x3).

    Args:
        x: (batch, frames, bins, channels), its shape known.
        kernel: (3, 3, channels, filters).

    Returns:
        (batch, frames, bins, filters).
    """
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
            for tile, part in zip(row_of_tiles, row_of_kernels, strict=True)
        ]
        for row_of_tiles, row_of_kernels in zip(tiles, kernels, strict=True)
    ]
    outputs = _both_ways(_of_output, products)  # [2][2] of (batch * rows * columns, filters)
    shape = (batch, rows, columns, filters)
    outputs = ops.stack(
        [ops.stack([ops.reshape(y, shape) for y in line], axis=3) for line in outputs], axis=2
    )  # (batch, rows, 2, columns, 2, filters)
    return ops.reshape(outputs, (batch, 2 * rows, 2 * columns, filters))[:, :frames, :bins]


def _both_ways(transform, grid: list[list]) -> list[list]:
    """Applies a transform of a list along the columns of a grid, then along its rows."""
    columns = [transform(*column) for column in zip(*grid, strict=True)]
    return [list(transform(*row)) for row in zip(*columns, strict=True)]


def _of_tile(a, b, c, d):
    return a - c, b + c, c - b, b - d


def _of_kernel(a, b, c):
    return a, (a + b + c) * 0.5, (a - b + c) * 0.5, c


def _of_output(a, b, c, d):
    return a + b + c, b - c - d
