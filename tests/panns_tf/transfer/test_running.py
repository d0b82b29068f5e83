import dataclasses

import numpy as np
import pytest

from panns_tf.transfer import running
from panns_tf.transfer.own import read_own
from panns_tf.transfer.plan import Plan
from panns_tf.transfer.running import run
from panns_tf.transfer.scoring import accuracy
from panns_tf.transfer.settings import TransferConfig
from panns_tf.weights.loading import read_network
from tests.panns_tf.inference.support import trained as trained_network
from tests.panns_tf.transfer.tones import CLASSES, write_folders


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("tones") / "sounds", clips=10)


@pytest.fixture(scope="module")
def base():
    return trained_network("Tiny", 7)


def _plan(folder, strategy="freeze_l1", **changes) -> Plan:
    config = TransferConfig(strategy=strategy, min_steps=30, epochs=1, batch_size=8)
    plan = Plan(
        collection=read_own(folder),
        arch="Tiny",
        weights="tiny.keras",
        overrides={},
        config=config,
        clip_seconds=0.5,
        metric="accuracy",
    )
    return dataclasses.replace(plan, **changes)


def _run(plan, output, base, **options):
    lines = []
    done = run(plan, output, base, output / "cache", quiet=True, say=lines.append, **options)
    return done, lines


@pytest.mark.parametrize("strategy", ["freeze_l1", "freeze_l3", "linear_probe", "finetune"])
def test_a_run_ends_with_a_network_that_says_what_was_tested(sounds, base, tmp_path, strategy):
    done, lines = _run(_plan(sounds, strategy), tmp_path, base)
    (result,) = done.results
    (split,) = done.collection.splits
    assert result.score.shape == (len(split.test), 3) == result.target.shape
    assert lines[0].startswith("30 clips in 3 classes: ")
    network = read_network(tmp_path / "final.keras")
    assert network.labels == list(CLASSES)
    listed = {path.stem: len(path.read_text().splitlines()) - 1 for path in tmp_path.glob("*.csv")}
    assert listed.pop("test") == len(split.test)
    assert sum(listed.values()) == 30 - len(split.test)  # the probe holds some of them out
    from panns_tf.transfer.predicting import Predictor

    paths = [done.collection.clips[number].path for number in split.test]
    heard = list(Predictor(tmp_path).predict_each(paths, workers=1))
    said = np.stack([one.outputs["clipwise_output"] for one in heard])
    said = said.mean(axis=1) if said.ndim == 3 else said
    np.testing.assert_allclose(said, result.score, atol=2e-4)  # int16 rounds the sound


def test_every_fold_seed_and_number_of_clips_is_trained(sounds, base, tmp_path):
    plan = _plan(
        sounds, "linear_probe", clips_per_class=(1, None), seeds=(0, 1), folds=3, save_models=False
    )
    done, _ = _run(plan, tmp_path, base)
    kinds = [(r.clips_per_class, r.seed, r.fold) for r in done.results]
    assert len(set(kinds)) == len(kinds) == 12
    for result in done.results:
        assert result.training_clips == (3 if result.clips_per_class else 20)
    tested = [clip for r in done.results[-3:] for clip in r.clip_ids]
    assert sorted(tested) == sorted(clip.clip_id for clip in plan.collection.clips)
    assert not list(tmp_path.rglob("final.keras"))


