"""Reading packed records with errors that a person can use."""

import re
from collections.abc import Iterator

import tensorflow as tf

# TensorFlow escapes the quotation marks in the messages of its assertions.
_DAMAGE = re.compile(r"shard \S+, clip .*?verify .*?'(?=[\]\s])", re.DOTALL)


def iterate(records: tf.data.Dataset) -> Iterator[dict]:
    """Yields the batches of `tfrecords.dataset`.

    Raises:
        ValueError: in one line, names the shard and the clip of a damaged record.
    """
    try:
        yield from records
    except tf.errors.InvalidArgumentError as error:
        found = _DAMAGE.search(error.message)
        if not found:
            raise
        raise ValueError(found[0].replace("\\'", "'")) from error
