"""What enters the updates: records, with the weights that mix them."""

from collections.abc import Iterator

import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers import MixupLambda
from panns_tf.training.distribution import Distribution
from tfrecords import dataset, read_black_list


def records(config: TrainConfig, step: int, batch_size: int, **options) -> tf.data.Dataset:
    """Returns the clips of a run from the update after ``step`` on; options as `dataset` has."""
    return dataset(
        config.data,
        batch_size=batch_size,
        sampling=config.sampling,
        seed=config.seed,
        start=step * config.clips_per_step,
        exclude=read_black_list(config.exclude) if config.exclude else (),
        fraction=config.fraction,
        **options,
    )


def batches(config: TrainConfig, step: int, distribution: Distribution, **reading) -> Iterator:
    """Returns the batches of all updates after ``step``, for `UpdateStep.run`.

    On several devices each takes one of the consecutive parts of a batch, so that all of them
    together see what one would (but for `streamed`, whose windows workers share).
    """
    clips = config.clips_per_step // distribution.replicas

    def of_this_worker(context=None) -> tf.data.Dataset:
        workers, worker = distribution.workers, distribution.worker
        data = records(config, step, clips, workers=workers, worker=worker, **reading)
        data = data.map(lambda batch: {name: batch[name] for name in ("waveform", "target")})
        if config.mixup != "none":
            weights = mixup_weights(config, step, clips, workers, worker)
            data = tf.data.Dataset.zip(data, weights).map(
                lambda batch, weight: {**batch, "mixup_lambda": weight}
            )
        return data.prefetch(2)

    if distribution.replicas == 1:
        return iter(of_this_worker())
    return iter(distribution.strategy.distribute_datasets_from_function(of_this_worker))


def mixup_weights(
    config: TrainConfig, step: int, clips: int, workers: int = 1, worker: int = 0
) -> tf.data.Dataset:
    """Returns the mixup weights of a worker's batches of ``clips`` clips: float32 (clips,)."""

    def draw() -> Iterator:
        start = step * config.batch_size
        weights = MixupLambda(config.seed, alpha=config.mixup_alpha, start=start)
        while True:
            # Of every round of batches, one for each worker, this one takes its own.
            yield weights.draw(workers * clips // 2).reshape(workers, clips)[worker]

    return tf.data.Dataset.from_generator(
        draw, output_signature=tf.TensorSpec((clips,), tf.float32)
    )


def clip_ids(config: TrainConfig, step: int, workers: int = 1, **reading) -> list[str]:
    """Returns the ids of the clips of update number ``step``, counted from 1."""
    clips, found = config.clips_per_step // workers, []
    for worker in range(workers):
        share = {"workers": workers, "worker": worker}
        (batch,) = records(config, step - 1, clips, **share, **reading).take(1)
        found += batch["clip_id"].numpy().tolist()
    return [clip_id.decode(errors="replace") for clip_id in found]
