"""The compiled step of a training, for tests: the one place that knows how it is made."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training.distribution import Distribution
from panns_tf.training.step import TrainStep


@contextlib.contextmanager
def training_step(
    network: keras.Model, learning_rate: float, batch_size: int, run_dir: Path
) -> Iterator[Callable[[dict], float]]:
    """Gives the step of ``train.py`` with the paper's recipe.

    Args:
        network: to be trained.
        learning_rate: of Adam.
        batch_size: N, mixed from 2N clips.
        run_dir: of the run.

    Yields:
        A function that takes ``waveform`` (2N, samples) int16, ``target`` (2N, classes) and
        ``mixup_lambda`` (2N,), makes one step, and returns the loss.
    """
    config = TrainConfig(
        arch=network.name,
        run_dir=str(run_dir),
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    update = TrainStep(config, network, Distribution(tf.distribute.get_strategy()))

    def step(batch: dict) -> float:
        update.run(iter(tf.data.Dataset.from_tensors(batch)), 1)
        return float(update.flush()["loss"])

    yield step
    # A traced step outlives its object, and would keep a gigabyte of weights and moments.
    for variable in (*update.optimizer.variables, *network.variables):
        tf.raw_ops.AssignVariableOp(
            resource=variable.value.handle, value=tf.zeros((0,), variable.dtype)
        )
