"""The input pipeline: records with mixup weights, augmentation, and data for the demo."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers.mixup import MixupLambda
from panns_tf.training.distribution import Distribution
from tfrecords import Damage, dataset, read_exclude_list, synthesize_clips
from tfrecords.decoders import RECORD_FULL_SCALE
from tfrecords.files import atomic_path
from tfrecords.progress import logger

#: Of the demo. Two CPU cores train a network of the size of Wavegram_Logmel_Cnn14 on this in a few
#: minutes.
DEMO_SECONDS, DEMO_CLIPS = 0.5, {"train": 600, "eval": 160}


class TrainingData:
    """What a `Trainer` reads; ``damaged_clips`` were skipped, None where none ever are."""

    damaged_clips: int | None = None

    def batches(self, step: int) -> Iterator:
        """The batches of all updates after ``step``, as `TrainStep.run` takes them."""
        raise NotImplementedError

    def clip_ids(self, step: int) -> list[str]:
        """The ids of the clips of update number ``step``, counted from 1."""
        raise NotImplementedError


class RecordData(TrainingData):
    """Batches of a packed directory, of which each device takes one of the consecutive parts; all
    together read what one would (but for `streamed`, whose windows workers share).
    """

    def __init__(self, config: TrainConfig, sample_rate: int, distribution: Distribution):
        self._config, self._sample_rate, self._distribution = config, sample_rate, distribution
        self._skipped: set[str] = set()

    @property
    def damaged_clips(self) -> int | None:
        return len(self._skipped) if self._config.damaged == "skip" else None

    def note_damage(self, damage: Damage) -> None:
        """Counts a damaged record that is skipped, and reports it once."""
        if damage.clip_id not in self._skipped:
            self._skipped.add(damage.clip_id)
            logger.warning(f"skipped: {damage}")

    def records(self, step: int, batch_size: int, **options) -> tf.data.Dataset:
        """The clips from the update after ``step`` on; options as `tfrecords.dataset` has."""
        config = self._config
        return dataset(
            config.data,
            batch_size=batch_size,
            sampling=config.sampling,
            seed=config.seed,
            start=step * config.clips_per_step,
            **selection(config),
            **{**reading(config, self._sample_rate), **options},
        )

    def batches(self, step: int) -> Iterator:
        distribution = self._distribution
        clips = self._config.clips_per_step // distribution.replicas
        share = {"workers": distribution.workers, "worker": distribution.worker}

        def of_this_worker(context=None) -> tf.data.Dataset:
            data = self.records(step, clips, on_damage=self.note_damage, **share)
            data = data.map(lambda batch: {name: batch[name] for name in ("waveform", "target")})
            return add_mixup(data, self._config, step, clips, **share).prefetch(2)

        if distribution.replicas == 1:
            return iter(of_this_worker())
        return iter(distribution.strategy.distribute_datasets_from_function(of_this_worker))

    def clip_ids(self, step: int) -> list[str]:
        workers, ids = self._distribution.workers, []
        clips = self._config.clips_per_step // workers
        for worker in range(workers):
            (batch,) = self.records(step - 1, clips, workers=workers, worker=worker).take(1)
            ids += decoded(batch["clip_id"].numpy())
        return ids


def reading(config: TrainConfig, sample_rate: int) -> dict:
    """How a run reads records, as `tfrecords.dataset` takes it."""
    how = {"resample": config.decimation, "on_corrupt": config.damaged}
    return {"sample_rate": sample_rate, **how}


def selection(config: TrainConfig) -> dict:
    """Which training clips a run samples, as `tfrecords.dataset` takes it."""
    exclude = read_exclude_list(config.exclude) if config.exclude else ()
    return {"exclude": exclude, "fraction": config.fraction}


def decoded(clip_ids: Iterable[bytes]) -> list[str]:
    return [clip_id.decode(errors="replace") for clip_id in clip_ids]


def add_mixup(
    data: tf.data.Dataset,
    config: TrainConfig,
    step: int = 0,
    clips: int | None = None,
    workers: int = 1,
    worker: int = 0,
) -> tf.data.Dataset:
    """Adds ``mixup_lambda``, float32 (clips,), to batches after ``step`` updates, unless nothing is
    mixed; of each round of batches, one a worker, this one takes its own.
    """
    if config.mixup == "none":
        return data
    clips = clips or config.clips_per_step

    def weights() -> Iterator:
        sequence = MixupLambda(config.seed, config.mixup_alpha, start=step * config.batch_size)
        while True:
            yield sequence.draw(workers * clips // 2).reshape(workers, clips)[worker]

    signature = tf.TensorSpec((clips,), tf.float32)
    each = tf.data.Dataset.from_generator(weights, output_signature=signature)
    pairs = tf.data.Dataset.zip(data, each)
    return pairs.map(lambda batch, weight: {**batch, "mixup_lambda": weight})


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Shortens TensorFlow's report of a damaged record to one line, with the shard and the clip."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        # TensorFlow escapes the quotation marks in the messages of its assertions.
        match = re.search(r"shard \S+, clip .*?verify .*?'(?=[\]\s])", error.message, re.DOTALL)
        if not match:
            raise
        raise ValueError(match[0].replace("\\'", "'")) from error


def from_int16(waveform):
    """Record samples, int16, to float32 in [-1, 1]; on the device, so half the bytes travel."""
    return tf.cast(waveform, tf.float32) / RECORD_FULL_SCALE


def augment(waveform, seed, *, shift: int = 0, gain: float = 0.0):
    """Rotates clips (clips, samples) by up to ``shift`` samples, and changes levels by ``gain`` dB,
    beyond [-1, 1] too; ``seed``, (2,) int64, decides each clip's amounts.
    """
    clips, samples = tf.unstack(tf.shape(waveform))

    def uniform(purpose: int, shape, low, high, dtype):
        # Philox samples the same numbers under XLA and without it.
        salted = seed * tf.constant((1, 2), tf.int64) + tf.constant((0, purpose), tf.int64)
        return tf.random.stateless_uniform(shape, salted, low, high, dtype, alg="philox")

    if shift:
        by = uniform(0, (clips,), -shift, shift + 1, tf.int32)
        place = (tf.range(samples)[None] - by[:, None]) % samples  # (clips, samples)
        waveform = tf.gather(waveform, place, axis=1, batch_dims=1)
    if gain:
        waveform *= 10 ** (uniform(1, (clips, 1), -gain, gain, tf.float32) / 20)
    return waveform


def make_demo_data(run_dir: Path, sample_rate: int, seed: int) -> None:
    """Makes the demo's training and held-out set in ``data`` of a run, unless they are there."""
    for number, (split, clips) in enumerate(DEMO_CLIPS.items()):
        directory = run_dir / "data" / split
        if (directory / "dataset.json").exists():
            continue
        if directory.exists():
            raise ValueError(
                f"{directory} is there and holds no packed records; the demo makes its own: "
                "choose another --run-dir"
            )
        directory.parent.mkdir(parents=True, exist_ok=True)
        size = {"clips": clips, "clip_seconds": DEMO_SECONDS, "sample_rate": sample_rate}
        with atomic_path(directory) as partial:
            synthesize_clips(partial, **size, seed=2 * seed + number, split=split)
