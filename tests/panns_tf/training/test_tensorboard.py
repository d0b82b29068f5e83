import io

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from panns_tf.config import TrainConfig
from panns_tf.models.registry import ARCHITECTURES
from panns_tf.training import tensorboard as tensorboard_module
from panns_tf.training.data import RecordData
from panns_tf.training.distribution import Distribution
from panns_tf.training.evaluator import RecordEvaluator
from panns_tf.training.tensorboard import (
    TensorBoardImages,
    augmented,
    front_end,
    watched_classes,
)
from panns_tf.training.trainer import Trainer
from panns_tf.weights.loading import create_model
from tfrecords import load_index


@pytest.fixture(autouse=True)
def messages(monkeypatch) -> list[str]:
    """What is logged besides evaluations."""
    found: list[str] = []
    for name in ("info", "warning"):
        note = lambda text: None if text.startswith("step ") else found.append(text)  # noqa: E731
        monkeypatch.setattr(tensorboard_module.logger, name, note)
    return found


def run(data, folder, **settings) -> Trainer:
    settings = {"arch": "Small", "steps": 6, "batch_size": 4, "eval_steps": 3, **settings}
    paths = {"data": str(data / "train"), "eval_data": str(data / "eval")}
    config = TrainConfig(
        run_dir=str(folder), log_steps=2, eval_training_clips=0, **{**paths, **settings}
    )
    keras.utils.set_random_seed(0)
    index, one = load_index(config.data), Distribution(tf.distribute.get_strategy())
    network = create_model(config.arch, 12)
    network.labels = index.info.classes
    records = RecordData(config, network.arch.frontend.sample_rate, one)
    evaluate = RecordEvaluator(config, network, one) if config.eval_data else None
    trainer = Trainer(config, network, records, evaluate=evaluate)
    trainer.callbacks.append(TensorBoardImages(trainer, records, evaluate, index.class_counts))
    trainer.train()
    return trainer


def events(folder) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0})
    found.Reload()
    return found


def texts(found: EventAccumulator, tag: str) -> list[bytes]:
    return list(found.Tensors(tag)[-1].tensor_proto.string_val)


def test_numbers_pictures_sound_and_settings(data, tmp_path, messages):
    trainer = run(data, tmp_path / "whole")
    assert messages == []
    found = events(tmp_path / "whole")
    tags = set(found.Tags()["tensors"])
    scalars = {"loss", "learning_rate", "gradient_norm", "weight_norm", "clips_per_second"}
    assert {f"train/{name}" for name in (*scalars, "waiting")} <= tags
    assert {f"eval/{name}" for name in ("mAP", "mAUC", "d_prime")} <= tags
    pictures = {
        "clips/before and after SpecAugment and mixup": 1,
        "clips/what the network sees": 2,
        "classes/precision and recall": 2,
    }
    for tag, times in pictures.items():
        assert len(found.Tensors(tag)) == times, tag
        assert texts(found, tag)[2][:4] == b"\x89PNG"
        assert len(texts(found, tag)[2]) > 4000, f"nothing is drawn in {tag}"
    assert b"- arch: Small" in texts(found, "configuration")[0]
    sound, rate = soundfile.read(io.BytesIO(texts(found, "hard clips/1")[0]))
    assert (rate, len(sound)) == (8000, 4000)
    assert np.abs(sound).max() > 0.01
    (described,) = texts(found, "hard clips: what they are")
    assert described.count(b"Predicted: ") == 3
    # Pictures change nothing of a run.
    plain = run(data, tmp_path / "plain", pictures=False)
    for a, b in zip(trainer.network.weights, plain.network.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    tags = set(events(tmp_path / "plain").Tags()["tensors"])
    assert {"configuration", "eval/mAP"} <= tags
    assert not [tag for tag in tags if tag.startswith(("clips/", "network/", "classes/", "hard"))]


def test_a_picture_that_fails_is_reported_once_and_training_goes_on(
    data, tmp_path, monkeypatch, messages
):
    def broken(*args):
        raise OSError("no room")

    monkeypatch.setattr(tensorboard_module, "image", broken)
    assert run(data, tmp_path).step == 6
    assert messages == ["TensorBoard lacks pictures of step 0: OSError: no room"]


def test_a_profile_of_the_steps_that_were_asked_for(data, tmp_path, messages):
    run(data, tmp_path, profile="3:5", pictures=False, eval_data=None)
    (line,) = messages
    assert line.startswith("Profile of steps 3 to 5 in ")
    assert list((tmp_path / "tensorboard/plugins/profile").rglob("*.xplane.pb"))


def test_watched_classes(data, tmp_path):
    labels = ["rain", "dog", "bark"]
    assert watched_classes(labels, np.array([3, 9, 1]), None) == [1, 0, 2]
    assert watched_classes(labels, np.array([3, 9, 1]), " bark; rain;") == [2, 0]
    assert len(watched_classes([str(n) for n in range(40)], np.arange(40), None)) == 6
    with pytest.raises(ValueError, match="no class 'barking'; did you mean bark"):
        watched_classes(labels, np.array([3, 9, 1]), "barking")
    with pytest.raises(ValueError, match="no class 'barking'"):
        run(data, tmp_path, watch_classes="barking")
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    "network_name",
    ["Small", "Thin_LeeNet11", "Thin_Wavegram_Logmel_Cnn14", "Thin_MobileNetV1", "Thin_ResNet22"],
)
def test_networks_have_the_pictures_that_they_can(network_name):
    arch, network = ARCHITECTURES[network_name], create_model(network_name, 3)
    expected = set(arch.inputs) & {"log_mel", "wavegram"}
    model = front_end(network)
    if not expected:
        assert model is None
        return
    found = model(np.zeros((2, arch.frontend.sample_rate), "float32"))
    assert set(found) == expected
    if "log_mel" in found:
        assert (found["log_mel"].shape[0], found["log_mel"].shape[2]) == (2, arch.frontend.mel_bins)
    if "wavegram" in found:
        assert found["wavegram"].shape[2] == arch.frontend.mel_bins // 2
    assert {id(w) for w in model.weights} <= {id(w) for w in network.weights}


def test_clips_before_and_after_augmentation(data):
    network = create_model("Small", 12)
    before = [np.asarray(v) for v in network.variables]
    for mixup, panels, items in (("features", 3, 2), ("waveform", 3, 2), ("none", 2, 4)):
        config = TrainConfig(arch="Small", data=str(data / "train"), mixup=mixup)
        records = RecordData(config, 8000, Distribution(tf.distribute.get_strategy()))
        rows, seconds = augmented(network, config, records)
        assert ([len(row) for row in rows], seconds) == ([panels] * items, 0.5)
        values = [values for values, _ in rows[0]]
        assert {value.shape for value in values} == {values[0].shape}
        if mixup == "none":
            changed = values[1] != values[0]
            assert changed.any()
            np.testing.assert_array_equal(values[1][changed], 0)
    for a, b in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="random states of the run stay as they were")
