"""Packed clips as a ``tf.data`` pipeline: sampled, read at their offsets, checked, batched."""

import operator
import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from tfrecords import schema
from tfrecords.codecs import check_resample, resample_clips, resampled_length
from tfrecords.files import TFRecordsError
from tfrecords.flags import Setting, check_setting
from tfrecords.index import load_index
from tfrecords.records import Damage, RecordReader
from tfrecords.sampling import SAMPLINGS, WINDOW_CLIPS, Sampler

# Samples are computed about this many at a time; it does not show in the result.
_SAMPLE_BLOCK = 256
# Batches read at a time. Each reads its clips one after the other.
_PARALLEL_BATCHES = max(2, min(8, os.cpu_count() or 1))


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
        path: the directory that ``python -m tfrecords pack`` wrote; also in an object store, as
            ``gs://...`` (for ``s3://`` see requirements-io.txt).
        sampling: ``sequential`` (each clip once, in order, the last batch may be smaller);
            ``shuffled``, ``balanced``, ``alternate`` or ``streamed`` (shuffled, but read in long
            runs), all endless, in full batches; see ``tfrecords.sampling``.
        seed: any 64-bit integer; decides the order of the random samplings.
        start: clips already sampled, by all workers together; the stream goes on after them.
        exclude: ids of clips never to be sampled; ids that do not occur are no error.
        fraction: in (0, 1], use this fraction of the clips, chosen by a hash of their ids.
        sample_rate: Hz, the stored rate (default) or a lower one.
        resample: to a lower rate by ``lowpass``, or by ``stride`` as the reference does.
        workers, worker: of so many workers, this is number ``worker`` from 0. Together they sample
            what one would, each clip of it once; batch k of all of them is batch k of one worker
            with batches ``workers`` times as large (but for ``streamed``, which shares windows).
        on_corrupt: ``raise`` at a damaged record, or ``skip`` it: the random samplings then take
            the next clip of its rarest class instead, ``sequential`` leaves it out.
        on_damage: called for each damaged record that is skipped, each time, from any thread.
        flac_decoder: for FLAC records, ``libsndfile``, or in the graph by ``tensorflow-io``.
        renamed: ``damaged`` and ``decimation``, version 0.1.0's ``on_corrupt`` and ``resample``.

    Returns:
        A dataset of dicts, in deterministic order: ``clip_id`` (batch,) string, ``waveform``
        (batch, samples) int16 and ``target`` (batch, classes) float32, multi-hot. At a damaged
        record the iterator raises ``tf.errors.InvalidArgumentError``, with the shard and the clip.

    Raises:
        TFRecordsError: not a packed directory, or a wrong argument.

    >>> for batch in tfrecords.dataset("packed/train", batch_size=32, sampling="balanced"):
    ...     audio = tf.cast(batch["waveform"], tf.float32) / 32767
    """
    if unknown := set(renamed) - {"damaged", "decimation"}:
        raise TypeError(f"dataset() received an unexpected keyword argument {unknown.pop()!r}")
    on_corrupt = renamed.get("damaged", on_corrupt)
    resample = renamed.get("decimation", resample)
    batch_size, seed = _whole("batch_size", batch_size, minimum=1), _whole("seed", seed)
    workers = _whole("workers", workers, minimum=1)
    worker = _whole("worker", worker, minimum=0, maximum=workers - 1)
    start = _whole("start", start, minimum=0)
    _check("sampling", sampling, choices=SAMPLINGS)
    _check("on_corrupt", on_corrupt, choices=("raise", "skip"))
    _check("flac_decoder", flac_decoder, choices=("libsndfile", "tensorflow-io"))
    if start % workers:
        raise TFRecordsError(f"start must be a multiple of the {workers} workers, received {start}")
    index = load_index(path)
    info, clips = index.info, index.select(exclude, fraction)
    rate = info.sample_rate if sample_rate is None else _whole("sample_rate", sample_rate)
    check_resample(info.sample_rate, rate, resample)
    endless, skip = sampling != "sequential", on_corrupt == "skip"
    if not endless and start > len(clips):
        raise TFRecordsError(
            f"start must be at most the {len(clips)} clips of a sequential pass, received {start}"
        )

    sampler = Sampler(index, clips, sampling, seed, batch_size * workers)
    to_rate = partial(resample_clips, stored=info.sample_rate, wanted=rate, resample=resample)
    decode_flac = None
    if flac_decoder == "tensorflow-io" and info.codec == "flac":
        decode_flac = _flac_decoder(info.clip_samples)
    on_damage = on_damage or (lambda damage: None)
    reader = _BatchReader(RecordReader(index), sampler, skip, on_damage, to_rate, decode_flac)

    # ``streamed`` loses its long runs if every worker takes some clips of each; elsewhere
    # neighbours, which mixup pairs, stay together, so that workers mix the pairs that one would.
    block = WINDOW_CLIPS if sampling == "streamed" else batch_size
    first, end = start // workers, tf.int64.max
    if not endless:
        end = first + len(range(start + worker, len(clips), workers))
    # Samples come in multiples of the block, so that neither has to be cut up clip by clip.
    data = tf.data.Dataset.range(first, end).batch(max(1, _SAMPLE_BLOCK // block) * block)
    data = data.map(_sample_in_graph(sampler, block if endless else 1, workers, worker))
    data = data.rebatch(block)
    read = _read_in_graph(
        reader,
        rows=block if endless else None,
        samples=resampled_length(info.clip_samples, info.sample_rate, rate),
    )
    calls = 2 if sampling == "streamed" else _PARALLEL_BATCHES
    data = data.map(read, num_parallel_calls=calls, deterministic=True)
    if block != batch_size or (skip and not endless):
        data = data.rebatch(batch_size, drop_remainder=endless)
    if not endless and not skip:
        batches = -(-(end - first) // batch_size)
        data = data.apply(tf.data.experimental.assert_cardinality(batches))
    return data.prefetch(2)


def _whole(name: str, number: int, **bounds: int) -> int:
    """The Python integer of a whole number of any kind, NumPy's among them."""
    if not hasattr(number, "__index__"):
        raise TFRecordsError(f"{name} must be a whole number, received {number!r}")
    _check(name, operator.index(number), **bounds)
    return operator.index(number)


