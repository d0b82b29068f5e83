import numpy as np
import pytest

from panns_tf.models.network import blueprint
from panns_tf.transfer.stages import freeze_all_but, rate_factors, stages_of
from panns_tf.weights.loading import create_model


def test_every_layer_with_weights_is_in_one_stage(name):
    network = blueprint(name, 5)
    stages = stages_of(network)
    inside = [layer.name for stage in stages for layer in stage]
    assert sorted(inside) == sorted(layer.name for layer in network.layers if layer.weights)
    assert 5 <= len(stages) <= 24
    last = {layer.name for layer in stages[-1]}
    assert last in ({"fc_audioset"}, {"att_block.att", "att_block.cla"})


def test_a_norm_is_in_the_stage_of_its_convolution(name):
    for stage in stages_of(blueprint(name, 5)):
        kinds = {type(layer).__name__ for layer in stage}
        assert kinds != {"BatchNorm"}


@pytest.mark.parametrize("hidden", [(), (8, 8)])
def test_rates_fall_from_stage_to_stage(hidden):
    network = create_model("Tiny", 3, hidden=hidden)
    factors = rate_factors(network, 0.5)
    assert len(factors) == len(network.trainable_variables)
    by_name = {v.path: f for v, f in zip(network.trainable_variables, factors, strict=True)}
    assert by_name["fc_audioset/kernel"] == 1
    assert by_name["fc1/kernel"] == 0.5
    assert by_name["conv_block6.conv2/kernel"] == 0.25
    assert by_name["bn0/gamma"] == by_name["conv_block1.conv1/kernel"] == 0.5**7
    assert rate_factors(network, 1.0) is None


def test_a_frozen_stage_keeps_its_statistics():
    network = create_model("Tiny", 3)
    norm = network.get_layer("conv_block2.bn1")
    sound = np.random.default_rng(0).normal(size=(2, 4000)).astype("float32")
    freeze_all_but(network, 2)
    assert {v.path.split("/")[0] for v in network.trainable_variables} == {"fc1", "fc_audioset"}
    before = norm.moving_mean.numpy()
    network(sound, training=True)
    np.testing.assert_array_equal(before, norm.moving_mean.numpy())
    freeze_all_but(network, 99)
    network(sound, training=True)
    assert (before != norm.moving_mean.numpy()).any()
