import numpy as np
import pytest

from panns_tf.transfer.base import (
    activation_of,
    fingerprint,
    new_network,
    overrides_of,
    read_base,
    task_overrides,
)
from panns_tf.weights.loading import create_model
from panns_tf.weights.state_dict import to_torch_state
from panns_tf.weights.torch_writer import write_torch_state
from tests.panns_tf.inference.support import trained as trained_network

LABELS = ("a", "b", "c", "d")


def _hearing(network) -> dict[str, np.ndarray]:
    """All weights but the classifier's."""
    layers = (layer for layer in network.layers if layer.weights)
    kept = (x for x in layers if not x.name.startswith(("fc_audioset", "att_block", "fc_hidden")))
    return {f"{x.name}/{n}": w for x in kept for n, w in enumerate(x.get_weights())}


@pytest.mark.parametrize("strategy", ["finetune", "freeze_l1", "freeze_l3", "linear_probe"])
@pytest.mark.parametrize("single", [True, False])
def test_a_new_network_hears_as_its_base(thin_graph, strategy, single):
    base = trained_network(thin_graph, 7)
    overrides = task_overrides(thin_graph, strategy, single, overrides_of(base))
    network = new_network(thin_graph, LABELS, overrides, base)
    assert network.num_classes == 4
    assert network.labels == list(LABELS)
    ours, theirs = _hearing(network), _hearing(base)
    assert ours.keys() == theirs.keys()
    for place, weight in ours.items():
        np.testing.assert_array_equal(weight, theirs[place])
    names = [layer.name for layer in network.layers]
    assert ("fc_hidden2" in names) == (strategy == "freeze_l3")
    said = network(np.zeros((1, 8000), "float32"))["clipwise_output"].numpy()
    if single and network.row.head == "clip":
        assert said.sum() == pytest.approx(1, abs=1e-5)


def test_heads_that_join_parts_of_a_clip_have_sigmoids():
    assert activation_of("Cnn14", True) == "softmax"
    assert activation_of("Cnn14", False) == "sigmoid"
    assert activation_of("Cnn14_DecisionLevelMax", True) == "sigmoid"


def test_a_base_may_come_from_files_of_all_kinds(tmp_path):
    network = trained_network("Tiny", 7)
    network.save(tmp_path / "final.keras")
    write_torch_state(tmp_path / "net.pth", {"model": to_torch_state(network)})
    for arch, weights in (
        (None, tmp_path / "final.keras"),
        (None, tmp_path),
        ("tiny", tmp_path / "final.keras"),
        ("tiny", tmp_path / "net.pth"),
    ):
        found = read_base(arch, str(weights))
        assert found.row.name == "Tiny"
        assert fingerprint(found) == fingerprint(network)


def test_a_base_of_another_network_is_refused(tmp_path):
    trained_network("Tiny", 7).save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match="holds a Tiny, not a Cnn6"):
        read_base("cnn6", str(tmp_path / "net.keras"))
    with pytest.raises(ValueError, match="no such file"):
        read_base(None, str(tmp_path / "gone.keras"))


def test_a_base_with_another_front_end_keeps_it():
    base = create_model("Tiny", 7, hop_size=160, dropout=False)
    assert overrides_of(base) == {"hop_size": 160}
    network = new_network("Tiny", LABELS, overrides_of(base), base)
    assert network.row.frontend.hop_size == 160
    assert network.row.head_dropout > 0  # the new training decides on that


def test_weights_of_another_shape_are_told():
    base = create_model("Tiny", 7, embedding_size=16)
    with pytest.raises(ValueError, match="differs from the new one in 1 layers, first fc1"):
        new_network("Tiny", LABELS, {}, base)


def test_a_fingerprint_is_of_what_is_heard():
    network = trained_network("Tiny", 7)
    other_head = new_network("Tiny", LABELS, {}, network)
    assert fingerprint(network) == fingerprint(other_head)
    norm = other_head.get_layer("conv_block1.bn1")
    norm.moving_mean.assign(norm.moving_mean + 1e-3)
    assert fingerprint(network) != fingerprint(other_head)
    assert fingerprint(create_model("Tiny")) != fingerprint(create_model("Tiny"))
