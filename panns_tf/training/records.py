"""Errors of packed records that a person can use."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

# TensorFlow escapes the quotation marks in the messages of its assertions.
_DAMAGE = re.compile(r"shard \S+, clip .*?verify .*?'(?=[\]\s])", re.DOTALL)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns what TensorFlow says of a damaged record of `tfrecords.dataset` into one line.

    Raises:
        ValueError: names the shard and the clip.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _DAMAGE.search(error.message)
        if not found:
            raise
        raise ValueError(found[0].replace("\\'", "'")) from error
