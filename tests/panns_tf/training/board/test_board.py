import dataclasses
import io

import keras
import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from panns_tf.config import TrainConfig
from panns_tf.training.board import Board
from panns_tf.training.board import board as board_module
from panns_tf.training.trainer import Trainer
from panns_tf.weights.loading import create_model
from tfrecords import load_index, synthesize_clips


def run(data, folder, **settings) -> tuple[Trainer, list[str]]:
    config = TrainConfig(
        arch="Tiny",
        data=str(data / "train"),
        eval_data=str(data / "eval"),
        run_dir=str(folder),
        steps=6,
        batch_size=4,
        eval_steps=3,
        log_steps=2,
    )
    config = dataclasses.replace(config, **settings)
    keras.utils.set_random_seed(0)
    index = load_index(config.data)
    network = create_model(config.arch, 12)
    network.labels = index.info.classes
    said: list[str] = []
    trainer = Trainer(config, network, say=said.append)
    trainer.callbacks.append(Board(trainer, index.class_counts, said.append))
    trainer.train()
    return trainer, said


def events(folder) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0})
    found.Reload()
    return found


def texts(found: EventAccumulator, tag: str) -> list[bytes]:
    return list(found.Tensors(tag)[-1].tensor_proto.string_val)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer, said = run(data, folder)
    return trainer, said, events(folder)


def test_all_that_the_readme_names_is_there(whole, data):
    _, said, found = whole
    assert said == []
    tags = set(found.Tags()["tensors"])
    scalars = {"loss", "learning_rate", "gradient_norm", "weight_norm", "clips_per_second"}
    assert {f"train/{name}" for name in (*scalars, "waiting")} <= tags
    for name in ("mAP", "mAUC", "d_prime"):
        assert {f"eval/{name}", f"eval/training_{name}"} <= tags
    pictures = {
        "clips/before and after SpecAugment and mixup": 1,
        "clips/what the network sees": 2,
        "network/first layer": 2,
        "classes/average precision by training clips": 2,
    }
    for tag, times in pictures.items():
        assert len(found.Tensors(tag)) == times, tag
        assert texts(found, tag)[2][:4] == b"\x89PNG"
    assert len([tag for tag in tags if tag.startswith("precision and recall/")]) == 7
    assert b"| arch | **Tiny** |" in texts(found, "configuration")[0]
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= tags


def test_hard_clips_can_be_played(whole, data):
    _, _, found = whole
    sound, rate = soundfile.read(io.BytesIO(texts(found, "hard clips/1")[0]))
    assert (rate, len(sound)) == (8000, 4000)
    assert np.abs(sound).max() > 0.01
    (said,) = texts(found, "hard clips: what they are")
    assert said.count(b"The network says") == 3


@pytest.mark.parametrize("arch", ["Thin_LeeNet11", "Thin_Wavegram_Cnn14", "Thin_ResNet22"])
def test_networks_of_other_kinds_have_the_pictures_that_they_can(tmp_path, arch):
    for split in ("train", "eval"):
        synthesize_clips(
            tmp_path / split, clips=24, clip_seconds=1, sample_rate=32000, progress=False
        )
    _, said = run(tmp_path, tmp_path / "run", arch=arch, steps=2, eval_steps=2)
    assert said == []
    tags = set(events(tmp_path / "run").Tags()["tensors"])
    assert {"network/first layer", "hard clips/1"} <= tags
    assert ("clips/what the network sees" in tags) == (arch != "Thin_LeeNet11")
    assert ("clips/before and after SpecAugment and mixup" in tags) == (arch == "Thin_ResNet22")


def test_without_pictures_there_are_numbers_and_settings(data, tmp_path):
    run(data, tmp_path, pictures=False)
    tags = set(events(tmp_path).Tags()["tensors"])
    assert {"configuration", "eval/mAP"} <= tags
    assert not [tag for tag in tags if tag.startswith(("clips/", "network/", "classes/", "hard"))]


def test_pictures_change_nothing_of_a_run(whole, data, tmp_path):
    plain, _ = run(data, tmp_path, pictures=False)
    for a, b in zip(whole[0].network.weights, plain.network.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_picture_that_fails_is_said_once_and_training_goes_on(data, tmp_path, monkeypatch):
    def broken(*arguments):
        raise OSError("no room")

    monkeypatch.setattr(board_module, "picture", broken)
    trainer, said = run(data, tmp_path)
    assert trainer.step == 6
    assert said == ["TensorBoard lacks pictures of step 0: OSError: no room"]


def test_a_profile_of_the_steps_that_were_asked_for(data, tmp_path):
    _, said = run(data, tmp_path, profile="3:5", pictures=False, eval_data=None)
    (line,) = said
    assert line.startswith("Profile of steps 3 to 5 in ")
    assert list((tmp_path / "tensorboard/plugins/profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize("profile", ["3", "5:3", "a:b", "-1:2", "2:7"])
def test_an_impossible_profile_is_refused(profile):
    with pytest.raises(ValueError, match="profile"):
        TrainConfig(steps=6, profile=profile)


def test_an_unknown_class_is_refused_before_training(data, tmp_path):
    with pytest.raises(ValueError, match="no class 'barking'"):
        run(data, tmp_path, watch_classes="barking")
    assert not (tmp_path / "metrics.jsonl").exists()
