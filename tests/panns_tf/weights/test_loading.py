"""Weights from published, PyTorch's and Keras' files: all of them, or one line and none."""

import functools
import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from panns_tf.models import ARCHITECTURES, Network, create_model
from panns_tf.weights import zoo
from panns_tf.weights.loading import load_weights
from panns_tf.weights.state_dict import frozen_entries, to_torch_state
from panns_tf.weights.torch_writer import write_torch_state
from tests.small import SMALL, assert_same, filled, use_short_table
from tfrecords.classes import audioset_classes


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    use_short_table(monkeypatch, tmp_path, SMALL)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


#: A network to refuse weights for, or to save as it is; made once, and not to be changed.
untouched = functools.cache(create_model)


def write(path: Path, network: Network, **changes) -> Path:
    """Writes a checkpoint as the published ones are, its entries changed, or left out if None."""
    state = {**to_torch_state(network), **changes}
    state = {name: array for name, array in state.items() if array is not None}
    write_torch_state(path, {"iteration": 600_000, "model": state})
    return path


def refusal(network: Network, weights: str | Path) -> str:
    """The one line that says why weights are refused; the network must not have changed."""
    before, labels = network.get_weights(), network.labels
    try:
        with pytest.raises(ValueError) as caught:
            load_weights(network, weights)
        for old, new in zip(before, network.weights, strict=True):
            np.testing.assert_array_equal(old, new)
        assert network.labels == labels
        assert str(caught.value).isprintable()
        return str(caught.value)
    finally:  # others use it too
        network.set_weights(before)


