"""What the packages offer, and what importing them costs."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import panns_tf
import tfrecords

ROOT = Path(__file__).parents[2]
NAMES = [
    *("AudioTagger", "EventSettings", "LogMel", "Mixup", "SoundEventDetector", "SpecAugment"),
    *("StreamingDetector", "StreamingTagger", "complexity", "create_model", "layers"),
    *("list_models", "load_torch_state", "metrics", "models", "read_torch_state"),
    *("to_torch_state", "training_model", "weights"),
]


def test_names():
    assert set(panns_tf.__all__) >= set(NAMES)
    assert {"__version__", "__all__"} <= set(dir(panns_tf))
    everything = {}
    exec("from panns_tf import *", everything)
    assert set(panns_tf.__all__) <= set(everything)
    for public in panns_tf.__all__:
        assert public in dir(panns_tf)
        assert getattr(panns_tf, public) is getattr(panns_tf, public)
    for public in ("dataset", "load_index"):
        assert public in tfrecords.__all__
        assert callable(getattr(tfrecords, public))


def test_signatures():
    def parameters(function) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(panns_tf.list_models) == ["pattern"]
    assert parameters(panns_tf.create_model) == ["name", "num_classes", "weights", "overrides"]
    assert parameters(panns_tf.training_model) == ["model"]
    assert parameters(panns_tf.load_torch_state) == ["model", "state"]
    settings = ["sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax", "window"]
    assert parameters(panns_tf.LogMel)[:7] == settings
    assert parameters(panns_tf.metrics.average_precision) == ["target", "score"]
    assert parameters(panns_tf.metrics.roc_auc) == ["target", "score"]
    given = parameters(tfrecords.dataset)
    for name in ("batch_size", "sampling", "seed", "start", "exclude", "fraction"):
        assert name in given


@pytest.mark.parametrize("unknown", ["create_modle", "Network", "__path"])
def test_other_names_are_unknown(unknown):
    with pytest.raises(AttributeError, match=f"module 'panns_tf' has no attribute '{unknown}'"):
        getattr(panns_tf, unknown)


def test_the_version_is_the_packages():
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert panns_tf.__version__ == re.search(r'^version = "(.+)"', pyproject, re.MULTILINE)[1]


def test_importing_them_loads_nothing_heavy():
    code = (
        "import sys, panns_tf, tfrecords\n"
        "print(sorted({'numpy', 'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[]\n"
    assert done.stderr == ""


def test_names_of_networks():
    networks = panns_tf.list_models()
    assert {"Cnn14", "Wavegram_Logmel_Cnn14", "Cnn14_DecisionLevelMax", "VGGish"} <= set(networks)
    assert panns_tf.list_models("resnet*") == ["ResNet22", "ResNet38", "ResNet54"]
    with pytest.raises(ValueError, match="Wavegram_Logmel_Cnn14"):
        panns_tf.create_model("wavegram_logmell")


def test_inputs_and_outputs_of_networks():
    for name, more in (
        ("tiny", set()),
        ("THIN-Cnn14_DecisionLevelMax", {"framewise_output", "segmentwise_output"}),
    ):
        model = panns_tf.create_model(name, num_classes=3)
        assert isinstance(model, keras.Model)
        assert model.input.shape == (None, None)
        assert model.input.name == "waveform"
        outputs = model(np.zeros((2, 1234), "float32"))
        assert set(outputs) == {"clipwise_output", "embedding"} | more
        assert outputs["clipwise_output"].shape == (2, 3)
        assert outputs["embedding"].shape == (2, 8)
        training = panns_tf.training_model(model)
        waveform = np.zeros((4, 1234), "float32")
        assert training({"waveform": waveform}).shape == (4, 3)
        mixed = training({"waveform": waveform, "mixup_lambda": np.full(4, 0.5, "float32")})
        assert mixed.shape == (2, 3)
        ours = {id(variable) for variable in model.variables}
        assert ours == {id(variable) for variable in training.variables}
