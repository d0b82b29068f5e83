import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from panns_tf.models import find
from panns_tf.transfer import probe
from panns_tf.transfer.base import new_network, task_overrides
from panns_tf.transfer.classifier import classify, fit_classifier, new_classifier
from panns_tf.transfer.embeddings import trunk
from panns_tf.transfer.settings import DEFAULTS, TransferConfig
from panns_tf.weights.loading import create_model
from tests.panns_tf.inference.support import sound
from tests.panns_tf.inference.support import trained as trained_network

RNG = np.random.default_rng(0)
MEANS = RNG.normal(0, 1.5, (4, 8))
CLASS = np.arange(200) % 4
EMBEDDED = (MEANS[CLASS] + RNG.normal(0, 1, (200, 8))).astype("float32")
TARGET = np.eye(4, dtype="float32")[CLASS]


@pytest.mark.parametrize("strategy", ["freeze_l1", "freeze_l3"])
def test_a_classifier_of_embeddings_says_what_the_whole_network_says(thin_graph, strategy):
    base = trained_network(thin_graph, 7)
    overrides = task_overrides(thin_graph, strategy, True, {})
    waveform = sound(2, 16000)
    embedded = trunk(base)(waveform, training=False)["embedding"].numpy()
    row = find(thin_graph).override(**overrides)
    model = new_classifier(row, embedded.shape[1:], 4)
    network = new_network(thin_graph, ("a", "b", "c", "d"), overrides, base, model)
    whole = network(waveform, training=False)["clipwise_output"].numpy()
    np.testing.assert_allclose(classify(model, embedded), whole, atol=2e-5)
    assert whole.std() > 1e-4


@pytest.mark.parametrize("strategy", ["freeze_l1", "freeze_l3"])
@pytest.mark.parametrize("single", [True, False])
def test_classifiers_learn(strategy, single):
    row = find("Tiny").override(**task_overrides("Tiny", strategy, single, {}))
    keras.utils.set_random_seed(0)
    model = new_classifier(row, (8,), 4)
    config = TransferConfig(strategy=strategy, **DEFAULTS[strategy])
    fitted = fit_classifier(model, row, config, EMBEDDED[:150], TARGET[:150])
    right = classify(model, EMBEDDED[150:]).argmax(1) == CLASS[150:]
    best = LogisticRegression(max_iter=1000).fit(EMBEDDED[:150], CLASS[:150])
    assert right.mean() > best.score(EMBEDDED[150:], CLASS[150:]) - 0.08
    assert fitted.steps >= config.min_steps


@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_the_probe_is_the_solution_of_logistic_regression(penalty):
    kernel, bias = probe.solve(EMBEDDED, TARGET, penalty, softmax=True)
    scale = EMBEDDED.std(axis=0)
    known = LogisticRegression(C=1 / (penalty * 200), tol=1e-10, max_iter=10000)
    known.fit(EMBEDDED / scale, CLASS)
    said = probe.probabilities(EMBEDDED, kernel, bias, True)
    np.testing.assert_allclose(said, known.predict_proba(EMBEDDED / scale), atol=2e-3)


def test_the_probe_of_several_labels_is_one_regression_a_class():
    target = (RNG.random((200, 3)) < 1 / (1 + np.exp(-EMBEDDED[:, :3]))).astype("float32")
    kernel, bias = probe.solve(EMBEDDED, target, 1e-2, softmax=False)
    said = probe.probabilities(EMBEDDED, kernel, bias, False)
    for label in range(3):
        known = LogisticRegression(C=1 / (1e-2 * 200), tol=1e-10, max_iter=10000)
        x = EMBEDDED / EMBEDDED.std(axis=0)
        known.fit(x, target[:, label])
        np.testing.assert_allclose(said[:, label], known.predict_proba(x)[:, 1], atol=2e-3)


def test_features_that_never_change_do_no_harm():
    embedded = np.concatenate([EMBEDDED, np.full((200, 2), 7, "float32")], axis=1)
    plain = probe.probabilities(EMBEDDED, *probe.solve(EMBEDDED, TARGET, 0.1, True), True)
    kernel, bias = probe.solve(embedded, TARGET, 0.1, True)
    np.testing.assert_allclose(probe.probabilities(embedded, kernel, bias, True), plain, atol=1e-5)
    assert (kernel[8:] == 0).all()


def test_held_out_clips_choose_the_penalty():
    held_out = np.arange(200) % 5 == 0
    noise = RNG.normal(size=(200, 150)).astype("float32")  # invites learning by heart
    strong = probe.choose_penalty(np.hstack([EMBEDDED, noise]), TARGET, held_out, True)
    assert strong > min(probe.PENALTIES)
    nobody = np.zeros(200, bool)
    assert probe.choose_penalty(EMBEDDED, TARGET, nobody, True) in probe.PENALTIES


def test_the_probe_becomes_the_last_layer():
    row = find("Tiny").override(**task_overrides("Tiny", "linear_probe", True, {}))
    model = new_classifier(row, (8,), 4)
    held_out = np.arange(150) % 4 == 0
    probe.fit_probe(model, row, EMBEDDED[:150], TARGET[:150], held_out)
    assert (classify(model, EMBEDDED[150:]).argmax(1) == CLASS[150:]).mean() > 0.7


def test_the_probe_needs_one_embedding_a_clip():
    row = find("Cnn14_DecisionLevelMax")
    with pytest.raises(ValueError, match="freeze_l1"):
        probe.fit_probe(None, row, EMBEDDED, TARGET, np.zeros(200, bool))


def test_one_clip_of_each_class_is_enough():
    network = create_model("Tiny", 4, activation="softmax")
    model = new_classifier(network.row, (8,), 4)
    probe.fit_probe(model, network.row, EMBEDDED[:4], TARGET[:4], np.zeros(4, bool))
    assert np.isfinite(classify(model, EMBEDDED)).all()
    assert (classify(model, EMBEDDED[:4]).argmax(1) == CLASS[:4]).all()
