"""Packed clips as a `tf.data` pipeline: sample, read the records at their offsets, check, batch."""

import operator
import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecords.codecs import check_resample, resample_clips, resampled_length
from tfrecords.index import load_index
from tfrecords.records import Damage, RecordReader
from tfrecords.sampling import (
    WINDOW_CLIPS,
    SampleTables,
    StreamedOrder,
    check_sampling,
    sample_indices,
    sample_tables,
)
from tfrecords.storage import TFRecordsError

# Samples are computed about this many at a time; it does not show in the result.
_SAMPLE_BLOCK = 256
# Batches read at a time. Each reads its clips one after the other.
_PARALLEL_BATCHES = max(2, min(8, os.cpu_count() or 1))
ON_CORRUPT = ("raise", "skip")
FLAC_DECODERS = ("libsndfile", "tensorflow-io")


def dataset(
    path: str | os.PathLike,
    *,
    batch_size: int,
    sampling: str = "sequential",
    seed: int = 0,
    start: int = 0,
    exclude: Iterable[str | bytes] = (),
    fraction: float = 1.0,
    sample_rate: int | None = None,
    resample: str = "lowpass",
    workers: int = 1,
    worker: int = 0,
    on_corrupt: str = "raise",
    on_damage: Callable[[Damage], None] | None = None,
    flac_decoder: str = "libsndfile",
    **renamed,
) -> tf.data.Dataset:
    """Reads a packed directory.

    Args:
        path: the directory that `python -m tfrecords pack` wrote; also in an object store, as
            `gs://...` (for `s3://` see requirements-io.txt).
        batch_size: clips a batch.
        sampling: `sequential` (each clip once, in order, the last batch may be smaller);
            `shuffled`, `balanced`, `alternate` or `streamed`, all endless, in full batches
            (see `tfrecords.sampling`). `streamed` shuffles too, but reads the shards in long runs.
        seed: any 64-bit integer; decides the order of the random samplings.
        start: how many clips were already sampled, by all workers together. The stream from there
            is the same as the rest of an uninterrupted one.
        exclude: ids of clips never to be sampled; ids that do not occur are no error.
        fraction: in (0, 1], use this part of the clips, chosen by a hash of their ids.
        sample_rate: Hz, the stored rate (default) or a lower one.
        resample: how clips come to a lower rate: `lowpass`, or `stride` as the reference does
            (see `tfrecords.codecs`).
        workers, worker: of so many workers, this is number `worker` from 0. Together they sample
            what one would, each clip of it once; batch k of all of them is batch k of one worker
            with batches `workers` times as large (but for `streamed`, whose windows they share).
        on_corrupt: at a damaged record `raise`, or `skip`: the random samplings then take the next
            clip of its rarest class in its place, `sequential` leaves it out.
        on_damage: called for each damaged record that is skipped, each time, from any thread.
        flac_decoder: for FLAC records, `libsndfile`, or in the graph by `tensorflow-io`.
        renamed: `damaged` and `decimation`, as version 0.1.0 called `on_corrupt` and `resample`.

    Returns:
        A dataset of dicts: `clip_id` (batch,) string, `waveform` (batch, samples) int16 and
        `target` (batch, classes) float32, multi-hot. The order is deterministic. Iterating over
        it raises `tf.errors.InvalidArgumentError`, which names shard and clip, when a record is
        missing or damaged.

    Raises:
        TFRecordsError: not a packed directory, or a wrong argument.

    Example:

    >>> for batch in tfrecords.dataset("packed/train", batch_size=32, sampling="balanced"):
    ...     audio = tf.cast(batch["waveform"], tf.float32) / 32767
    """
    if unknown := set(renamed) - {"damaged", "decimation"}:
        raise TypeError(f"dataset() got an unexpected keyword argument {unknown.pop()!r}")
    on_corrupt = renamed.get("damaged", on_corrupt)
    resample = renamed.get("decimation", resample)
    batch_size, seed, start, workers, worker = _whole(
        batch_size=batch_size, seed=seed, start=start, workers=workers, worker=worker
    )
    if not 0 <= worker < workers:
        raise TFRecordsError(f"worker must lie in 0 to workers - 1, got {worker} of {workers}")
    if start % workers:
        raise TFRecordsError(f"start must be a multiple of the {workers} workers, got {start}")
    for name, value, choices in (
        ("on_corrupt", on_corrupt, ON_CORRUPT),
        ("flac_decoder", flac_decoder, FLAC_DECODERS),
    ):
        if value not in choices:
            raise TFRecordsError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    index = load_index(path)
    rate = index.info.sample_rate if sample_rate is None else _whole(sample_rate=sample_rate)[0]
    check_resample(index.info.sample_rate, rate, resample)
    tables = sample_tables(index, index.select(exclude, fraction))
    check_sampling(tables, sampling, start, batch_size)

    endless = sampling != "sequential"
    # `streamed` loses its long runs if every worker takes a part of each; elsewhere neighbours,
    # which mixup pairs, stay together, so that workers mix the pairs that one would.
    block = WINDOW_CLIPS if sampling == "streamed" else batch_size
    turn = block if endless else 1
    first, count = start // workers, tf.int64.max
    if not endless:
        count = first + len(range(start + worker, len(tables.clips), workers))
    read = _Read(
        reader=RecordReader(index),
        skip=on_corrupt == "skip",
        substitutes=tables if endless else None,
        on_damage=on_damage or (lambda damage: None),
        sample_rate=rate,
        resample=resample,
        in_graph=flac_decoder == "tensorflow-io" and index.info.codec == "flac",
    )
    decode_flac = _flac_decoder(index.info.clip_samples) if read.in_graph else None
    constants = tables.as_tensors(sampling)
    streamed = StreamedOrder(tables, seed) if sampling == "streamed" else None
    # Not within the functions below: they are traced, in a graph.
    call_read, call_streamed = _weak(read), _weak(streamed)

    def sample(local: tf.Tensor) -> tf.Tensor:
        # Sample numbers of this worker to those of the common stream.
        d = (local // turn * workers + worker) * turn + local % turn
        if streamed is not None:
            clips = tf.numpy_function(call_streamed, [d], tf.int64, stateful=False)
            return tf.ensure_shape(clips, d.shape)
        return sample_indices(constants, sampling, seed, d, batch_size * workers)

    # Samples come in multiples of the block, so that neither has to be cut up clip by clip.
    blocks = max(1, _SAMPLE_BLOCK // block)
    data = tf.data.Dataset.range(first, count).batch(blocks * block)
    data = data.map(sample)
    data = data.rebatch(block)
    data = data.map(
        lambda clips: read.batch(call_read, clips, decode_flac, block if endless else None),
        num_parallel_calls=2 if sampling == "streamed" else _PARALLEL_BATCHES,
        deterministic=True,
    )
    if block != batch_size or (read.skip and not endless):
        data = data.rebatch(batch_size, drop_remainder=endless)
    if not endless and not read.skip:
        batches = -(-(count - first) // batch_size)
        data = data.apply(tf.data.experimental.assert_cardinality(batches))
    return data.prefetch(2)


@dataclass(frozen=True)
class _Read:
    """The step of the pipeline that reads a block of clips."""

    reader: RecordReader
    skip: bool
    substitutes: SampleTables | None
    on_damage: Callable[[Damage], None]
    sample_rate: int
    resample: str
    in_graph: bool

    def batch(
        self, call: Callable, clips: tf.Tensor, decode_flac: Callable | None, rows: int | None
    ) -> dict[str, tf.Tensor]:
        """Clip numbers (rows,) to a batch of so many rows; None where that varies.

        `call` stands for this object.
        """
        info = self.reader.index.info
        kind = tf.string if self.in_graph else tf.int16
        clip_id, waveform, target = tf.numpy_function(
            call, [clips], [tf.string, kind, tf.float32], stateful=False
        )
        if decode_flac is not None:
            waveform = decode_flac(tf.ensure_shape(waveform, [None]))
            waveform = tf.numpy_function(self._resampling(), [waveform], tf.int16, stateful=False)
        samples = resampled_length(info.clip_samples, info.sample_rate, self.sample_rate)
        return {
            "clip_id": tf.ensure_shape(clip_id, [rows]),
            "waveform": tf.ensure_shape(waveform, [rows, samples]),
            "target": tf.ensure_shape(target, [rows, info.num_classes]),
        }

    def __call__(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clips, audio = self._whole_records(clips)
        index = self.reader.index
        if self.in_graph:
            audio = np.array([bytes(record) for record in audio], object)
        else:
            audio = self._resampling()(audio)
        return np.array(index.clip_ids[clips].tolist(), object), audio, index.targets(clips)

    def _resampling(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function that refers to nothing large: TensorFlow keeps it for good."""
        stored = self.reader.index.info.sample_rate
        return partial(
            resample_clips, stored=stored, wanted=self.sample_rate, resample=self.resample
        )

    def _whole_records(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray | list]:
        """Reads clips; damaged ones are replaced or left out, or raise."""
        read = self.reader.audio if self.in_graph else self.reader.waveforms
        audio, damages = read(clips)
        if not damages:
            return clips, audio
        if not self.skip:
            raise ValueError(str(damages[min(damages)]))
        clips = clips.copy()
        for place, damage in sorted(damages.items()):
            self.on_damage(damage)
            if self.substitutes is not None:
                clips[place], audio[place] = self._substitute(clips[place], read)
        if self.substitutes is not None:
            return clips, audio
        kept = [place for place in range(len(clips)) if place not in damages]
        return clips[kept], [audio[place] for place in kept] if self.in_graph else audio[kept]

    def _substitute(self, clip: int, read: Callable) -> tuple[int, np.ndarray | memoryview]:
        """The clip in the place of a damaged one: the next of its rarest class that is whole.

        A function of which records are damaged, so that the stream remains one of sample numbers.
        """
        index, tables = self.reader.index, self.substitutes
        rows = np.flatnonzero(np.isin(tables.classes, index.labels_of(clip)))
        candidates = tables.clips
        if len(rows):
            row = rows[np.argmin(np.diff(tables.class_starts)[rows])]
            candidates = tables.class_clips[tables.class_starts[row] : tables.class_starts[row + 1]]
        place = np.searchsorted(candidates, clip, side="right")
        for other in np.concatenate([candidates[place:], candidates[:place]]):
            if other != clip:
                audio, damages = read(np.array([other]))
                if not damages:
                    return other, audio[0]
                self.on_damage(damages[0])
        raise ValueError(
            f"shard {Path(index.info.shards[index.shard[clip]].name).name}, clip "
            f"{index.clip_ids[clip].decode(errors='replace')}: the record is damaged, and so is "
            "every other that could be sampled in its place; run 'python -m tfrecords verify "
            f"{index.directory}'"
        )


def _weak(function: Callable | None) -> Callable | None:
    """A callable that does not keep its object alive.

    TensorFlow keeps every Python function for the life of the process, and with it an index and
    open files for each evaluation of a training. In a graph it is the object itself.
    """
    if function is None or not tf.executing_eagerly():
        return function
    reference = weakref.ref(function)

    def call(*arguments):
        target = reference()
        if target is None:
            raise RuntimeError("the data set was deleted while it is read; keep a reference to it")
        return target(*arguments)

    return call


def _flac_decoder(samples: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A decoder of FLAC by an operation of the graph: (n,) string to (n, samples) int16."""
    try:
        import tensorflow_io as tfio

        decode_flac = tfio.audio.decode_flac
    except Exception as error:
        raise TFRecordsError(
            f"flac_decoder 'tensorflow-io' cannot be loaded ({str(error).splitlines()[0]}); "
            "use 'libsndfile', or install requirements-io.txt"
        ) from None

    def decode(audio: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda one: decode_flac(one, shape=[samples, 1], dtype=tf.int16)[:, 0],
            audio,
            fn_output_signature=tf.TensorSpec([samples], tf.int16),
        )

    return decode


def _whole(**numbers: int) -> list[int]:
    """Python integers of whole numbers of any kind, NumPy's among them."""
    for name, number in numbers.items():
        if not hasattr(number, "__index__"):
            raise TFRecordsError(f"{name} must be a whole number, got {number!r}")
    return [operator.index(number) for number in numbers.values()]
