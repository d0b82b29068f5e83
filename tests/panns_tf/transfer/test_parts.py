"""Audio store, embeddings, probes, networks and layer groups."""

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression

from panns_tf.models.network import Network
from panns_tf.transfer.finetune import RandomCrops
from panns_tf.transfer.model import (
    embed_windows,
    fingerprint,
    is_classifier,
    kept_overrides,
    layer_groups,
    new_network,
    probabilities,
    trunk_and_head,
)
from panns_tf.transfer.probe import (
    PENALTIES,
    choose_penalty,
    class_weights,
    fit_head,
    fit_probe,
    sample_order,
    solve,
)
from panns_tf.transfer.settings import FinetuneConfig
from panns_tf.transfer.store import AudioStore, mean_by_owner, window_seconds
from tests.panns_tf.transfer.support import experiment
from tests.panns_tf.transfer.tones import RATE, tone

HEADS = ("Tiny", "Thin_Cnn14_DecisionLevelMax", "Thin_Cnn14_DecisionLevelAtt", "Thin_VGGish")


def write(folder, lengths):
    paths = []
    for number, samples in enumerate(lengths):
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], tone("low", number, samples / RATE), RATE)
    return paths


# ---- audio


def test_store_keeps_what_was_decoded(tmp_path):
    paths = write(tmp_path, [800, 4000, 2500])
    paths[1].write_bytes(b"no sound at all")
    paths.append(tmp_path / "copy.wav")
    paths[3].write_bytes(paths[0].read_bytes())
    store = AudioStore(paths, RATE, tmp_path)
    assert store.lengths.tolist() == [800, 0, 2500, 800]
    assert list(store.errors) == [1]
    assert "1.wav" in store.errors[1]
    assert store.hashes[0] == store.hashes[3] != store.hashes[2]
    np.testing.assert_allclose(store[0] / 32767, tone("low", 0, 0.1), atol=5e-5)
    places, owner = store.windows([2, 0], 1000)
    assert places.tolist() == [[2, 0], [2, 1000], [2, 1500], [0, 0]]
    assert owner.tolist() == [0, 0, 0, 1]
    assert store.cut(0, 0, 1000)[800:].any() == 0
    seen = []
    means = store.predict(lambda b: seen.append(b.shape) or b.mean(1), places, 1000, 3)
    assert seen == [(3, 1000)] * 2
    np.testing.assert_allclose(means[2], store[2][1500:].mean())
    assert mean_by_owner(means, owner)[1] == pytest.approx(means[3])
    store.keep([0, 2, 3])
    assert (len(store), store.errors, store.lengths.tolist()) == (3, {}, [800, 2500, 800])
    assert len(AudioStore([], RATE)) == 0


def test_window_lengths():
    for seconds, wanted, expected in (
        ([0.6] * 10, None, 1.0),
        ([1.4] * 19 + [30], None, 1.5),
        ([20] * 3, None, 10.0),
        ([1.51] * 10, None, 1.51),
        ([2.004] * 10, 2.0, 2.01),
        ([2.5] * 10, 2.0, 2.0),
    ):
        assert window_seconds(np.array(seconds), wanted) == expected


def test_embeddings_are_kept_by_content(tmp_path, monkeypatch):
    network = Network("Tiny", 3)
    store = AudioStore(write(tmp_path, [2400, 900]), RATE)
    places, _ = store.windows([0, 1], 2000)
    first = embed_windows(network, store, places, 2000, tmp_path / "cache")
    batch = np.stack([store.cut(*place, 2000) for place in places]) / np.float32(32767)
    np.testing.assert_allclose(first, network(batch)["embedding"], atol=1e-5)
    (path,) = (tmp_path / "cache").iterdir()
    count = []
    predict = AudioStore.predict
    monkeypatch.setattr(AudioStore, "predict", lambda *a: count.append(len(a[2])) or predict(*a))
    again = embed_windows(network, store, places[::-1], 2000, tmp_path / "cache")
    np.testing.assert_array_equal(again, first[::-1])
    assert count == []
    path.write_bytes(path.read_bytes()[:500])  # cut off: made anew
    assert len(embed_windows(network, store, places, 2000, tmp_path / "cache")) == len(count) * 3
    network.get_layer("fc1").bias.assign(network.get_layer("fc1").bias + 1)
    assert np.abs(embed_windows(network, store, places, 2000, tmp_path / "cache") - first).max()
    assert len(list((tmp_path / "cache").iterdir())) == 2


