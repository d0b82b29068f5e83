"""Ten updates of a network in one precision, on clips that are loud, silent and clipped."""

import functools

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training.distribution import Distribution, numerics
from panns_tf.training.step import TrainStep
from panns_tf.weights.loading import create_model

STEPS = 10
PRECISIONS = ("mixed_bfloat16", "mixed_float16")


def hard_clips(samples: int) -> np.ndarray:
    """(8, samples) int16: noise, silence, a constant, a square wave at full scale, one click ..."""
    rng = np.random.default_rng(0)
    time = np.arange(samples)
    clips = [
        rng.normal(0, 0.1, samples),
        np.zeros(samples),
        np.ones(samples),
        np.sign(np.sin(time * 0.1)),
        np.clip(rng.normal(0, 5, samples), -1, 1),
        (time == samples // 2).astype(float),
        0.5 * np.sin(time * 0.05),
        rng.normal(0, 1e-4, samples),
    ]
    return np.rint(np.stack(clips) * 32767).astype("int16")


@functools.lru_cache(maxsize=4)
def losses(name: str, precision: str) -> np.ndarray:
    """(10,) the losses of ten updates from weights that depend on the network alone."""
    keras.backend.clear_session()
    config = TrainConfig(
        arch=name, precision=precision, batch_size=8, mixup="none", learning_rate=1e-4
    )
    with numerics(precision, seed=0):
        network = create_model(name, num_classes=5, dropout=False, spec_augment=False)
        update = TrainStep(config, network, Distribution(tf.distribute.get_strategy()))
        samples = network.arch.frontend.sample_rate
        batch = {
            "waveform": tf.constant(hard_clips(samples)),
            "target": tf.constant(np.eye(5, dtype="float32")[np.arange(8) % 5]),
        }
        batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
        found = []
        for _ in range(STEPS):
            update.run(batches, 1)
            found.append(float(update.flush()["loss"]))
        return np.array(found)


def distance(name: str, precision: str) -> float:
    """The largest distance of a loss from that of float32, relative."""
    return float(np.abs(losses(name, precision) / losses(name, "float32") - 1).max())
