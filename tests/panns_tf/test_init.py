"""What the package offers, and what importing it costs."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import panns_tf

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("public", panns_tf.__all__)
def test_every_public_name_is_there(public):
    assert public in dir(panns_tf)
    found = getattr(panns_tf, public)
    module = panns_tf._MODULES.get(public)
    if module is None:
        assert found is import_module(f"panns_tf.{public}")
    else:
        assert found is getattr(import_module(f"panns_tf.{module}"), public)
        assert public in import_module(f"panns_tf.{module}").__all__


def test_names():
    assert panns_tf.__all__ == [
        *("AudioTagger", "EventSettings", "LogMel", "Mixup", "SoundEventDetector", "SpecAugment"),
        *("StreamingDetector", "StreamingTagger", "complexity", "create_model"),
        *("layers", "list_models"),
        *("load_torch_state", "metrics", "models", "read_torch_state", "to_torch_state"),
        *("training_model", "weights"),
    ]
    assert {"__version__", "__all__"} <= set(dir(panns_tf))
    everything = {}
    exec("from panns_tf import *", everything)
    assert set(panns_tf.__all__) <= set(everything)


@pytest.mark.parametrize("unknown", ["create_modle", "Network", "__path", "training"])
def test_other_names_are_unknown(unknown):
    # a module that was imported is an attribute of its package
    if f"panns_tf.{unknown}" in sys.modules:
        pytest.skip("another test has imported it")
    with pytest.raises(AttributeError, match=f"module 'panns_tf' has no attribute '{unknown}'"):
        getattr(panns_tf, unknown)


def test_the_version_is_the_packages():
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert panns_tf.__version__ == re.search(r'^version = "(.+)"', pyproject, re.MULTILINE)[1]


def test_importing_it_loads_nothing_else():
    code = "import sys, panns_tf; print(sorted(m for m in sys.modules if 'panns' in m or m in H))"
    heavy = "H = {'numpy', 'keras', 'tensorflow', 'torch'}; "
    done = subprocess.run(
        [sys.executable, "-c", heavy + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "['panns_tf']\n"
    assert done.stderr == ""
