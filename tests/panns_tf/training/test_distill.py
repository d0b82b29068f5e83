import numpy as np
import pytest
import tensorflow as tf

from panns_tf.inference.export import export_saved_model
from panns_tf.training.distill import Teacher
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


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_blends_labels_with_what_the_teacher_says(network, path, sound, weight):
    said = network(sound)["clipwise_output"]
    found = Teacher(path, weight, LABELS, RATE).targets(TARGET, sound)
    np.testing.assert_allclose(found, (1 - weight) * TARGET + weight * said, atol=1e-6)
    assert np.abs(found - TARGET).max() > 0.1


def test_takes_a_run_directory_and_a_saved_model(network, path, sound, tmp_path):
    expected = Teacher(path, 0.5, LABELS, RATE).targets(TARGET, sound)
    export_saved_model(network, tmp_path / "exported")
    for other in (path.removesuffix("/final.keras"), str(tmp_path / "exported")):
        found = Teacher(other, 0.5, LABELS, RATE).targets(TARGET, sound)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_says_the_same_within_a_compiled_step_and_every_time(path, sound):
    teacher = Teacher(path, 0.5, LABELS, RATE)
    first = teacher.targets(TARGET, sound)
    np.testing.assert_array_equal(teacher.targets(TARGET, sound), first, "no dropout, no masks")
    compiled = tf.function(teacher.targets, autograph=False)
    np.testing.assert_allclose(compiled(tf.constant(TARGET), sound), first, atol=1e-6)


def test_is_not_taught(path, sound):
    teacher = Teacher(path, 0.5, LABELS, RATE)
    with tf.GradientTape() as tape:
        tape.watch(sound)
        targets = teacher.targets(TARGET, sound)
    assert tape.gradient(targets, sound) is None


@pytest.mark.parametrize(
    ("labels", "rate", "message"),
    [
        (LABELS, 32000, "hears 8000 Hz, but the network 32000 Hz"),
        (("a", "c", "b"), RATE, "has 3 classes that are not the 3 of the data"),
        (("a", "b"), RATE, "has 3 classes that are not the 2 of the data"),
    ],
)
def test_a_teacher_of_something_else_is_refused(path, labels, rate, message):
    with pytest.raises(ValueError, match=message):
        Teacher(path, 0.5, labels, rate)


def test_of_a_teacher_without_labels_their_number_is_compared(tmp_path):
    create_model("Tiny", num_classes=2).save(tmp_path / "final.keras")
    Teacher(str(tmp_path), 0.5, ("x", "y"), RATE)
    with pytest.raises(ValueError, match="2 classes that are not the 3"):
        Teacher(str(tmp_path), 0.5, LABELS, RATE)
