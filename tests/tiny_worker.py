"""tests.tiny_train that also writes what each worker holds at the end, for tests to compare."""

import json
import os
from pathlib import Path

import numpy as np

import train
from panns_tf.cli import run
from panns_tf.training.trainer import Trainer
from tests.support import register_tiny

take_all_steps = Trainer.train


def train_and_save(trainer: Trainer) -> int | None:
    result = take_all_steps(trainer)
    task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {"index": 0})
    path = Path(trainer.config.run_dir) / f"worker-{task['index']}.npz"
    np.savez(path, *(variable.numpy() for variable in trainer.network.variables))
    return result


if __name__ == "__main__":
    register_tiny()
    Trainer.train = train_and_save
    run(train.main)
