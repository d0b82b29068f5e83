"""Mixup of neighbouring clips, and the weights it mixes them with."""

import keras
import numpy as np
from keras import ops


def mix(x, mixup_lambda):
    """Mixes items 2i and 2i + 1 into item i: ``x[2i] * l[2i] + x[2i + 1] * l[2i + 1]``.

    ``x`` is (2N, ...), waveforms, feature maps or targets; ``mixup_lambda`` (2N,) the weight of
    each item, those of a pair summing to 1. Gives (N, ...) of the dtype of ``x``.
    """
    items, weights = x.shape[0], mixup_lambda.shape[0]
    if (items or 0) % 2 or (items and weights and items != weights):
        raise ValueError(
            "mixup expects pairs: an even number of items and a weight for each; received "
            f"{items} items and {weights} weights"
        )
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        raise ValueError(f"mixup expects floating point items; received {x.dtype}")
    weight = ops.reshape(ops.cast(mixup_lambda, x.dtype), (-1,) + (1,) * (len(x.shape) - 1))
    weighted = x * weight
    return weighted[0::2] + weighted[1::2]


@keras.saving.register_keras_serializable(package="panns_tf")
class Mixup(keras.layers.Layer):
    """`mix` as a layer: a list of ``x`` (2N, ...) and ``mixup_lambda`` (2N,) to (N, ...).

    Source: ``do_mixup`` of the reference; Zhang et al. 2018.
    """

    def call(self, inputs):
        return mix(*inputs)


class MixupLambda:
    """The endless sequence of mixup weights: l, 1 - l, l, 1 - l, ...; l is of Beta(alpha, alpha).

    They come from NumPy's legacy generator, whose stream never changes: with ``alpha=1`` and
    ``seed=1234`` they equal those of the reference. ``start``, the number of pairs already sampled,
    continues the sequence anywhere. ``seed`` is 0 to 2**32 - 1.

    >>> MixupLambda(seed=1234).draw(1)
    array([0.23538939, 0.7646106 ], dtype=float32)
    """

    def __init__(self, seed: int = 1234, alpha: float = 1.0, start: int = 0):
        if alpha <= 0:
            raise ValueError(f"mixup alpha must be above 0; received {alpha}")
        self._random = np.random.RandomState(seed)
        self._alpha = alpha
        # Rejection sampling consumes a random number of raw numbers, so skipped pairs have to be
        # sampled, too: those of a run of the paper, 38 million pairs, in about two seconds.
        block = 1 << 20
        for skipped in range(0, start, block):
            self._beta(min(block, start - skipped))

    def _beta(self, pairs: int) -> np.ndarray:
        return self._random.beta(self._alpha, self._alpha, pairs)

    def draw(self, pairs: int) -> np.ndarray:
        """Returns the weights of the next pairs: float32, shape (2 * pairs,)."""
        first = self._beta(pairs)
        return np.stack([first, 1 - first], axis=1).reshape(-1).astype("float32")
