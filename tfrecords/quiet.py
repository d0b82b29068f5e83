"""TensorFlow without its start-up notes."""

import os
import sys


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow without its notes on oneDNN and CUDA, some of which no log level stops.

    They would bury the one line of an error. For commands; call it before any other import of
    TensorFlow. ``TF_CPP_MIN_LOG_LEVEL`` brings the later notes back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for CUDA
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
