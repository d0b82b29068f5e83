import dataclasses

import keras
import numpy as np
import pytest

from panns_tf.config import TrainConfig
from panns_tf.models import ARCHITECTURES
from panns_tf.training.board.front import front_end, seen_in_training
from panns_tf.training.trainer import Trainer
from panns_tf.weights.loading import create_model


def test_every_network_has_the_features_that_its_row_says(thin):
    row = ARCHITECTURES[thin]
    network = create_model(thin, 3)
    model = front_end(network)
    expected = set(row.inputs) & {"log_mel", "wavegram"}
    if not expected:
        assert model is None
        return
    found = model(np.zeros((2, row.frontend.sample_rate), "float32"))
    assert set(found) == expected
    if "log_mel" in found:
        assert found["log_mel"].shape[0] == 2
        assert found["log_mel"].shape[2] == row.frontend.mel_bins
    if "wavegram" in found:
        assert found["wavegram"].shape[2] == row.frontend.mel_bins // 2
    shared = {id(w) for w in network.weights}
    assert all(id(w) in shared for w in model.weights), "no layer of its own"


@pytest.fixture
def trainer(data, tmp_path):
    def make(**settings) -> Trainer:
        settings = {"arch": "Tiny", "data": str(data / "train"), "batch_size": 4, **settings}
        keras.utils.set_random_seed(0)
        config = TrainConfig(run_dir=str(tmp_path), **settings)
        return Trainer(config, create_model(config.arch, 12))

    return make


def test_what_is_seen_with_mixup_of_features(trainer):
    made = trainer()
    before = [np.asarray(v) for v in made.network.variables]
    seen = seen_in_training(made, 2)
    assert seen.before.shape == seen.masked.shape
    assert (len(seen.before), len(seen.entering), len(seen.names)) == (4, 2, 4)
    mixed = seen.masked * seen.weights[:, None, None]
    np.testing.assert_allclose(seen.entering, mixed[0::2] + mixed[1::2], atol=1e-5)
    changed = seen.masked != seen.before
    assert changed.any()
    np.testing.assert_array_equal(seen.masked[changed], 0)
    assert seen.seconds == 0.5
    for a, b in zip(before, made.network.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="random states of the run stay as they were")


@pytest.mark.parametrize(
    ("settings", "masked", "items"),
    [
        ({"mixup": "none"}, True, 4),
        ({"mixup": "waveform"}, False, 2),
        ({"mixup": "none", "spec_augment": False, "gain": 6.0}, True, 4),
    ],
)
def test_what_is_seen_otherwise(trainer, settings, masked, items):
    seen = seen_in_training(trainer(**settings), 2)
    assert (seen.masked is not None) == masked
    assert len(seen.entering) == items
    assert not np.allclose(seen.entering[0], seen.before[0])


def test_a_network_on_the_waveform_has_no_such_picture(trainer, monkeypatch):
    row = dataclasses.replace(ARCHITECTURES["Thin_DaiNet19"], name="Wave")
    monkeypatch.setitem(ARCHITECTURES, "Wave", row)
    made = trainer()
    made.network = create_model("Wave", 12)
    assert seen_in_training(made, 2) is None
