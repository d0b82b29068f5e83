"""What enters the updates: windows cut at random from the training clips."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers import MixupLambda
from panns_tf.transfer.store import SoundStore
from panns_tf.transfer.windows import cut


def draws(
    numbers: Sequence[int], target: np.ndarray, count: int, sampling: str, seed: int
) -> np.ndarray:
    """Returns the clips of a training in their order.

    Args:
        numbers: of the training clips.
        target: (clips of the data set, classes) of 0 and 1.
        count: clips to draw.
        sampling: ``"shuffled"``, every clip once in each round; or ``"balanced"``, every class
            once in each round, with a clip of its own, each of which comes before one comes again.
        seed: of the order.

    Returns:
        (count,) int64.
    """
    rng = np.random.default_rng(seed)
    if sampling == "shuffled":
        return _rounds(rng, np.asarray(numbers), count)
    members = [np.asarray([n for n in numbers if row[n]]) for row in target.T]
    present = np.array([k for k, clips in enumerate(members) if len(clips)])
    classes = _rounds(rng, present, count)
    drawn = np.zeros(count, np.int64)
    for k in present:
        places = np.flatnonzero(classes == k)
        drawn[places] = _rounds(rng, members[k], len(places))
    return drawn


def _rounds(rng: np.random.Generator, items: np.ndarray, count: int) -> np.ndarray:
    """Permutations of the items, one after the other, ``count`` in all."""
    rounds = [rng.permutation(items) for _ in range(-(-count // len(items)))]
    return np.concatenate([np.zeros(0, np.int64), *rounds])[:count]


def training_batches(
    config: TrainConfig,
    store: SoundStore,
    drawn: np.ndarray,
    target: np.ndarray,
    window: int,
) -> Iterator:
    """Returns the batches of a training, for `panns_tf.training.step.TrainStep.run`.

    Args:
        config: of the training: steps, batch size, mixup, seed.
        store: the sound.
        drawn: clips, `TrainConfig.clips_per_step` for each step.
        target: (clips of the data set, classes).
        window: samples; longer clips are cut at random, shorter ones end in zeros.
    """
    clips, classes = config.clips_per_step, target.shape[1]
    table = drawn.reshape(-1, clips)  # (steps, clips)
    mixes = config.mixup != "none"
    weights = MixupLambda(config.seed, config.mixup_alpha)
    weights = weights.draw(table.size // 2).reshape(table.shape) if mixes else table

    def batch(step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng((config.seed, int(step)))
        rows = [_window(rng, store[number], window) for number in table[step]]
        return np.stack(rows), target[table[step]], weights[step].astype(np.float32)

    def shaped(step) -> dict:
        kinds = (tf.int16, tf.float32, tf.float32)
        waveform, truth, weight = tf.numpy_function(batch, [step], kinds)
        found = {
            "waveform": tf.ensure_shape(waveform, (clips, window)),
            "target": tf.ensure_shape(truth, (clips, classes)),
        }
        return {**found, "mixup_lambda": tf.ensure_shape(weight, (clips,))} if mixes else found

    steps = tf.data.Dataset.range(len(table))
    return iter(steps.map(shaped, num_parallel_calls=2, deterministic=True).prefetch(4))


def _window(rng: np.random.Generator, recording: np.ndarray, window: int) -> np.ndarray:
    spare = len(recording) - window
    return cut(recording, int(rng.integers(spare + 1)) if spare > 0 else 0, window)
