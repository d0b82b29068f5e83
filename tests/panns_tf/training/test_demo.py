import numpy as np
import pytest

from panns_tf.training import demo
from tfrecords import load_index


def test_makes_real_audio_of_unequal_classes_once(tmp_path):
    train, held_out = demo.make_demo_data(tmp_path, 32000, seed=0)
    index = load_index(train)
    assert index.num_clips == demo.TRAIN_CLIPS
    assert len(list((train / "audio").glob("*.wav"))) == demo.TRAIN_CLIPS
    assert index.num_classes >= 10
    counts = index.class_counts
    assert counts.max() == 20 * counts.min()
    labels = np.diff(index.label_starts)
    assert labels.min() >= 1
    assert labels.max() <= 3
    ids = set(load_index(held_out).clip_ids)
    assert not ids & set(index.clip_ids)
    before = (train / "dataset.json").stat().st_mtime_ns
    assert demo.make_demo_data(tmp_path, 32000, seed=0) == (train, held_out)
    assert (train / "dataset.json").stat().st_mtime_ns == before


def test_starts_again_after_being_killed(tmp_path):
    (tmp_path / "data/.train.partial/audio").mkdir(parents=True)
    (tmp_path / "data/.train.partial/train-00000-of-00003.tfrecord").write_bytes(b"cut off")
    train, _ = demo.make_demo_data(tmp_path, 8000, seed=0)
    assert load_index(train).num_clips == demo.TRAIN_CLIPS
    assert not (tmp_path / "data/.train.partial").exists()


def test_never_removes_what_it_did_not_make(tmp_path):
    precious = tmp_path / "data/train/mine.wav"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"mine")
    with pytest.raises(ValueError, match="holds no packed records"):
        demo.make_demo_data(tmp_path, 8000, seed=0)
    assert precious.read_bytes() == b"mine"
