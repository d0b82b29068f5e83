"""XLA compilation of a tensor function, on whichever backend Keras runs."""

import contextlib
from collections.abc import Callable, Iterator

import keras

_enabled = True


def xla_compiled(function: Callable) -> Callable:
    """Returns ``function`` compiled by XLA on TensorFlow and JAX, unchanged on other backends.

    Within an outer compiled step it becomes a part of that step. It is compiled once for each
    combination of input shapes. Under `without_xla` the plain function runs.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        # Imported here because layers use keras.ops only; Keras itself has no such switch
        # for a single function.
        import tensorflow as tf

        compiled = tf.function(function, jit_compile=True, autograph=False)
    elif backend == "jax":
        import jax

        compiled = jax.jit(function)
    else:
        compiled = function

    def call(*args):
        return (compiled if _enabled else function)(*args)

    return call


@contextlib.contextmanager
def without_xla() -> Iterator[None]:
    """Traces and runs layers as plain operations, for exports that must run without XLA."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before
