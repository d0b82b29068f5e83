import json
import subprocess
import sys

import numpy as np
import pytest

from panns_tf.inference.export import DESCRIPTION, export_saved_model
from panns_tf.inference.loading import load_any
from panns_tf.models import create_model

OTHER_PROCESS = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
for path in sys.argv[2:]:
    outputs = model.signatures["serving_default"](waveform=tf.constant(np.load(path)))
    np.savez(path + ".npz", **outputs)
assert not [name for name in sys.modules if name.startswith("panns_tf")], "imported"
"""


@pytest.fixture(scope="module")
def network():
    model = create_model("Wavegram_Tiny", num_classes=3)
    model.labels = ("a", "b", "c")
    return model


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return export_saved_model(network, tmp_path_factory.mktemp("run") / "saved_model")


def sounds():
    rng = np.random.default_rng(0)
    shapes = ((1, 32000), (3, 45678), (2, 100))
    return [rng.uniform(-0.5, 0.5, shape).astype("float32") for shape in shapes]


def test_runs_elsewhere_with_the_same_numbers(network, exported, tmp_path):
    paths = []
    for number, sound in enumerate(sounds()):
        paths.append(str(tmp_path / f"{number}.npy"))
        np.save(paths[-1], sound)
    command = [sys.executable, "-c", OTHER_PROCESS, str(exported), *paths]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    for path, sound in zip(paths, sounds(), strict=True):
        found = np.load(path + ".npz")
        expected = network(sound, training=False)
        assert set(found) == set(expected)
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, atol=1e-5)


def test_every_network_survives_saving_and_export(thin_graph, plain, tmp_path):
    network = create_model(thin_graph, num_classes=3)
    network.save(tmp_path / "network.keras")
    export_saved_model(network, tmp_path / "exported")
    loaded = [load_any(tmp_path / name)[0] for name in ("network.keras", "exported")]
    rng = np.random.default_rng(0)
    for shape in ((1, 20000), (2, 45678)):  # the first is shorter than some networks' minimum
        sound = rng.uniform(-0.5, 0.5, shape).astype("float32")
        expected = network(sound, training=False)
        for model in loaded:
            found = model(sound)
            assert set(found) == set(expected)
            for key, value in expected.items():
                np.testing.assert_allclose(found[key], value, atol=1e-5)


def test_description_goes_along(exported):
    assert json.loads((exported / DESCRIPTION).read_text()) == {
        "network": "Wavegram_Tiny",
        "sample_rate": 32000,
        "num_classes": 3,
        "labels": ["a", "b", "c"],
    }


def test_exports_float32_from_mixed_precision(tmp_path, policy):
    policy("mixed_bfloat16")
    network = create_model("Tiny", num_classes=3)
    export_saved_model(network, tmp_path / "m")
    policy("float32")
    plain = create_model("Tiny", num_classes=3)
    plain.set_weights(network.get_weights())
    model, _ = load_any(tmp_path / "m")
    sound = sounds()[0]
    expected = plain(sound)["embedding"]
    np.testing.assert_allclose(model(sound)["embedding"], expected, atol=1e-5)


def test_load_any_takes_keras_run_directory_and_saved_model(network, exported):
    run_dir = exported.parent
    network.save(run_dir / "final.keras")
    expected = network(sounds()[0])["clipwise_output"]
    for path in (exported, run_dir, run_dir / "final.keras"):
        model, described = load_any(path)
        assert described["labels"] == ["a", "b", "c"]
        np.testing.assert_allclose(model(sounds()[0])["clipwise_output"], expected, atol=1e-5)


def test_what_is_no_model_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent.keras"):
        with pytest.raises(ValueError, match="no model at"):
            load_any(path)
    (tmp_path / "bad.keras").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"bad.keras cannot be loaded"):
        load_any(tmp_path / "bad.keras")


def test_does_not_overwrite_what_is_no_saved_model(network, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no SavedModel"):
        export_saved_model(network, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
