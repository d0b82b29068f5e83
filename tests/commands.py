"""The commands as functions, for tests: the one place that knows where they are."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def train(*words) -> None:
    """``python train.py`` in this process, with the small networks of `tests.support`."""
    from train import main

    main(list(map(str, words)))


def evaluate(*words) -> None:
    """``python evaluate.py`` in this process."""
    from evaluate import main

    main(list(map(str, words)))


def panns_tf(*words) -> int:
    """``python -m panns_tf`` in this process; returns its exit status."""
    from panns_tf.__main__ import main

    return main(list(map(str, words))) or 0


def tfrecords(*words) -> int:
    """``python -m tfrecords`` in this process; returns its exit status."""
    from tfrecords.__main__ import main

    return main(list(map(str, words))) or 0


def training_process(*words, module: str = "tests.tiny_train", **settings) -> subprocess.Popen:
    """Starts ``python train.py`` with the small networks in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )
