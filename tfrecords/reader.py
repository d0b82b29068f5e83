"""Packed clips as a `tf.data` pipeline: draw, read the records at their offsets, check, batch."""

import operator
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecords.cache import Cache
from tfrecords.callbacks import hold, uncounted
from tfrecords.decimate import check_decimation, decimate, decimated_samples
from tfrecords.errors import TFRecordsError
from tfrecords.index import load_index
from tfrecords.records import Damage, RecordReader
from tfrecords.sampling import (
    WINDOW_CLIPS,
    Streamed,
    as_tensors,
    check_sampling,
    draw_tables,
    draws,
    numpy_draws,
)
from tfrecords.substitutes import Substitutes

# Draws are computed about this many at a time; it does not show in the result.
_DRAW_BLOCK = 256
# Batches read at a time. Each reads its clips one after the other.
_PARALLEL_BATCHES = max(2, min(8, os.cpu_count() or 1))
DAMAGED = ("raise", "skip")
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
    decimation: str = "lowpass",
    workers: int = 1,
    worker: int = 0,
    damaged: str = "raise",
    on_damage: Callable[[Damage], None] | None = None,
    cache: str | os.PathLike | None = None,
    flac_decoder: str = "libsndfile",
) -> tf.data.Dataset:
    """Read a packed directory.

    Args:
        path: the directory that `python -m tfrecords pack` wrote; also in an object store, as
            `gs://...` (for `s3://` see requirements-io.txt).
        batch_size: clips a batch.
        sampling: `sequential` (each clip once, in order, the last batch may be smaller);
            `shuffled`, `balanced`, `alternate` or `streamed`, all endless, in full batches
            (see `tfrecords.sampling`). `streamed` shuffles too, but reads the shards in long runs.
        seed: any 64-bit integer; decides the order of the random samplings.
        start: how many clips were already drawn, by all workers together. The stream from there is
            the same as the rest of an uninterrupted one.
        exclude: ids of clips never to be drawn; ids that do not occur are no error.
        fraction: in (0, 1], use this part of the clips, chosen by a hash of their ids.
        sample_rate: Hz, the stored rate (default) or a lower one.
        decimation: how clips come to a lower rate: `lowpass`, or `skip` as the reference does
            (see `tfrecords.decimate`).
        workers, worker: of so many workers, this is number `worker` from 0. Together they draw
            what one would, each clip of it once; batch k of all of them is batch k of one worker
            with batches `workers` times as large (but for `streamed`, whose windows they share).
        damaged: at a damaged record `raise`, or `skip`: the random samplings then draw the next
            clip of its rarest class in its place, `sequential` leaves it out.
        on_damage: called for each damaged record that is skipped, each time, from any thread.
        cache: a folder on a local disk that keeps what was read, for directories that are far.
        flac_decoder: for FLAC records, `libsndfile`, or in the graph by `tensorflow-io`.

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
    batch_size, seed, start, workers, worker = _whole(
        batch_size=batch_size, seed=seed, start=start, workers=workers, worker=worker
    )
    if not isinstance(path, str | os.PathLike):
        raise TFRecordsError(f"path must be that of a packed directory, got {path!r}")
    if workers < 1:
        raise TFRecordsError(f"workers must be at least 1, got {workers}")
    if on_damage is not None and not callable(on_damage):
        raise TFRecordsError(f"on_damage must be a function, got {on_damage!r}")
    if cache is not None and not (isinstance(cache, str | os.PathLike) and str(cache)):
        raise TFRecordsError(f"cache must be a folder, got {cache!r}")
    if not 0 <= worker < workers:
        raise TFRecordsError(f"worker must lie in 0 to workers - 1, got {worker} of {workers}")
    if start % workers:
        raise TFRecordsError(
            f"start counts the clips of all {workers} workers and must be a multiple of that, "
            f"got {start}"
        )
    if damaged not in DAMAGED:
        raise TFRecordsError(f"damaged must be one of {', '.join(DAMAGED)}, got {damaged!r}")
    if flac_decoder not in FLAC_DECODERS:
        raise TFRecordsError(
            f"flac_decoder must be one of {', '.join(FLAC_DECODERS)}, got {flac_decoder!r}"
        )
    index = load_index(path)
    rate = index.info.sample_rate if sample_rate is None else _whole(sample_rate=sample_rate)[0]
    check_decimation(index.info.sample_rate, rate, decimation)
    tables = draw_tables(index, index.select(exclude, fraction))
    check_sampling(tables, sampling, start, batch_size)

    endless = sampling != "sequential"
    numbers = range(start + worker, np.iinfo(np.int64).max if endless else len(tables.clips))
    # `streamed` loses its long runs if every worker takes a part of each; elsewhere neighbours,
    # which mixup pairs, stay together, so that workers mix the pairs that one would.
    block = WINDOW_CLIPS if sampling == "streamed" else batch_size
    turn = block if endless else 1

    reader = RecordReader(index, None if cache is None else Cache(cache, index.info.index_sha256))
    substitutes = None
    if damaged == "skip" and endless:
        substitutes = Substitutes(index, tables)
    in_graph = flac_decoder == "tensorflow-io" and index.info.codec == "flac"
    read = _Read(reader, damaged == "skip", substitutes, on_damage, rate, decimation, in_graph)
    decode = _flac_in_graph(index.info.clip_samples) if in_graph else None

    first = start // workers
    count = tf.int64.max if endless else first + len(numbers[::workers])
    constants = as_tensors(tables, sampling)
    streamed = Streamed(tables, seed) if sampling == "streamed" else None
    # Not within the functions below: they are traced, in a graph.
    call_read, call_streamed = uncounted(read), uncounted(streamed)

    def drawn(local: tf.Tensor) -> tf.Tensor:
        # Worker-local draw numbers to those of the common stream.
        d = (local // turn * workers + worker) * turn + local % turn
        if streamed is not None:
            return numpy_draws(call_streamed, d)
        return draws(constants, sampling, seed, d, batch_size * workers)

    # Draws come in multiples of the block, so that neither has to be cut up clip by clip.
    blocks = max(1, _DRAW_BLOCK // block)
    data = tf.data.Dataset.range(first, count).batch(blocks * block)
    data = data.map(drawn)
    data = data.rebatch(block)
    rows = block if endless else None
    data = data.map(
        lambda clips: read.in_graph(call_read, clips, decode, rows),
        num_parallel_calls=2 if sampling == "streamed" else _PARALLEL_BATCHES,
        deterministic=True,
    )
    if block != batch_size or (damaged == "skip" and not endless):
        data = data.rebatch(batch_size, drop_remainder=endless)
    if not endless and damaged == "raise":
        batches = -(-(count - first) // batch_size)
        data = data.apply(tf.data.experimental.assert_cardinality(batches))
    return hold(data.prefetch(2), read, streamed)


@dataclass(frozen=True)
class _Read:
    """The step of the pipeline that reads a block of clips."""

    reader: RecordReader
    skip: bool
    substitutes: Substitutes | None
    on_damage: Callable[[Damage], None] | None
    sample_rate: int
    decimation: str
    undecoded: bool

    def in_graph(
        self, call: Callable, clips: tf.Tensor, decode: Callable | None, rows: int | None
    ) -> dict[str, tf.Tensor]:
        """Clip numbers (rows,) to a batch of so many rows; None where that varies.

        `call` stands for this object.
        """
        info = self.reader.index.info
        kind = tf.string if self.undecoded else tf.int16
        clip_id, waveform, target = tf.numpy_function(
            call, [clips], [tf.string, kind, tf.float32], stateful=False
        )
        if decode is not None:
            waveform = decode(tf.ensure_shape(waveform, [None]))
            waveform = tf.numpy_function(self._decimation(), [waveform], tf.int16, stateful=False)
        samples = decimated_samples(info.clip_samples, info.sample_rate, self.sample_rate)
        return {
            "clip_id": tf.ensure_shape(clip_id, [rows]),
            "waveform": tf.ensure_shape(waveform, [rows, samples]),
            "target": tf.ensure_shape(target, [rows, info.num_classes]),
        }

    def __call__(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clips, audio = self._whole_records(clips)
        index = self.reader.index
        if self.undecoded:
            audio = np.array([bytes(record) for record in audio], object)
        else:
            audio = self._decimation()(audio)
        return np.array(index.clip_ids[clips].tolist(), object), audio, index.targets(clips)

    def _decimation(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function that refers to nothing large: TensorFlow keeps it for good."""
        stored = self.reader.index.info.sample_rate
        return partial(decimate, stored=stored, wanted=self.sample_rate, decimation=self.decimation)

    def _whole_records(self, clips: np.ndarray):
        """Read clips; damaged ones are replaced or left out, or raise."""
        read = self.reader.audio if self.undecoded else self.reader.waveforms
        audio, damages = read(clips)
        if not damages:
            return clips, audio
        if not self.skip:
            raise ValueError(str(damages[min(damages)]))
        clips = clips.copy()
        for place, damage in sorted(damages.items()):
            self._tell(damage)
            if self.substitutes is not None:
                clips[place], audio[place] = self._substitute(clips[place], read)
        if self.substitutes is None:
            kept = [place for place in range(len(clips)) if place not in damages]
            return clips[kept], audio[kept] if isinstance(audio, np.ndarray) else [
                audio[place] for place in kept
            ]
        return clips, audio

    def _substitute(self, clip: int, read: Callable):
        for other in self.substitutes.after(clip):
            audio, damages = read(np.array([other]))
            if not damages:
                return other, audio[0]
            self._tell(damages[0])
        index = self.reader.index
        raise ValueError(
            f"shard {Path(index.info.shards[index.shard[clip]].name).name}, clip "
            f"{index.clip_ids[clip].decode(errors='replace')}: the record is damaged, and so is "
            "every other that could be drawn in its place; run 'python -m tfrecords verify "
            f"{index.directory}'"
        )

    def _tell(self, damage: Damage) -> None:
        if self.on_damage is not None:
            self.on_damage(damage)


def _flac_in_graph(samples: int) -> Callable[[tf.Tensor], tf.Tensor]:
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
