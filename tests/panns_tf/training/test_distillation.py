import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training.losses import Teacher
from panns_tf.weights.loading import create_model

LABELS = ("a", "b", "c")
RATE = 8000
TARGET = np.eye(4, 3, dtype="float32")

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module")
def network():
    made = create_model("Tiny", num_classes=3)
    made.labels = LABELS
    return made


@pytest.fixture(scope="module")
def path(network, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("teacher") / "final.keras"
    network.save(path)
    return str(path)


@pytest.fixture
def sound():
    return tf.constant(np.random.default_rng(0).uniform(-0.5, 0.5, (4, 4000)).astype("float32"))


def test_blends_labels_with_predictions_and_is_not_trained(network, path, sound):
    predicted = network(sound)["clipwise_output"]
    for weight, source in ((0.25, path), (1.0, path.removesuffix("/final.keras"))):
        teacher = Teacher(source, weight, LABELS, RATE)
        with tf.GradientTape() as tape:
            tape.watch(sound)
            found = teacher.targets(TARGET, sound)
        assert tape.gradient(found, sound) is None
        np.testing.assert_allclose(found, (1 - weight) * TARGET + weight * predicted, atol=1e-6)
        assert np.abs(found - TARGET).max() > 0.1
        compiled = tf.function(teacher.targets, autograph=False)
        np.testing.assert_allclose(compiled(tf.constant(TARGET), sound), found, atol=1e-6)


def test_a_teacher_of_something_else_is_refused(path, tmp_path):
    for labels, rate, message in (
        (LABELS, 32000, "expects 8000 Hz, but the network 32000 Hz"),
        (("a", "c", "b"), RATE, "has 3 classes that are not the 3 of the data"),
        (("a", "b"), RATE, "has 3 classes that are not the 2 of the data"),
    ):
        with pytest.raises(ValueError, match=message):
            Teacher(path, 0.5, labels, rate)
    # Of a teacher without labels their number is compared.
    create_model("Tiny", num_classes=2).save(tmp_path / "final.keras")
    Teacher(str(tmp_path), 0.5, ("x", "y"), RATE)
    with pytest.raises(ValueError, match="2 classes that are not the 3"):
        Teacher(str(tmp_path), 0.5, LABELS, RATE)
