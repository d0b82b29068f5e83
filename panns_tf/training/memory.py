"""A batch that does not fit into a device's memory."""

import tensorflow as tf

from panns_tf.training.step import UpdateStep


class BatchTooLargeError(Exception):
    """The device has too little memory for a batch."""


def is_out_of_memory(error: tf.errors.OpError) -> bool:
    """Says whether that is what an error is about; XLA calls it an internal one."""
    text = error.message.lower()
    return isinstance(error, tf.errors.ResourceExhaustedError) or "out of memory" in text


def too_large(update: UpdateStep, samples: int) -> BatchTooLargeError:
    """Tries smaller batches, and returns an error that says which one fits.

    Args:
        update: whose batch did not fit; of no use afterwards.
        samples: of a clip.
    """
    config = update.config
    size = config.batch_size // update.replicas // config.accumulate
    where = "on a device at a time, " if size < config.batch_size else ""
    text = f"a batch of {config.batch_size} clips ({where}{samples} samples each) does not fit"
    text = text.replace("(", f"({size} " if where else "(")
    parts = (n for n in range(2, size + 1) if size % n == 0)  # larger batches first
    cut = next((n for n in parts if update.fits(size // n, samples)), None)
    if cut is None:
        return BatchTooLargeError(f"{text} into the device's memory, nor does a single clip")
    fits = size // cut
    return BatchTooLargeError(
        f"{text} into the device's memory; {fits} clips at a time fit: add --accumulate "
        f"{cut * config.accumulate}, "
        f"or choose --batch-size {fits * update.replicas * config.accumulate}"
    )
