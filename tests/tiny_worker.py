"""tests.tiny_train that also writes what each worker holds at the end, for tests to compare."""

from pathlib import Path

import numpy as np

import train
from panns_tf import commands
from panns_tf.training.trainer import Trainer
from tests.support import register_tiny

take_all_steps = Trainer.train


def train_and_tell(trainer: Trainer) -> int | None:
    stopped = take_all_steps(trainer)
    path = Path(trainer.config.run_dir) / f"worker-{trainer._distribution.worker}.npz"
    np.savez(path, *(variable.numpy() for variable in trainer.network.variables))
    return stopped


if __name__ == "__main__":
    register_tiny()
    Trainer.train = train_and_tell
    commands.run(train.main, train.MISTAKES)
