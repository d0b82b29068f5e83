"""Packed clips as a `tf.data` pipeline: draw, read the record at its offset, check, batch."""

import operator
import os
from collections.abc import Iterable

import tensorflow as tf

from tfrecords import schema
from tfrecords.errors import TFRecordsError
from tfrecords.index import Index, load_index
from tfrecords.sampling import as_tensors, check_sampling, draw_tables, draws

# Draws are computed this many at a time; it does not show in the result.
_DRAW_BLOCK = 256
# Records read at a time. More than there are cores, since a disk or network may be slow.
_PARALLEL_READS = 16


def dataset(
    path: str | os.PathLike,
    *,
    batch_size: int,
    sampling: str = "sequential",
    seed: int = 0,
    start: int = 0,
    exclude: Iterable[str | bytes] = (),
    fraction: float = 1.0,
) -> tf.data.Dataset:
    """Read a packed directory.

    Args:
        path: the directory that `python -m tfrecords pack` wrote.
        batch_size: clips a batch.
        sampling: `sequential` (each clip once, in order, the last batch may be smaller);
            `shuffled`, `balanced` or `alternate`, all endless, in full batches
            (see `tfrecords.sampling`).
        seed: any 64-bit integer; decides the order of the random samplings.
        start: how many clips were already drawn. The stream from there is the same as the rest
            of an uninterrupted one.
        exclude: ids of clips never to be drawn; ids that do not occur are no error.
        fraction: in (0, 1], use this part of the clips, chosen by a hash of their ids.

    Returns:
        A dataset of dicts: `clip_id` (batch,) string, `waveform` (batch, samples) int16 and
        `target` (batch, classes) float32, multi-hot. The order is deterministic. Iterating over
        it raises `tf.errors.InvalidArgumentError`, which names shard and clip, when a record is
        missing or damaged.

    Raises:
        TFRecordsError: not a packed directory, or a wrong argument.

    Example:
        for batch in tfrecords.dataset("packed/train", batch_size=32, sampling="balanced"):
            audio = tf.cast(batch["waveform"], tf.float32) / 32767
    """
    batch_size, seed, start = _whole(batch_size=batch_size, seed=seed, start=start)
    index = load_index(path)
    tables = draw_tables(index, index.select(exclude, fraction))
    check_sampling(tables, sampling, start, batch_size)
    tables = as_tensors(tables)
    endless = sampling != "sequential"
    stop = tf.int64.max if endless else len(tables.clips)

    data = tf.data.Dataset.range(start, stop)
    data = data.batch(_DRAW_BLOCK)
    data = data.map(lambda d: draws(tables, sampling, seed, d, batch_size))
    data = read_clips(index, data.unbatch())
    data = data.batch(batch_size, drop_remainder=endless)
    if not endless:
        batches = -(-(stop - start) // batch_size)
        data = data.apply(tf.data.experimental.assert_cardinality(batches))
    return data.prefetch(2)


def read_clips(index: Index, clips: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset of clip numbers (scalar int64) to one of checked, parsed clips, in that order."""
    records = read_records(index, clips)
    clip_ids = tf.constant(index.clip_ids)
    shard_of = tf.constant(index.shard)
    shard_names = tf.constant([shard.name for shard in index.info.shards])
    samples, num_classes = index.info.clip_samples, index.num_classes

    def checked(clip: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        expected_id = clip_ids[clip]
        where = tf.strings.join(
            ["shard ", shard_names[shard_of[clip]], ", clip ", expected_id, ": "]
        )
        advice = f"; run 'python -m tfrecords verify {index.directory}'"
        message = [where, "the record is missing, truncated or damaged", advice]
        with tf.control_dependencies([_require(tf.strings.length(serialized) > 0, message)]):
            record = schema.parse(tf.identity(serialized))
        message = [where, "found the record of clip ", record["clip_id"], " instead", advice]
        found = tf.strings.as_string(tf.strings.length(record["waveform"]) // 2)
        lengths = [where, "found ", found, f" samples, expected {samples}", advice]
        with tf.control_dependencies(
            [
                _require(record["clip_id"] == expected_id, message),
                _require(tf.strings.length(record["waveform"]) == 2 * samples, lengths),
            ]
        ):
            waveform = tf.io.decode_raw(record["waveform"], tf.int16)
        hot = tf.one_hot(record["labels"], num_classes, dtype=tf.float32)
        return {
            "clip_id": expected_id,
            "waveform": tf.ensure_shape(waveform, [samples]),
            "target": tf.reduce_sum(hot, axis=0),  # labels are distinct; zeros without any
        }

    return records.map(checked, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def read_records(index: Index, clips: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset of clip numbers to one of (clip number, serialised record), in that order.

    A record that cannot be read, whatever the cause, is the empty string: the caller knows which
    clip it asked for, which the error of the reading operation does not tell.
    """
    paths = tf.constant([index.shard_path(number) for number in range(len(index.info.shards))])
    shard, offset = tf.constant(index.shard), tf.constant(index.offset)
    buffer_size = min(int(index.length.max()), 2**18)

    def record_at(clip: tf.Tensor) -> tf.data.Dataset:
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=paths[shard[clip]][None],
            compression_type="",
            buffer_size=tf.constant(buffer_size, tf.int64),
            byte_offsets=offset[clip][None],
        )
        record = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1)
        # A record dataset whose file is missing fails anew at every attempt, so ignoring its
        # errors would never end; a map of one element fails once.
        attempt = tf.data.Dataset.from_tensors(clip).map(lambda _: record.get_single_element())
        found = attempt.ignore_errors().concatenate(tf.data.Dataset.from_tensors("")).take(1)
        return found.map(lambda serialized: (clip, serialized))

    return clips.interleave(
        record_at,
        cycle_length=_PARALLEL_READS,
        block_length=1,
        num_parallel_calls=_PARALLEL_READS,
        deterministic=True,
    )


def _whole(**numbers: int) -> list[int]:
    """Python integers of whole numbers of any kind, NumPy's among them."""
    for name, number in numbers.items():
        if not hasattr(number, "__index__"):
            raise TFRecordsError(f"{name} must be a whole number, got {number!r}")
    return [operator.index(number) for number in numbers.values()]


def _require(condition: tf.Tensor, message: list[str | tf.Tensor]) -> tf.Operation:
    return tf.debugging.Assert(condition, [tf.strings.join(message)])
