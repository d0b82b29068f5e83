"""The compiled step of a training, for tests: the one place that knows how it is made."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training.trainer import Trainer


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
    trainer = Trainer(config, network)
    yield lambda batch: float(trainer.update.run_once(batch))
    # A traced step outlives its trainer, and would keep a gigabyte of weights and moments.
    for variable in (*trainer.update.optimizer.variables, *network.variables):
        tf.raw_ops.AssignVariableOp(
            resource=variable.value.handle, value=tf.zeros((0,), variable.dtype)
        )
