import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from panns_tf.training import allocator

VARIABLE = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
ALONE = """
import os, sys
from panns_tf.training.allocator import spare_memory
print(spare_memory(), os.environ.get("TF_ONEDNN_USE_SYSTEM_ALLOCATOR"))
assert "tensorflow" not in sys.modules, "it would be too late"
"""


@pytest.fixture
def machine(monkeypatch):
    """A machine with glibc and no GPU, and what its allocator was told."""
    told = {}
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(Path, "exists", lambda path: False)

    class Libc:
        def __init__(self, name):
            assert name == "libc.so.6"

        def mallopt(self, option, value):
            told[option] = value
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Libc)
    return told


def test_tells_tensorflow_and_the_c_library(machine):
    assert allocator.spare_memory() is True
    assert os.environ[VARIABLE] == "1"
    # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX of malloc.h
    assert machine == {-3: 8_000_000, -1: 100_000_000, -8: 1}


def test_what_was_chosen_stays(machine, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    allocator.spare_memory()
    assert os.environ[VARIABLE] == "0"


def test_does_nothing_beside_a_gpu(machine, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/proc/driver/nvidia")
    assert allocator.spare_memory() is False
    assert (machine, os.environ.get(VARIABLE)) == ({}, None)


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_does_nothing_without_glibc(machine, monkeypatch, error):
    def absent(name):
        raise error(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert allocator.spare_memory() is False
    assert os.environ.get(VARIABLE) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux'")
def test_comes_before_tensorflow():
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    root = Path(__file__).parents[3]
    found = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() in (["True", "1"], ["False", "None"])