# published


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Publishes a network: puts its file into a folder, and the file's facts into the table."""

    def put(network: Network, folder: Path, **facts) -> Path:
        name = network.row.name
        path = write(folder / f"{name}_mAP=0.123.pth", network)
        data = path.read_bytes()
        facts = {"md5": hashlib.md5(data).hexdigest(), "size": len(data), **facts}
        row = zoo.PublishedFile(name, path.name, **facts)
        monkeypatch.setitem(zoo.PUBLISHED, name, row)
        return path

    return put


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A folder served over HTTP in place of the record, and what has been asked of it."""
    folder, asked = tmp_path / "mirror", []
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("PANNS_TF_MIRROR", f"http://127.0.0.1:{server.server_port}")
        yield folder, asked
        server.shutdown()


def test_published_weights_from_the_cache(cache, publish, capsys):
    published = filled("Small", 527)
    publish(published, cache)
    network = create_model("SMALL", weights="audioset")
    assert_same(network, published)
    assert network.labels == list(audioset_classes().names)
    assert len(network.labels) == 527
    assert capsys.readouterr().err == ""


def test_published_weights_are_downloaded_once(cache, publish, mirror, capsys):
    folder, asked = mirror
    published = filled("Small", 527)
    file = publish(published, folder)
    for _ in range(2):
        assert_same(create_model("Small", weights="audioset"), published)
    assert len(asked) == 1
    assert (cache / file.name).read_bytes() == file.read_bytes()
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" from ")[0] for line in said] == [f"downloading {file.name}"]


def test_a_file_without_checksum_is_loaded_and_said_to_be_unverified(cache, capsys):
    assert not zoo.PUBLISHED["LeeNet11"].has_checksum
    published = filled("LeeNet11", 527)
    write(cache / "LeeNet11_mAP=0.266.pth", published)
    network = create_model("LeeNet11", weights="audioset")
    assert_same(network, published)
    assert network.labels[0] == "Speech"
    unverified = "LeeNet11_mAP=0.266.pth is unverified: no checksum of it is known\n"
    assert capsys.readouterr().err == unverified


def test_another_file_than_the_published_is_refused(cache, publish):
    network = filled("Small", 527)
    path = publish(network, cache, md5="0" * 32)
    message = refusal(untouched("Small"), "audioset")
    assert message.startswith(f"{path} is not the published file: its md5 is ")


def test_a_published_file_without_checksum_may_still_be_of_another_network(cache, publish):
    publish(filled("Small_5x5", 527), cache, md5=None, size=None)
    (cache / "Small_5x5_mAP=0.123.pth").rename(cache / "LeeNet11_mAP=0.266.pth")
    message = refusal(untouched("LeeNet11"), "audioset")
    assert message.startswith(f"{cache / 'LeeNet11_mAP=0.266.pth'} holds a Small_5x5, not a Lee")


def test_what_cannot_be_loaded_is_not_downloaded(publish, mirror):
    folder, asked = mirror
    publish(filled("Small", 527), folder)
    message = refusal(untouched("Small", num_classes=5), "audioset")
    assert message == "the published Small has 527 classes; received num_classes=5"
    for num_classes in (527, 5):
        message = refusal(untouched("Small_5x5", num_classes), "audioset")
        assert message.startswith("Small_5x5 has no published checkpoint; these have one: Cnn6, ")
    assert not asked


def test_settings_that_the_published_weights_do_not_fit(cache, publish):
    publish(filled("Small", 527), cache)
    message = refusal(untouched("Small", mel_bins=32), "audioset")
    assert "misshapen: bn0.weight is (64,), expected (32,)" in message
    message = refusal(untouched("Small", fmax=3000), "audioset")
    assert "of another front end: logmel_extractor.melW" in message


def test_without_a_network_the_error_is_one_line_and_an_oserror(cache, publish):
    publish(filled("Small", 527), cache).unlink()
    with pytest.raises(
        OSError, match=r"cannot reach http://127\.0\.0\.1:9/Small_mAP%3D0\.123"
    ) as e:
        create_model("Small", weights="audioset")
    assert str(e.value).isprintable()
    assert str(cache) in str(e.value)


# PyTorch's files


@pytest.mark.parametrize("ending", [".pth", ".pt"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_checkpoint_from_a_path(ending, kind, tmp_path):
    original = filled("Small")
    path = write(tmp_path / f"x{ending}", original)
    network = create_model("Small", 3, weights=kind(path))
    assert_same(network, original)
    assert network.labels is None


def test_a_checkpoint_without_constants_and_counters_and_model(tmp_path):
    original = filled("Small")
    state = to_torch_state(original)
    needed = {
        name: array
        for name, array in state.items()
        if name not in frozen_entries(original) and "num_batches" not in name
    }
    assert len(needed) < len(state)
    write_torch_state(tmp_path / "bare.pth", needed)
    assert_same(create_model("Small", 3, weights=tmp_path / "bare.pth"), original)


def test_networks_with_the_same_entries_load_each_others_files(tmp_path):
    original = filled("Small")
    path = write(tmp_path / "x.pth", original)
    for other in ("Small_no_specaug", "Small_DecisionLevelMax"):
        network = create_model(other, 3, weights=path)
        for layer in ("conv_block1.conv1", "fc_audioset"):
            expected = original.get_layer(layer).kernel
            np.testing.assert_array_equal(network.get_layer(layer).kernel, expected)


@pytest.mark.parametrize(
    ("holds", "loaded", "named"),
    [
        ("Small_5x5", "Small_deep", "Small_5x5"),
        ("Small_16k", "Small", "Small_16k"),
        ("Small", "Small_16k", "Small or Small_no_specaug or Small_DecisionLevelMax"),
        ("Small", "LeeNet11", "Small or Small_no_specaug or Small_DecisionLevelMax"),
    ],
)
def test_a_checkpoint_of_another_network_is_named(holds, loaded, named, tmp_path):
    path = write(tmp_path / "x.pth", filled(holds))
    message = refusal(untouched(loaded, 3), path)
    expected = f"{path} holds a {named}, not a {loaded}; create that network to load it"
    assert message == expected
    # and as one of other classes
    assert refusal(untouched(loaded, 4), path) == expected


def test_a_checkpoint_of_other_classes(tmp_path):
    path = write(tmp_path / "x.pth", filled("Small", 5))
    message = refusal(untouched("Small", 3), path)
    assert message == f"{path} holds a Small of 5 classes; received num_classes=3"


@pytest.mark.parametrize(
    ("entry", "array", "fault"),
    [
        ("fc1.bias", np.full(8, np.nan, "float32"), "not finite numbers: fc1.bias of float32"),
        (
            "conv_block1.bn1.running_var",
            np.array([1, 2, np.inf, 4], "float32"),
            "not finite numbers: conv_block1.bn1.running_var",
        ),
        ("bn0.weight", np.ones(63, "float32"), "misshapen: bn0.weight is (63,), expected (64,)"),
        ("fc1.weight", np.ones((8, 9), "float32"), "misshapen: fc1.weight is (8, 9), expected"),
        ("conv_block1.conv1.weight", None, "missing: conv_block1.conv1.weight"),
        ("fc2.weight", np.ones(1, "float32"), "unknown: fc2.weight"),
        (
            "logmel_extractor.melW",
            np.zeros((129, 64), "float32"),
            "of another front end: logmel_extractor.melW",
        ),
    ],
    ids=["nan", "inf", "longer", "wider", "missing", "unknown", "front end"],
)
def test_a_faulty_entry_is_named_and_nothing_loaded(entry, array, fault, tmp_path):
    path = write(tmp_path / "x.pth", filled("Small"), **{entry: array})
    message = refusal(untouched("Small", 3), path)
    assert message.startswith(f"{path}: this is no state of Small: ")
    assert fault in message
    assert message.count(": ") == 3 + (fault.count(": ") - 1)


# Keras' files


def test_a_network_from_a_keras_file_with_its_labels(tmp_path):
    original = create_model("Small", 3, embedding_size=5)
    original.labels = ["a", "b", "c"]
    original.save(tmp_path / "x.keras")
    network = create_model("Small", 3, weights=tmp_path / "x.keras", embedding_size=5)
    assert_same(network, original)
    assert network.labels == ["a", "b", "c"]


def test_values_from_a_weights_file(tmp_path):
    original = filled("Small")
    original.save_weights(tmp_path / "x.weights.h5")
    network = create_model("Small", 3, weights=tmp_path / "x.weights.h5")
    assert_same(network, original)
    assert network.labels is None


@pytest.mark.parametrize(
    ("name_of_other", "num_classes", "settings"),
    [
        ("Small", 4, {}),
        ("Small", 3, {"hop_size": 160}),
        ("Small", 3, {"fmax": 3000}),
        ("Small_16k", 3, {}),
        ("Small_5x5", 3, {}),
        ("Small_no_specaug", 3, {}),
    ],
)
def test_a_keras_file_of_another_network_or_setting(name_of_other, num_classes, settings, tmp_path):
    path = tmp_path / "x.keras"
    untouched(name_of_other, num_classes, **settings).save(path)
    message = refusal(untouched("Small", 3), path)
    assert str(path) in message
    assert f"holds {name_of_other}" in message or "was trained on Frontend(" in message


@pytest.mark.parametrize(
    ("other", "num_classes"), [("Small", 4), ("Small_5x5", 3), ("Small_deep", 3)]
)
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_weights_file_of_another_network_or_size(other, num_classes, tmp_path):
    path = tmp_path / "x.weights.h5"
    filled(other, num_classes).save_weights(path)
    message = refusal(untouched("Small", 3), path)
    assert str(path) in message
    assert len(message) < 1000


class Unknown(keras.layers.Layer):
    """Is known to no reader of a saved file."""

    def call(self, x):
        return x


def test_a_keras_file_of_something_else(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(tmp_path / "x.keras")
    assert str(tmp_path / "x.keras") in refusal(untouched("Small", 3), tmp_path / "x.keras")


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize(
    "layers",
    [[keras.layers.Dense(2)], [keras.Input((3,)), Unknown(), keras.layers.Dense(1)]],
    ids=["unbuilt", "unknown layer"],
)
def test_a_keras_file_of_something_odd(layers, tmp_path):
    path = tmp_path / "x.keras"
    keras.Sequential(layers).save(path)
    assert str(path) in refusal(untouched("Small", 3), path)


# damage


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """By ending, the bytes of a file of Small."""
    folder = tmp_path_factory.mktemp("intact")
    with pytest.MonkeyPatch.context() as patch:  # made before the table of a test
        patch.setitem(ARCHITECTURES, "Small", SMALL["Small"])
        network = filled("Small")
    network.save(folder / "x.keras")
    network.save_weights(folder / "x.weights.h5")
    write(folder / "x.pth", network)
    return {ending: (folder / f"x{ending}").read_bytes() for ending in ENDINGS}


ENDINGS = (".pth", ".keras", ".weights.h5")
DAMAGES = {
    "empty": lambda data: b"",
    "text": lambda data: b"not found\n",
    "10 %": lambda data: data[: len(data) // 10],
    "half": lambda data: data[: len(data) // 2],
    "90 %": lambda data: data[: len(data) * 9 // 10],
    "99 %": lambda data: data[: len(data) * 99 // 100],
    "all but one": lambda data: data[:-1],
    "zeros at the end": lambda data: data[: len(data) * 3 // 4] + bytes(len(data) // 4),
    "a hole": lambda data: data[: len(data) // 2] + data[len(data) // 2 + 4096 :],
}


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_file_is_refused_in_one_line(ending, damage, intact, tmp_path):
    path = tmp_path / f"x{ending}"
    path.write_bytes(DAMAGES[damage](intact[ending]))
    assert str(path) in refusal(untouched("Small", 3), path)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("config.json", None, None),
        ("config.json", None, b"{"),
        ("config.json", None, b"[]"),
        ("config.json", None, b"{}"),
        ("config.json", b'"Small"', b'"Cnn15"'),
        ("config.json", b'"num_classes": 3', b'"num_classes": 0'),
        ("config.json", b'"num_classes": 3', b'"num_classes": 4'),
        ("config.json", b'"overrides": {}', b'"overrides": {"melbins": 3}'),
        ("model.weights.h5", None, None),
        ("model.weights.h5", None, b""),
    ],
)
def test_a_keras_file_with_a_damaged_member(member, old, new, intact, tmp_path):
    whole, path = tmp_path / "whole.keras", tmp_path / "x.keras"
    whole.write_bytes(intact[".keras"])
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert old is None or old in members[member]
    members[member] = members[member].replace(old, new) if old else new
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    assert str(path) in refusal(untouched("Small", 3), path)


# paths


@pytest.mark.parametrize("name_of_file", ["absent.pth", "absent.keras", "absent.weights.h5", "x"])
def test_a_missing_file(name_of_file, tmp_path):
    message = refusal(untouched("Small", 3), tmp_path / name_of_file)
    assert message.startswith(f"weights: no such file: {tmp_path / name_of_file}; expected None,")
    assert "'audioset'" in message


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "x.pth").mkdir()
    assert "no such file" in refusal(untouched("Small", 3), tmp_path / "x.pth")


@pytest.mark.parametrize("name_of_file", ["x.h5", "x.npz", "x.PTH", "pth"])
def test_another_ending(name_of_file, tmp_path):
    path = tmp_path / name_of_file
    path.write_bytes(b"something")
    message = refusal(untouched("Small", 3), path)
    assert message == f"weights: expected a .pth, a .keras or a .weights.h5 file; received {path}"
