"""A signal cut into overlapping frames."""

import math

import keras
import numpy as np
from keras import ops


def frames_of(signal, size: int, hop: int):
    """Cuts (batch, samples) into (batch, 1 + (samples - size) // hop, size).

    On JAX, where the length is known, by looking up the blocks that frames share: Keras' way is
    a convolution there, whose products a GPU rounds to ten bits.
    """
    if keras.backend.backend() != "jax" or signal.shape[1] is None:
        return ops.extract_sequences(signal, size, hop)
    return shared_blocks(signal, size, hop)


def shared_blocks(signal, size: int, hop: int):
    """`frames_of` for a known length."""
    samples = signal.shape[1]
    block, count = math.gcd(size, hop), (samples - size) // hop + 1
    blocks = ops.reshape(
        signal[:, : samples // block * block], (-1, samples // block, block)
    )  # (batch, blocks, block)
    place = np.arange(count)[:, None] * (hop // block) + np.arange(size // block)
    return ops.reshape(ops.take(blocks, place, axis=1), (-1, count, size))
