import os
import signal

import keras
import numpy as np
import pytest

from panns_tf.training import checkpoint
from panns_tf.training.checkpoint import NotFiniteError, deferred_signals, save_keras


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    made = [keras.Variable(rng.normal(size=shape), name="same") for shape in ((3, 4), (5,), ())]
    return checkpoint.named_variables(network=made[:2], optimizer=made[2:])


def test_names_are_unique_and_a_round_trip_keeps_every_bit(variables, tmp_path):
    assert list(variables) == ["network/0000/same", "network/0001/same", "optimizer/0000/same"]
    path = checkpoint.save_checkpoint(tmp_path / "c", 7, variables, {"best_map": 0.5}, keep=2)
    before = {name: np.asarray(v) for name, v in variables.items()}
    for variable in variables.values():
        variable.assign(variable * 0)
    assert checkpoint.restore_checkpoint(path, variables) == {"best_map": 0.5, "step": 7}
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, before[name])


def test_the_newest_are_kept_and_nothing_partial(variables, tmp_path):
    stale = tmp_path / ".step-000000002.npz.77.tmp"
    stale.write_bytes(b"of a run that was killed")
    for step in (1, 20, 3):
        checkpoint.save_checkpoint(tmp_path, step, variables, {}, keep=2)
    names = [path.name for path in checkpoint.checkpoints(tmp_path)]
    assert names == ["step-000000003.npz", "step-000000020.npz"]
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoint.checkpoints(tmp_path / "absent") == []


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damage_is_noticed_and_nothing_assigned(variables, tmp_path, damage):
    path = checkpoint.save_checkpoint(tmp_path, 1, variables, {}, keep=1)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        place = data.index(np.asarray(variables["network/0000/same"]).tobytes())
        data[place + 5] ^= 1
    path.write_bytes({"truncate": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    before = {name: np.asarray(v) for name, v in variables.items()}
    with pytest.raises(ValueError, match=r"step-000000001.npz is damaged"):
        checkpoint.restore_checkpoint(path, variables)
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, before[name])


def test_another_model_is_refused_and_weights_beyond_use_are_not_saved(variables, tmp_path):
    path = checkpoint.save_checkpoint(tmp_path, 1, variables, {}, keep=1)
    other = checkpoint.named_variables(network=[keras.Variable(np.zeros((3, 5)), name="same")])
    with pytest.raises(ValueError, match="another network or optimiser: 3 entries differ"):
        checkpoint.restore_checkpoint(path, other)
    variables["network/0001/same"].assign(np.full(5, np.nan))
    with pytest.raises(NotFiniteError, match=r"hold NaN or infinite values \(network/0001"):
        checkpoint.save_checkpoint(tmp_path, 2, variables, {}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.npz"]


def test_a_model_is_saved_without_the_optimizer(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.optimizer = keras.optimizers.Adam(0.5)
    model.optimizer.build(model.trainable_variables)
    save_keras(model, tmp_path / "x.keras")
    assert model.optimizer is not None
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert getattr(loaded, "optimizer", None) is None
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [path.name for path in tmp_path.iterdir()] == ["x.keras"]


def test_the_first_signal_is_a_request_and_handlers_return():
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        with deferred_signals() as received:
            assert received == []
            os.kill(os.getpid(), number)
            assert received == [number]
            assert signal.getsignal(number) == before, "a second one acts as usual"
        assert signal.getsignal(number) == before
