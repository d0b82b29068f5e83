"""The order in which clips are drawn: a pure function of the seed and the number of the draw.

    sequential  each clip once, in index order; ends
    shuffled    epoch e = d // n; clip = permutation (seed, e) of the n clips, at d % n
    balanced    round r = d // K over the K classes that have clips;
                class = permutation (seed, r) of the K classes, at d % K;
                a class comes once a round, so its clip = permutation (seed, class, r // m) of the
                class's m clips, at r % m
    alternate   batches by turns from a balanced and a shuffled stream, balanced first

There is no state but d, so a stream can start anywhere, in constant time and memory. A class's
clips are all drawn before one of them comes again.
"""

from dataclasses import dataclass, fields

import numpy as np
import tensorflow as tf

from tfrecords.errors import TFRecordsError
from tfrecords.index import Index, starts_of
from tfrecords.permutation import hash_words, permute

SAMPLINGS = ("sequential", "shuffled", "balanced", "alternate")

# Keep the streams of one seed independent of each other.
_SHUFFLED_SALT, _CLASS_SALT, _CLIP_SALT = 1, 2, 3


@dataclass(frozen=True)
class DrawTables:
    """What drawing needs of an index.

    Attributes:
        clips: (n,) int64, the clips that may be drawn.
        classes: (K,) int64, the classes that have such clips.
        class_clips, class_starts: class `classes[j]` has the clips
            `class_clips[class_starts[j]:class_starts[j + 1]]`; int32 and int64.
    """

    clips: np.ndarray
    classes: np.ndarray
    class_clips: np.ndarray
    class_starts: np.ndarray


def draw_tables(index: Index, clips: np.ndarray | None = None) -> DrawTables:
    """Tables over the given clip numbers (ascending; default: all)."""
    clips = np.arange(index.num_clips) if clips is None else np.asarray(clips, np.int64)
    class_clips, starts = index.clips_of_class
    counts = np.diff(starts)
    if len(clips) < index.num_clips:
        kept = np.zeros(index.num_clips, bool)
        kept[clips] = True
        kept = kept[class_clips]
        class_of = np.repeat(np.arange(len(counts)), counts)
        counts = np.bincount(class_of[kept], minlength=len(counts))
        class_clips = class_clips[kept]
    classes = np.flatnonzero(counts)
    return DrawTables(clips, classes, class_clips, starts_of(counts[classes]))


def as_tensors(tables: DrawTables) -> DrawTables:
    """The same tables as TensorFlow constants, which graphs share instead of copying."""
    with tf.device("/CPU:0"):
        return DrawTables(*(tf.constant(getattr(tables, field.name)) for field in fields(tables)))


def check_sampling(tables: DrawTables, sampling: str, start: int, batch_size: int) -> None:
    """Raise TFRecordsError for arguments with which nothing can be drawn."""
    if sampling not in SAMPLINGS:
        raise TFRecordsError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
    if batch_size < 1:
        raise TFRecordsError(f"batch_size must be at least 1, got {batch_size}")
    if start < 0:
        raise TFRecordsError(f"start must be 0 or more clips, got {start}")
    if sampling == "sequential" and start > len(tables.clips):
        raise TFRecordsError(
            f"start must be at most the {len(tables.clips)} clips of a sequential pass, got {start}"
        )
    if sampling in ("balanced", "alternate") and not len(tables.classes):
        raise TFRecordsError(
            f"sampling {sampling!r} needs clips with labels and none has any; use 'shuffled'"
        )


@tf.autograph.experimental.do_not_convert  # nothing to convert, and tracing takes half as long
def draws(
    tables: DrawTables, sampling: str, seed: int, d: tf.Tensor, batch_size: int = 1
) -> tf.Tensor:
    """The clips of the draws number `d`.

    Args:
        tables: of the index, by `draw_tables`.
        sampling: one of `SAMPLINGS`.
        seed: any integer; its lowest 64 bits count.
        d: (n,) int64, numbers of draws, not negative; for `sequential` below the number of clips.
        batch_size: the length of the turns of `alternate`.

    Returns:
        (n,) int64 clip numbers. Works eagerly and in graphs.
    """
    d = tf.cast(d, tf.int64)
    with tf.device("/CPU:0"):  # the shuffle has no GPU kernel
        if sampling == "sequential":
            return tf.gather(tables.clips, d)
        if sampling == "shuffled":
            return _shuffled(tables, seed, d)
        if sampling == "balanced":
            return _balanced(tables, seed, d)
        if sampling == "alternate":
            block, place = d // batch_size, d % batch_size
            within = block // 2 * batch_size + place
            return tf.where(
                block % 2 == 0, _balanced(tables, seed, within), _shuffled(tables, seed, within)
            )
    raise TFRecordsError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")


def _shuffled(tables: DrawTables, seed: int, d: tf.Tensor) -> tf.Tensor:
    size = tf.fill(tf.shape(d), tf.constant(len(tables.clips), tf.int64))
    key = hash_words(seed, _SHUFFLED_SALT, d // size)
    return tf.gather(tables.clips, permute(d % size, size, key))


def _balanced(tables: DrawTables, seed: int, d: tf.Tensor) -> tf.Tensor:
    num_classes = tf.fill(tf.shape(d), tf.constant(len(tables.classes), tf.int64))
    draw_round = d // num_classes
    key = hash_words(seed, _CLASS_SALT, draw_round)
    row = permute(d % num_classes, num_classes, key)
    first = tf.gather(tables.class_starts, row)
    size = tf.gather(tables.class_starts, row + 1) - first
    # Keyed by the class's own number: other classes' clips do not change this class's order.
    class_number = tf.gather(tables.classes, row)
    key = hash_words(seed, _CLIP_SALT, class_number, draw_round // size)
    place = first + permute(draw_round % size, size, key)
    return tf.cast(tf.gather(tables.class_clips, place), tf.int64)
