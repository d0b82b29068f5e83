"""Large kernels in 8 bits, which ai-edge-quantizer stumbles over."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np

#: Bytes from which ai-edge-quantizer (0.10 and before) works in pieces of two axes, and fails on
#: kernels, which have four.
LARGEST = 32 * 2**20


@contextlib.contextmanager
def large_kernels() -> Iterator[None]:
    """Has ai-edge-quantizer round large kernels in slices along their channels."""
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as module

    original = module.uniform_quantize

    def in_slices(tensor_data, quantization_params, *others, **named):
        axis = quantization_params.quantized_dimension
        slices = -(-tensor_data.nbytes // LARGEST)
        if tensor_data.ndim < 3 or slices == 1 or axis is None:
            return original(tensor_data, quantization_params, *others, **named)
        scale, zero = (
            np.ravel(x) for x in (quantization_params.scale, quantization_params.zero_point)
        )
        pieces = []
        for places in np.array_split(np.arange(tensor_data.shape[axis]), slices):
            changes = {"scale": scale[places], "zero_point": zero[places]}
            settings = dataclasses.replace(quantization_params, **changes)
            piece = np.take(tensor_data, places, axis)
            pieces.append(original(piece, settings, *others, **named))
        return np.concatenate(pieces, axis)

    module.uniform_quantize = in_slices
    try:
        yield
    finally:
        module.uniform_quantize = original
