"""Arithmetic of sizes, which are numbers where they are known and tensors where not."""

from keras import ops


def larger(a, b):
    """Returns the larger of two sizes: a number if both are, as JAX asks for."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def smaller(a, b):
    """Returns the smaller of two sizes: a number if both are, as JAX asks for."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else ops.minimum(a, b)