# ---- probes


def clusters(clips, classes, seed, width=12):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(classes, width))
    labels = np.arange(clips) % classes
    scale = np.linspace(0.01, 10, width)
    embedded = (centres[labels] + rng.normal(size=(clips, width))) * scale
    return embedded.astype(np.float32), np.eye(classes, dtype=np.float32)[labels]


def test_solver_is_scikit_learns_and_its_odd_cases():
    embedded, target = clusters(90, 3, 1)
    ((kernel, bias),) = solve(embedded, target, True, [0.1])
    x = (embedded - embedded.mean(0)) / embedded.std(0)
    reference = LogisticRegression(C=1 / 9, max_iter=1000).fit(x, target.argmax(1))
    expected = reference.predict_log_proba(x)
    logits = embedded @ kernel + bias
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(logits, expected, atol=2e-3)
    embedded, target = clusters(60, 2, 1)
    for softmax in (True, False):
        for few in (target, np.pad(target, ((0, 0), (0, 1)))):  # two classes; a third without clips
            ((kernel, bias),) = solve(embedded, few, softmax, [0.1])
            scores = embedded @ kernel + bias
            assert (scores.argmax(1) == few.argmax(1)).mean() > 0.9
        one = np.eye(2, dtype=np.float32)[np.zeros(60, int)]
        ((kernel, bias),) = solve(embedded, one, softmax, [0.1])
        assert (kernel == 0).all()
        assert bias[0] > bias[1]


def test_penalty_is_chosen_by_held_out_clips():
    embedded, target = clusters(60, 3, 2, width=40)
    noise = np.random.default_rng(0).permutation(target)
    held_out = np.arange(60) % 4 == 0
    assert choose_penalty(embedded, target, held_out, True) < PENALTIES[0]
    assert choose_penalty(embedded, noise, held_out, True) >= 1
    assert choose_penalty(embedded, target, held_out & False, True) in PENALTIES


@pytest.mark.parametrize(
    "arch",
    ["Tiny", "Thin_VGGish", *(pytest.param(name, marks=pytest.mark.full) for name in HEADS[1:3])],
)
def test_heads_are_cut_trained_and_put_back(arch):
    pretrained = Network(arch, 7)
    single = arch == "Tiny"
    for strategy in ("freeze_l1", "freeze_l3"):
        task = experiment(3, arch=arch, config={"strategy": strategy})
        network = new_network(task, pretrained)
        assert network.arch.activation == ("softmax" if single else "sigmoid")
        sounds = np.stack([tone("low", 0), tone("high", 1)])
        outputs = network(sounds)["clipwise_output"]
        trunk, head = trunk_and_head(network)
        embedded = trunk.predict(sounds, verbose=0)
        np.testing.assert_allclose(probabilities(head, network.arch, embedded), outputs, atol=1e-5)
    rng = np.random.default_rng(0)
    target = np.eye(3, dtype=np.float32)[np.arange(48) % 3]
    embedded = rng.normal(size=(48, *embedded.shape[1:])).astype(np.float32)
    embedded[..., :3] += 3 * target.reshape(48, *(1,) * (embedded.ndim - 2), 3)
    settings = {"sampling": "balanced", "class_weights": True, "label_smoothing": 0.05}
    settings |= {"min_steps": 150, "epochs": 1, "learning_rate": 0.03}
    config = FinetuneConfig(strategy="freeze_l1", **settings)
    network = new_network(experiment(3, arch=arch), pretrained)
    head = trunk_and_head(network)[1]
    line = fit_head(head, network.arch, config, embedded, target)
    assert line["step"] == 150
    right = probabilities(head, network.arch, embedded).argmax(1) == target.argmax(1)
    assert right.mean() > 0.9
    held_out = np.arange(48) % 4 == 0
    if single:
        assert fit_probe(head, network.arch, embedded, target, held_out)["penalty"] in PENALTIES
        right = probabilities(head, network.arch, embedded).argmax(1) == target.argmax(1)
        assert right.mean() > 0.9
    else:
        with pytest.raises(ValueError, match="take --strategy freeze_l1"):
            fit_probe(head, network.arch, embedded, target, held_out)


