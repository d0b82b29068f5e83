import keras
import numpy as np
import pytest

from panns_tf.training import state


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    made = [keras.Variable(rng.normal(size=shape), name="same") for shape in ((3, 4), (5,), ())]
    return state.named_variables(network=made[:2], optimizer=made[2:])


def test_names_are_unique_even_if_paths_are_not(variables):
    assert list(variables) == ["network/0000/same", "network/0001/same", "optimizer/0000/same"]


def test_round_trip_keeps_every_bit(variables, tmp_path):
    path = state.save_checkpoint(tmp_path / "c", 7, variables, {"best_map": 0.5}, keep=2)
    before = {name: np.asarray(v) for name, v in variables.items()}
    for variable in variables.values():
        variable.assign(variable * 0)
    assert state.restore_checkpoint(path, variables) == {"best_map": 0.5, "step": 7}
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, before[name])


def test_the_newest_are_kept_and_nothing_partial(variables, tmp_path):
    for step in (1, 20, 3):
        state.save_checkpoint(tmp_path, step, variables, {}, keep=2)
    (tmp_path / "step-000000099.partial").write_text("cut off")
    names = [path.name for path in state.checkpoints(tmp_path)]
    assert names == ["step-000000003.npz", "step-000000020.npz"]
    assert state.checkpoints(tmp_path / "absent") == []


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damage_is_noticed_and_nothing_assigned(variables, tmp_path, damage):
    path = state.save_checkpoint(tmp_path, 1, variables, {}, keep=1)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        place = data.index(np.asarray(variables["network/0000/same"]).tobytes())
        data[place + 5] ^= 1
    path.write_bytes({"truncate": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    before = {name: np.asarray(v) for name, v in variables.items()}
    with pytest.raises(ValueError, match=r"step-000000001.npz is damaged"):
        state.restore_checkpoint(path, variables)
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, before[name])


def test_another_model_is_refused(variables, tmp_path):
    path = state.save_checkpoint(tmp_path, 1, variables, {}, keep=1)
    other = state.named_variables(network=[keras.Variable(np.zeros((3, 5)), name="same")])
    with pytest.raises(ValueError, match="another network or optimiser: 3 entries differ"):
        state.restore_checkpoint(path, other)


def test_weights_beyond_use_are_not_saved_and_remove_nothing(variables, tmp_path):
    state.save_checkpoint(tmp_path, 1, variables, {}, keep=1)
    variables["network/0001/same"].assign(np.full(5, np.nan))
    with pytest.raises(state.NotFiniteError, match=r"hold NaN or infinite values \(network/0001"):
        state.save_checkpoint(tmp_path, 2, variables, {}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.npz"]