def _check(name: str, value: int | str, **allowed) -> None:
    try:
        check_setting(name, value, Setting(**allowed), (type(value),))
    except ValueError as error:
        raise TFRecordsError(str(error)) from None


def _sample_in_graph(sampler: Sampler, turn: int, workers: int, worker: int) -> Callable:
    """A function for ``Dataset.map``: sample numbers of one worker, (n,), to clips, (n,)."""
    call_sampler = _weak(sampler)  # not in the function below, which is traced in a graph

    def sample(numbers: tf.Tensor) -> tf.Tensor:
        # Of the common stream the workers take ``turn`` numbers each, one after the other.
        common = (numbers // turn * workers + worker) * turn + numbers % turn
        clips = tf.numpy_function(call_sampler, [common], tf.int64, stateful=False)
        return tf.ensure_shape(clips, numbers.shape)

    return sample


@dataclass(frozen=True)
class _BatchReader:
    """Reads batches; clips that are damaged are replaced, left out, or raise."""

    records: RecordReader
    sampler: Sampler
    skip: bool
    on_damage: Callable[[Damage], None]
    # Resamples waveforms; refers to nothing large, since TensorFlow keeps it for good.
    to_rate: Callable[[np.ndarray], np.ndarray]
    # None where FLAC is decoded here, not by an operation of the graph.
    decode_flac: Callable[[tf.Tensor], tf.Tensor] | None

    def __call__(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, int16 waveforms (or FLAC as it is stored, for ``decode_flac``) and targets."""
        index = self.records.index
        audio, damages = self._read(clips)
        if damages and not self.skip:
            raise ValueError(str(damages[min(damages)]))
        clips, endless = clips.copy(), self.sampler.sampling != "sequential"
        for row in sorted(damages):
            self.on_damage(damages[row])
            if endless:
                clips[row], audio[row] = self._substitute(clips[row])
        if damages and not endless:
            clips, audio = (np.delete(values, list(damages), axis=0) for values in (clips, audio))
        if not self.decode_flac:
            audio = self.to_rate(audio)
        return np.array(index.clip_ids[clips].tolist(), object), audio, index.targets(clips)

    def _read(self, clips: np.ndarray) -> tuple[np.ndarray, dict[int, Damage]]:
        if not self.decode_flac:
            return self.records.waveforms(clips)
        records, damages = self.records.records(clips)
        audio = np.full(len(clips), b"", object)
        for row in set(range(len(clips))) - set(damages):
            audio[row] = bytes(schema.decode(records[row])[1])
        return audio, damages

    def _substitute(self, clip: int) -> tuple[int, np.ndarray | bytes]:
        """The next undamaged clip of the rarest class of a damaged one."""
        index = self.records.index
        for other in self.sampler.alike(clip, index):
            audio, damages = self._read(np.array([other]))
            if not damages:
                return other, audio[0]
            self.on_damage(damages[0])
        raise ValueError(
            f"{index.clip_name(clip)}: the record is damaged, and so is every other that could be "
            f"sampled in its place; run 'python -m tfrecords verify {index.directory}'"
        )


def _read_in_graph(reader: _BatchReader, rows: int | None, samples: int) -> Callable:
    """A function for ``Dataset.map``: clips, (rows,), to a batch of waveforms of ``samples``."""
    call_reader = _weak(reader)  # not in the function below, which is traced in a graph

    def read(clips: tf.Tensor) -> dict[str, tf.Tensor]:
        info = reader.records.index.info  # keeps the reader, which ``call_reader`` does not
        kinds = [tf.string, tf.string if reader.decode_flac else tf.int16, tf.float32]
        clip_id, waveform, target = tf.numpy_function(call_reader, [clips], kinds, stateful=False)
        if reader.decode_flac:
            waveform = reader.decode_flac(tf.ensure_shape(waveform, [None]))
            waveform = tf.numpy_function(reader.to_rate, [waveform], tf.int16, stateful=False)
        return {
            "clip_id": tf.ensure_shape(clip_id, [rows]),
            "waveform": tf.ensure_shape(waveform, [rows, samples]),
            "target": tf.ensure_shape(target, [rows, info.num_classes]),
        }

    return read


def _weak(function: Callable) -> Callable:
    """A callable that does not let TensorFlow keep its object, with open files, for good."""
    if not tf.executing_eagerly():
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

    def decode_one(audio: tf.Tensor) -> tf.Tensor:
        return decode_flac(audio, shape=[samples, 1], dtype=tf.int16)[:, 0]

    return partial(tf.map_fn, decode_one, fn_output_signature=tf.TensorSpec([samples], tf.int16))