def test_order_of_the_clips():
    target = np.eye(3)[[0] * 6 + [1] * 2 + [2]]
    shuffled = sample_order(range(9), target, 20, "shuffled", 0)
    assert sorted(shuffled[:9]) == sorted(shuffled[9:18]) == list(range(9))
    balanced = sample_order(range(9), target, 18, "balanced", 0)
    labels = target.argmax(1)[balanced].reshape(-1, 3)
    assert all(set(row) == {0, 1, 2} for row in labels)
    assert len(set(balanced[labels.ravel() == 0])) == 6
    assert (sample_order(range(9), target, 18, "balanced", 0) == balanced).all()
    np.testing.assert_allclose(class_weights(target), [0.5, 1.5, 3])
    assert class_weights(np.eye(3)[[0, 0, 1]])[2] == 0


def test_crops_are_the_same_however_training_is_cut(tmp_path):
    from panns_tf.config import TrainConfig

    store = AudioStore(write(tmp_path, [2400, 900, 5000]), RATE)
    config = TrainConfig(steps=6, batch_size=2, mixup="features", seed=3)
    order = np.arange(24).reshape(6, 4) % 3
    crops = RandomCrops(config, store, np.eye(3, dtype=np.float32), order, 1000)
    whole = list(crops.batches(0))
    assert len(whole) == 6
    for batch, again in zip(whole[2:], crops.batches(2), strict=True):
        assert batch["waveform"].shape == (4, 1000)
        for name, value in batch.items():
            np.testing.assert_array_equal(value, again[name])
    assert len(crops.clip_ids(1)) == 4


# ---- networks


def test_new_network_takes_all_but_the_classifier():
    pretrained = Network("Tiny", 7, hop_size=100)
    task = experiment(2, arch="Tiny", overrides={"hop_size": 100})
    network = new_network(task, pretrained)
    assert (network.labels, network.num_classes) == (["<b>dog", "rain; hail"], 2)
    for layer in network.layers:
        if layer.weights and not is_classifier(layer):
            for ours, theirs in zip(
                layer.get_weights(), pretrained.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)
    assert fingerprint(network) == fingerprint(pretrained) != fingerprint(Network("Tiny", 7))
    with pytest.raises(ValueError, match="the pretrained Tiny differs from the new one in"):
        new_network(experiment(2, arch="Tiny", overrides={"embedding_size": 4}), pretrained)
    assert kept_overrides(pretrained, {"hop_size": 100}) == {"hop_size": 100}
    with pytest.raises(ValueError, match="--hop-size 7: the pretrained Tiny has 100; leave it out"):
        kept_overrides(pretrained, {"hop_size": 7})


def test_layer_groups_hold_every_layer_once():
    for name in ("Tiny", "Thin_ResNet22", "Thin_MobileNetV2", "Thin_Res1dNet31", *HEADS[1:]):
        network = Network(name, 3)
        groups = layer_groups(network)
        layers = [layer for group in groups for layer in group]
        assert [layer for layer in network.layers if layer.weights] == sorted(
            layers, key=network.layers.index
        )
        assert len(groups) > 3
        assert all(is_classifier(layer) for layer in groups[-1])
        assert groups[0][0].name != groups[0][-1].name  # bn0 and such are not alone
