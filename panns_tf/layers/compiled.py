"""XLA compilation of a tensor function, on whichever backend Keras runs."""

import contextlib
from collections.abc import Callable, Iterator

import keras

_enabled = True
_here = False


def xla_compiled(function: Callable) -> Callable:
    """Returns ``function`` compiled by XLA on TensorFlow and JAX, unchanged on other backends.

    The function takes and returns one tensor, whose items along the first axis are independent.

    Within an outer compiled step it becomes a part of that step. It is compiled once for each
    combination of input shapes. Under `without_xla` the plain function runs.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        # Imported here because layers use keras.ops only; Keras itself has no such switch
        # for a single function.
        import tensorflow as tf

        whole = tf.function(function, jit_compile=True, autograph=False)
        on_cpu = not tf.config.list_physical_devices("GPU")

        def in_halves(x):
            # On a CPU most of a compiled function runs on one core, so two halves of a batch,
            # which TensorFlow runs side by side, take less time than the whole.
            items = x.shape[0]
            if not on_cpu or items is None or items < 2:
                return whole(x)
            return tf.concat([whole(x[: items // 2]), whole(x[items // 2 :])], axis=0)

        compiled = tf.function(in_halves, autograph=False)
    elif backend == "jax":
        import jax

        compiled = jax.jit(function)
    else:
        compiled = function

    def call(x):
        return (compiled if _enabled else function)(x)

    return call


def xla_on_cpu() -> bool:
    """Says whether what is being traced will be compiled by XLA for a CPU.

    XLA's code for CPUs is slow for a few operations, which layers then write otherwise.
    """
    return keras.backend.backend() == "tensorflow" and _within_xla() and _without_gpu()


def plain_on_cpu() -> bool:
    """Says whether what is being traced will run on a CPU as TensorFlow's own operations.

    oneDNN, which they use, is slow for a few shapes, for which layers then write it otherwise.
    """
    return plain_tensorflow() and _without_gpu()


def plain_tensorflow() -> bool:
    """Says whether what is being traced will run as TensorFlow's own operations, not XLA's."""
    return keras.backend.backend() == "tensorflow" and not _within_xla()


def _within_xla() -> bool:
    import tensorflow as tf

    return tf.__internal__.get_enclosing_xla_context() is not None


def _without_gpu() -> bool:
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


@contextlib.contextmanager
def without_xla() -> Iterator[None]:
    """Traces and runs layers as plain operations, for exports that must run without XLA."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


@contextlib.contextmanager
def for_this_machine() -> Iterator[None]:
    """Traces layers for this very machine, as opposed to files that others run.

    Layers may then write what they compute in a way that is fast here.
    """
    global _here
    before, _here = _here, True
    try:
        yield
    finally:
        _here = before


def only_here() -> bool:
    """Says whether what is being traced will run on this machine alone."""
    return _here
