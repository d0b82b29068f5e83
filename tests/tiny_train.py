"""train.py with the tiny networks in its table: a command that tests can start and kill."""

import train
from panns_tf.cli import run
from tests.support import register_tiny

if __name__ == "__main__":
    register_tiny()
    run(train.main)