def test_a_killed_run_goes_on_and_ends_the_same(sounds, base, tmp_path, monkeypatch):
    plan = _plan(sounds, "freeze_l1", folds=3)
    whole, _ = _run(plan, tmp_path / "whole", base)
    trained = []
    real = running.Trainings.train

    def killed(self, split, seed, what=""):
        trained.append(split.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return real(self, split, seed, what)

    monkeypatch.setattr(running.Trainings, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        _run(plan, tmp_path / "cut", base)
    again, _ = _run(plan, tmp_path / "cut", base)
    assert trained == ["1", "2", "2", "3"]
    for first, second in zip(whole.results, again.results, strict=True):
        np.testing.assert_allclose(first.score, second.score, atol=1e-6)
        assert first.clip_ids == second.clip_ids
    _run(plan, tmp_path / "cut", base)
    assert len(trained) == 4  # nothing is left to do


def test_results_of_other_settings_are_not_mixed(sounds, base, tmp_path):
    _run(_plan(sounds), tmp_path, base)
    other = _plan(sounds, config=TransferConfig(strategy="freeze_l1", min_steps=31, epochs=1))
    with pytest.raises(ValueError, match=r"other settings.*min_steps was 30, now 31.*--force"):
        _run(other, tmp_path, base)
    _run(other, tmp_path, base, force=True)
    stronger = trained_network("Tiny", 7)
    stronger.get_layer("fc1").bias.assign(stronger.get_layer("fc1").bias + 1)
    with pytest.raises(ValueError, match="the weights differ"):
        _run(other, tmp_path, stronger)


def test_clips_that_cannot_be_read_are_left_out_and_told(base, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=6)
    (folder / "low" / "3.wav").write_bytes(b"no sound at all")
    done, _ = _run(_plan(folder), tmp_path / "out", base)
    assert len(done.collection.clips) == 17
    assert any("1 clips cannot be read" in n and "3.wav" in n for n in done.collection.notes)
    used = {n for s in done.collection.splits for n in (*s.train, *s.test, *s.validation)}
    assert used == set(range(17))


def test_a_data_set_without_a_clip_that_can_be_read_is_an_error(base, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=2)
    for path in folder.rglob("*.wav"):
        path.write_bytes(b"no")
    with pytest.raises(ValueError, match="no clip of sounds can be read"):
        _run(_plan(folder), tmp_path / "out", base)


def test_copies_of_one_sound_do_not_cross_a_split(base, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=6)
    for label in CLASSES:
        for number in range(6):
            sound = (folder / label / f"{number}.wav").read_bytes()
            (folder / label / f"copy of {number}.wav").write_bytes(sound)
    done, _ = _run(_plan(folder, folds=3, save_models=False), tmp_path / "out", base)
    for split in done.collection.splits:
        names = [
            {done.collection.clips[n].path.read_bytes() for n in part}
            for part in (split.train, split.test)
        ]
        assert not names[0] & names[1]


def test_unknown_folds_are_told(sounds, base, tmp_path):
    with pytest.raises(ValueError, match=r"--only-folds 9: .* has 1, 2, 3"):
        _run(_plan(sounds, folds=3, only=("9",)), tmp_path, base)


def test_fine_tuning_learns(sounds, tmp_path):
    config = TransferConfig(
        strategy="scratch",
        epochs=30,
        min_steps=1,
        batch_size=8,
        learning_rate=3e-3,
        mixup="none",
        dropout=False,
        spec_augment=False,
    )
    done, _ = _run(_plan(sounds, config=config, weights=None), tmp_path, None)
    (result,) = done.results
    assert accuracy(result.target, result.score) > 0.8


def test_changed_sounds_are_not_mixed_with_results_of_others(base, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=6)
    _run(_plan(folder), tmp_path / "out", base)
    (folder / "low" / "3.wav").write_bytes((folder / "high" / "3.wav").read_bytes())
    with pytest.raises(ValueError, match="the sounds differ"):
        _run(_plan(folder), tmp_path / "out", base)


def test_a_run_says_what_it_does(sounds, base, tmp_path):
    plan = _plan(sounds, folds=3, save_models=False)
    _, lines = _run(plan, tmp_path, base)
    assert lines[0] == "30 clips in 3 classes; folds 1, 2, 3"
    assert lines[1] == "note: labels are the names of the folders"
    assert [line.split(":")[0] for line in lines[2:]] == ["  fold 1", "  fold 2", "  fold 3"]
    _, again = _run(plan, tmp_path, base)
    assert all(line.endswith("(from before)") for line in again[2:])


def test_a_network_that_says_the_same_of_all_clips_is_told():
    assert running.result_is_constant(np.full((4, 3), 0.3))
    assert not running.result_is_constant(np.eye(3))
