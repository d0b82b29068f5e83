import numpy as np
import pytest

from panns_tf.training.checkpoint import NotFiniteError
from panns_tf.transfer.fitting import Material, class_weights, fit, predictor_of, scores_of
from panns_tf.transfer.scoring import accuracy
from panns_tf.transfer.settings import TransferConfig
from panns_tf.transfer.store import SoundStore
from panns_tf.weights.loading import create_model
from tests.panns_tf.transfer.tones import CLASSES, RATE, write_folders

WINDOW = RATE // 2
QUICK = {
    "strategy": "scratch",
    "batch_size": 8,
    "learning_rate": 3e-3,
    "mixup": "none",
    "dropout": False,
    "spec_augment": False,
}


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = write_folders(tmp_path_factory.mktemp("tones"))
    paths = sorted(folder.rglob("*.wav"))
    target = np.eye(3, dtype="float32")[[CLASSES.index(path.parent.name) for path in paths]]
    numbers = np.arange(24).reshape(3, 8)
    train, validation = numbers[:, :6].ravel(), numbers[:, 6:].ravel()
    return Material(
        SoundStore(paths, RATE, quiet=True), target, train, validation, WINDOW, accuracy
    )


def _network(seed=0, **overrides):
    import keras

    keras.utils.set_random_seed(seed)
    overrides = {"dropout": False, "spec_augment": False, "activation": "softmax", **overrides}
    return create_model("Tiny", 3, **overrides)


def _loss(fitted):
    return [row["loss"] for row in fitted.history]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_network_learns_tones(material, activation):
    network = _network(activation=activation)
    fitted = fit(network, TransferConfig(**QUICK, epochs=30, min_steps=1), material, quiet=True)
    assert fitted.steps == fitted.best_step == 60
    assert _loss(fitted)[-1] < 0.5 * _loss(fitted)[0]
    hear = predictor_of(network)
    score = scores_of(hear, material.store, material.validation, WINDOW, 4)
    assert accuracy(material.target[material.validation], score) > 0.8


def test_equal_seeds_train_equal_networks(material, deterministic):
    config = TransferConfig(**{**QUICK, "mixup": "features", "time_shift": 0.1}, min_steps=4)
    found = []
    for seed in (3, 3, 4):
        network = _network()
        fit(network, TransferConfig(**{**vars(config), "seed": seed, "epochs": 1}), material, True)
        found.append(network.get_weights())
    for first, again in zip(found[0], found[1], strict=True):
        np.testing.assert_array_equal(first, again)
    assert any((a != b).any() for a, b in zip(found[0], found[2], strict=True))


def test_training_stops_when_it_learns_no_more_and_keeps_the_best(material):
    network = _network()
    settings = {**QUICK, "learning_rate": 1e-9}
    config = TransferConfig(**settings, epochs=50, min_steps=1, patience=2)
    before = [v.numpy() for v in network.trainable_variables]
    fitted = fit(network, config, material, quiet=True)
    assert fitted.steps < 100
    assert fitted.steps - fitted.best_step >= 4
    assert "validation" in fitted.history[0]
    for old, new in zip(before, network.trainable_variables, strict=True):
        np.testing.assert_allclose(old, new, atol=1e-6)


def test_stages_unfreeze_one_after_the_other(material):
    network = _network()
    first = network.get_layer("conv_block1.conv1")
    norm = network.get_layer("conv_block1.bn1")
    kernel, mean = first.kernel.numpy(), norm.moving_mean.numpy()
    settings = {**QUICK, "strategy": "finetune", "unfreeze_epochs": 1}
    last = network.get_layer("fc_audioset").kernel.numpy()
    fit(network, TransferConfig(**settings, epochs=3, min_steps=1), material, quiet=True)
    np.testing.assert_array_equal(kernel, first.kernel.numpy())
    np.testing.assert_array_equal(mean, norm.moving_mean.numpy())
    assert (last != network.get_layer("fc_audioset").kernel.numpy()).any()
    assert all(layer.trainable for layer in network.layers)
    fit(network, TransferConfig(**settings, epochs=9, min_steps=1), material, quiet=True)
    assert (kernel != first.kernel.numpy()).any()


def test_lower_stages_move_less_under_layer_decay(material):
    moved = []
    for decay in (1.0, 0.1):
        network = _network()
        before = network.get_layer("conv_block1.conv1").kernel.numpy()
        settings = {**QUICK, "strategy": "finetune", "layer_decay": decay}
        fit(network, TransferConfig(**settings, epochs=1, min_steps=1), material, quiet=True)
        after = network.get_layer("conv_block1.conv1").kernel.numpy()
        moved.append(np.abs(after - before).max())
    assert moved[1] < 1e-3 * moved[0]  # seven stages below the classifier


def test_averaged_weights_are_those_that_stay(material):
    plain, averaged = _network(), _network()
    settings = {**QUICK, "epochs": 2, "min_steps": 1}
    fit(plain, TransferConfig(**settings), material, quiet=True)
    fit(averaged, TransferConfig(**settings, ema=0.9), material, quiet=True)
    pairs = zip(plain.trainable_variables, averaged.trainable_variables, strict=True)
    assert any((a.numpy() != b.numpy()).any() for a, b in pairs)


def test_a_loss_beyond_numbers_is_an_error(material):
    network = _network()
    network.get_layer("fc1").kernel.assign(np.full((8, 8), np.nan))
    with pytest.raises(NotFiniteError, match="--learning-rate"):
        fit(network, TransferConfig(**QUICK, min_steps=2, epochs=1), material, quiet=True)


def test_rare_classes_count_more():
    target = np.eye(3)[[0] * 8 + [1] * 2]
    weights = class_weights(target)
    np.testing.assert_allclose(weights, [10 / 16, 10 / 4, 0])
    assert (target @ weights).mean() == pytest.approx(1)
