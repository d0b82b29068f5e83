"""Networks as SavedModels."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.export import saved_model
from panns_tf.export.check import DESCRIPTION, describe, load_predictor
from panns_tf.export.saved_model import (
    LABELS,
    WAVEFORM,
    difference,
    export_saved_model,
    signatures,
)
from panns_tf.inference.model import folded
from panns_tf.models.registry import FRONTEND_8K
from panns_tf.weights.loading import create_model
from tests.panns_tf.export.support import trained


@pytest.fixture(scope="module")
def network():
    model = create_model("Tiny", num_classes=3)
    model.labels = ("a", "b", "c")
    return model


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return export_saved_model(network, tmp_path_factory.mktemp("run") / "saved_model")


def sounds():
    rng = np.random.default_rng(0)
    shapes = ((1, 32000), (3, 45678), (2, 100))
    return [rng.uniform(-0.5, 0.5, shape).astype("float32") for shape in shapes]


def test_description_goes_along(exported):
    described = json.loads((exported / DESCRIPTION).read_text())
    assert 0 <= described.pop("difference") <= 1e-5
    assert described == {
        "network": "Tiny",
        "sample_rate": 8000,
        "num_classes": 3,
        "labels": ["a", "b", "c"],
        "inputs": ["log_mel"],
        "frontend": dataclasses.asdict(FRONTEND_8K),
        "frame_seconds": None,
        "overrides": {},
        "top_k": 3,
        "folded": True,
    }
    assert (exported / LABELS).read_text() == "a\nb\nc\n"


def test_detect_gives_frames_where_there_are_some(plain, tmp_path):
    network = create_model("Thin_Cnn14_DecisionLevelAtt", num_classes=3, hop_size=640)
    network.labels = ["dog", "b\nb", ""]
    export_saved_model(network, tmp_path / "m")
    served = tf.saved_model.load(tmp_path / "m").signatures
    for sound in sounds():
        found = served["detect"](waveform=tf.constant(sound))
        assert set(found) == {"framewise_output"}
        assert found["framewise_output"].shape == (len(sound), 1 + sound.shape[1] // 640, 3)
        expected = network(sound)["framewise_output"]
        np.testing.assert_allclose(found["framewise_output"], expected, atol=1e-5)
    described = json.loads((tmp_path / "m" / DESCRIPTION).read_text())
    assert described["frame_seconds"] == 0.02
    assert described["frontend"]["hop_size"] == 640
    assert described["overrides"] == {"hop_size": 640}
    assert (tmp_path / "m" / LABELS).read_text() == "dog\nb b\nclass 2\n"


def test_weights_are_stored_once(network, exported):
    stored = sum(file.stat().st_size for file in (exported / "variables").glob("*.data-*"))
    once = sum(4 * int(np.prod(variable.shape)) for variable in network.variables)
    assert once * 0.9 < stored < once * 1.5


def test_labels_are_an_asset_of_the_graph(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "elsewhere")
    (copy / LABELS).write_text("x\ny\nz\n")
    found = tf.saved_model.load(copy).signatures["tag"](waveform=tf.zeros((1, 9)))
    assert set(found["labels"].numpy()[0]) == {b"x", b"y", b"z"}


@pytest.mark.parametrize(
    "output",
    [
        "labels",
        "weights",
        *(pytest.param(x, marks=pytest.mark.full) for x in ("scores", "embedding")),
    ],
)
def test_a_wrong_export_is_noticed(network, exported, tmp_path, monkeypatch, output):
    right = signatures

    def wrong(model, table, k):
        functions = right(model, table, k)
        if output == "embedding":
            plain = functions["embed"]
            functions["embed"] = lambda x: {"embedding": plain(x)["embedding"] + 1e-4}
        elif output != "weights":
            tag = functions["tag"]
            functions["tag"] = lambda x: {**tag(x), output: tag(x)[output][:, ::-1]}
        return functions

    monkeypatch.setattr(saved_model, "signatures", wrong)
    if output == "weights":
        other = create_model("Tiny", num_classes=3)
        other.set_weights([weight * 1.01 for weight in network.get_weights()])
        assert difference(other, exported)[1] > 1
        return
    with pytest.raises(ValueError, match="SavedModel of Tiny differs from the network"):
        export_saved_model(network, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_what_folding_changes_is_exported_without(network, tmp_path, monkeypatch):
    def badly(exact):
        other = folded(exact)
        convolution = other.get_layer("conv_block1.conv1")
        convolution.kernel.assign(convolution.kernel * -1)
        return other

    monkeypatch.setattr(saved_model, "folded", badly)
    path = export_saved_model(network, tmp_path / "m")
    described = json.loads((path / DESCRIPTION).read_text())
    assert described["folded"] is False
    assert difference(network, path)[1] <= 1


def test_an_undefined_network_is_refused(tmp_path):
    network = create_model("Tiny", num_classes=3)
    network.get_layer("fc1").bias.assign([np.nan] * 8)
    with pytest.raises(ValueError, match=r"weights of Tiny hold NaN or infinity \(fc1/bias\)"):
        export_saved_model(network, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_load_predictor_reads_what_has_one_signature(network, tmp_path):
    """As early versions of this project wrote it."""
    network.export(tmp_path / "m", input_signature=[WAVEFORM], verbose=False)
    (tmp_path / "m/assets.extra").mkdir()
    keys = ("network", "sample_rate", "num_classes", "labels")
    earlier = {key: describe(network)[key] for key in keys}
    (tmp_path / "m" / DESCRIPTION).write_text(json.dumps(earlier))
    model, described = load_predictor(tmp_path / "m")
    assert described["labels"] == ["a", "b", "c"]
    sound = sounds()[1]
    np.testing.assert_allclose(
        model(sound)["clipwise_output"], network(sound)["clipwise_output"], atol=1e-5
    )


def test_exports_float32_from_mixed_precision(tmp_path, policy):
    policy("mixed_bfloat16")
    network = create_model("Tiny", num_classes=3)
    export_saved_model(network, tmp_path / "m")
    policy("float32")
    plain = create_model("Tiny", num_classes=3)
    plain.set_weights(network.get_weights())
    model, _ = load_predictor(tmp_path / "m")
    sound = sounds()[0]
    expected = plain(sound)["embedding"]
    np.testing.assert_allclose(model(sound)["embedding"], expected, atol=1e-5)


def test_does_not_overwrite_what_is_no_saved_model(network, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no SavedModel"):
        export_saved_model(network, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_tasks_classifier_goes_along(tmp_path, plain):
    network = trained("Tiny", hidden=(6, 4), activation="softmax")
    path = export_saved_model(network, tmp_path / "exported")
    described = json.loads((path / DESCRIPTION).read_text())
    assert described["overrides"] == {"hidden": [6, 4], "activation": "softmax"}
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 20000)).astype("float32")
    expected = network(sound, training=False)["clipwise_output"]
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    found = served(waveform=tf.constant(sound))["clipwise_output"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.sum(found, axis=1), 1, atol=1e-5)
