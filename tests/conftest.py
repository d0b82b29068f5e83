"""Set-up of all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

from tests import support
from tfrecords import synthesize_clips

#: The networks of the paper, before the tiny ones join the table.
PAPER = tuple(support.ARCHITECTURES)
support.register_tiny()


def pytest_generate_tests(metafunc):
    """Runs every test that asks for a ``name`` once for each network of the paper."""
    if "name" in metafunc.fixturenames and not any(
        "name" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")
    ):
        metafunc.parametrize("name", PAPER)


@pytest.fixture(autouse=True)
def _fresh_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def policy():
    """Sets the precision policy for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


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
