"""Set-up of all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from panns_tf.layers.cpu import traced_for
from tests import support
from tests.browser import _browser, page, screenshot  # noqa: F401  fixtures
from tfrecords import synthesize_clips

#: What a test may ask for by the name of its argument.
NAMES = {
    # the networks of the paper, before others join the table
    "name": tuple(support.ARCHITECTURES),
    # those that the reference has, hence fixtures
    "reference": tuple(support.read_json("cases")),
    # those of which the reference's first training steps are known
    "trained": tuple(support.read_json("training")["networks"]),
    # the paper's networks with few channels
    "thin": tuple(row.name for row in support.THIN),
    # those of them that are different graphs at inference
    "thin_graph": tuple(row.name for row in support.GRAPHS),
}
support.register_tiny()


def pytest_configure(config):
    config.addinivalue_line("markers", "full: left out of the default suite; see README.md")


def pytest_generate_tests(metafunc):
    """Runs a test once for each network of the kind that it asks for."""
    for argument, names in NAMES.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, names)


@pytest.fixture(autouse=True)
def _fresh_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def policy():
    """Sets the precision policy for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def deterministic():
    """Has one test compute as train.py does on a CPU, where every sum has its order."""
    tf.config.experimental.enable_op_determinism()
    yield
    config.disable_op_determinism()


@pytest.fixture
def plain():
    """Runs one test without XLA, which would compile every layer for every length."""
    with traced_for("portable"):
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with small packed sets for the tiny networks, ``train`` and ``eval``; read only."""
    folder = tmp_path_factory.mktemp("data")
    for split, clips in (("train", 60), ("eval", 40)):
        synthesize_clips(
            folder / split,
            clips=clips,
            clip_seconds=0.5,
            sample_rate=8000,
            split=split,
            progress=False,
        )
    return folder
