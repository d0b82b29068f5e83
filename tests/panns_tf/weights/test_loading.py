"""Weights from published, PyTorch's and Keras' files: all of them, or one line and none."""

import functools
import hashlib
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy

from panns_tf.models.network import Network
from panns_tf.models.registry import ARCHITECTURES
from panns_tf.weights import zoo
from panns_tf.weights.loading import assign_weights, create_model, read_network_file
from panns_tf.weights.state_dict import frozen_entries, to_torch_state
from panns_tf.weights.torch_file import write_torch_state
from tests.panns_tf.weights.support import SMALL, assert_same, filled, use_small_networks
from tfrecords.classes import audioset_classes


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    use_small_networks(monkeypatch, tmp_path)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


#: A network to refuse weights for, or to save as it is; made once, and not to be changed.
untouched = functools.cache(create_model)


def write(path: Path, network: Network, **changes) -> Path:
    """Writes a checkpoint as the published ones are, its entries changed, or left out if None."""
    state = {**to_torch_state(network), **changes}
    state = {name: array for name, array in state.items() if array is not None}
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(state, path)
    else:
        write_torch_state(path, {"iteration": 600_000, "model": state})
    return path


def refusal(network: Network, weights: str | Path) -> str:
    """The one line that says why weights are refused; the network must not have changed."""
    before, labels = network.get_weights(), network.labels
    try:
        with pytest.raises(ValueError) as caught:
            assign_weights(network, weights)
        for old, new in zip(before, network.weights, strict=True):
            np.testing.assert_array_equal(old, new)
        assert network.labels == labels
        assert str(caught.value).isprintable()
        return str(caught.value)
    finally:  # others use it too
        network.set_weights(before)


# published


@pytest.fixture
def publish(monkeypatch, cache):
    """Puts a network's file into the cache, and the file's entry into the table."""

    def put(network: Network, **fields) -> Path:
        name = network.arch.name
        path = write(cache / f"{name}_mAP=0.123.pth", network)
        fields = {"md5": hashlib.md5(path.read_bytes()).hexdigest(), **fields}
        monkeypatch.setitem(zoo.PUBLISHED, name, zoo.PublishedFile(name, path.name, **fields))
        return path

    return put


def test_published_weights(publish):
    published = filled("Small", 527)
    path = publish(published)
    network = create_model("SMALL", weights="audioset")
    assert_same(network, published)
    assert network.labels == list(audioset_classes().names)
    assert "misshapen: bn0.weight is (64,), expected (32,)" in refusal(
        untouched("Small", mel_bins=32), "audioset"
    )
    assert "of another front end: logmel_extractor.melW" in refusal(
        untouched("Small", fmax=3000), "audioset"
    )
    message = refusal(untouched("Small", num_classes=5), "audioset")
    assert message == "the published Small has 527 classes; received num_classes=5"
    message = refusal(untouched("Small_5x5", 5), "audioset")
    assert message.startswith("Small_5x5 has no published checkpoint; these have one: Cnn6, ")
    publish(published, md5="0" * 32)
    message = refusal(untouched("Small"), "audioset")
    assert message.startswith(f"{path} is not the published file: its md5 is ")
    path.unlink()
    with pytest.raises(OSError, match=r"cannot download http://127\.0\.0\.1:9/Small_mAP%3D0") as e:
        create_model("Small", weights="audioset")
    assert str(e.value).isprintable()


# state dicts


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_a_state_dict_from_a_path(ending, tmp_path):
    original = filled("Small")
    path = write(tmp_path / f"x{ending}", original)
    for weights in (path, str(path)):
        network = create_model("Small", 3, weights=weights)
        assert_same(network, original)
        assert network.labels is None


def test_a_state_dict_without_constants_and_counters(tmp_path):
    original = filled("Small")
    idle = (*frozen_entries(original), *(k for k in to_torch_state(original) if "num_batches" in k))
    path = write(tmp_path / "bare.pth", original, **dict.fromkeys(idle))
    assert_same(create_model("Small", 3, weights=path), original)


def test_half_precision_from_safetensors(tmp_path):
    import ml_dtypes

    original = create_model("Small", 3)
    original.set_weights([np.round(w * 4) / 4 for w in filled("Small").get_weights()])
    kind = ml_dtypes.bfloat16
    state = {k: a for k, a in to_torch_state(original).items() if "extractor" not in k}
    halves = {k: a.astype(kind) if a.dtype == "float32" else a for k, a in state.items()}
    path = write(tmp_path / "x.safetensors", original, **halves)
    assert_same(create_model("Small", 3, weights=path), original)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("entry", "array", "fault"),
    [
        ("fc1.bias", np.full(8, np.nan, "float32"), "not finite numbers: fc1.bias of float32"),
        ("bn0.weight", np.ones(63, "float32"), "misshapen: bn0.weight is (63,), expected (64,)"),
        ("conv_block1.conv1.weight", None, "missing: conv_block1.conv1.weight"),
        ("fc2.weight", np.ones(1, "float32"), "unknown: fc2.weight"),
        (
            "logmel_extractor.melW",
            np.zeros((129, 64), "float32"),
            "of another front end: logmel_extractor.melW",
        ),
    ],
)
def test_a_faulty_entry_is_named_and_nothing_loaded(ending, entry, array, fault, tmp_path):
    path = write(tmp_path / f"x{ending}", filled("Small"), **{entry: array})
    message = refusal(untouched("Small", 3), path)
    assert message == f"{path}: this is no state of Small: {fault}"


def test_a_state_dict_of_another_network_or_of_other_classes(tmp_path):
    path = write(tmp_path / "x.pth", filled("Small_5x5"))
    message = refusal(untouched("Small", 3), path)
    assert message.startswith(f"{path}: this is no state of Small: misshapen: conv_block1.conv1")
    message = refusal(untouched("Small_5x5", 4), path)
    assert message == f"{path} holds a network of 3 classes; received num_classes=4"


def test_a_files_name_or_the_caller_says_the_network(tmp_path):
    original = filled("Small_DecisionLevelMax", 527)
    path = write(tmp_path / "small_DecisionLevelMax_mAP%3D0.385 (1).pth", original)
    network = read_network_file(path)
    assert network.arch.name == "Small_DecisionLevelMax"
    assert_same(network, original)
    assert network.labels[:1] == ["Speech"]
    assert read_network_file(path, "small").arch.name == "Small"
    with pytest.raises(ValueError, match=r"mine\.pth does not tell which network .* --arch"):
        read_network_file(path.rename(tmp_path / "mine.pth"))
    with pytest.raises(ValueError, match="unknown network 'Cnn15'; did you mean Cnn14"):
        read_network_file(tmp_path / "mine.pth", "Cnn15")
    with pytest.raises(ValueError, match="no such file"):
        read_network_file(tmp_path / "absent.pth")


# Keras' files


def test_a_network_from_a_keras_file_with_its_labels(tmp_path):
    original = create_model("Small", 3, embedding_size=5)
    original.labels = ["a", "b", "c"]
    path = tmp_path / "x.keras"
    original.save(path)
    for network in (
        create_model("Small", 3, weights=path, embedding_size=5),
        read_network_file(path),
    ):
        assert_same(network, original)
        assert network.labels == ["a", "b", "c"]
    with pytest.raises(ValueError, match="says which network it holds"):
        read_network_file(path, "Small")


def test_values_from_a_weights_file(tmp_path):
    original = filled("Small")
    original.save_weights(tmp_path / "x.weights.h5")
    network = create_model("Small", 3, weights=tmp_path / "x.weights.h5")
    assert_same(network, original)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize(
    ("other", "num_classes", "settings"),
    [
        ("Small", 4, {}),
        ("Small", 3, {"fmax": 3000}),
        ("Small_16k", 3, {}),
        ("Small_5x5", 3, {}),
    ],
)
def test_a_keras_file_of_another_network_or_setting(other, num_classes, settings, tmp_path):
    path = tmp_path / "x.keras"
    untouched(other, num_classes, **settings).save(path)
    message = refusal(untouched("Small", 3), path)
    assert str(path) in message
    assert f"holds a {other} with" in message or "of 4 classes" in message or "another" in message
    if not settings and other != "Small_16k":  # values alone do not tell these apart
        path = tmp_path / "x.weights.h5"
        untouched(other, num_classes).save_weights(path)
        assert str(path) in refusal(untouched("Small", 3), path)


class Unknown(keras.layers.Layer):
    """Is known to no reader of a saved file."""

    def call(self, x):
        return x


def test_a_keras_file_of_something_else(tmp_path):
    path = tmp_path / "x.keras"
    for layers in ([keras.layers.Dense(2)], [Unknown(), keras.layers.Dense(1)]):
        keras.Sequential([keras.Input((3,)), *layers]).save(path)
        assert refusal(untouched("Small", 3), path).startswith(f"{path} ")


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
    write(folder / "x.safetensors", network)
    return {ending: (folder / f"x{ending}").read_bytes() for ending in ENDINGS}


ENDINGS = (".pth", ".safetensors", ".keras", ".weights.h5")


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_file_is_refused_in_one_line(ending, intact, tmp_path):
    path, data = tmp_path / f"x{ending}", intact[ending]
    for damaged in (
        b"",
        b"not found\n",
        *(data[: len(data) * percent // 100] for percent in (10, 50, 99)),
        data[:-1],
        data[: len(data) * 3 // 4] + bytes(len(data) // 4),
        data[: len(data) // 2] + data[len(data) // 2 + 4096 :],
    ):
        path.write_bytes(damaged)
        assert str(path) in refusal(untouched("Small", 3), path)


@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("config.json", None, None),
        ("config.json", None, b"{"),
        ("config.json", None, b"[]"),
        ("config.json", b'"Small"', b'"Cnn15"'),
        ("config.json", b'"num_classes": 3', b'"num_classes": 4'),
        ("config.json", b'"overrides": {}', b'"overrides": {"melbins": 3}'),
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


def test_paths_that_are_no_file_of_weights(tmp_path):
    (tmp_path / "x.pth").mkdir()
    for name in ("absent.pth", "absent.keras", "x", "x.pth"):
        message = refusal(untouched("Small", 3), tmp_path / name)
        assert message.startswith(f"weights: no such file: {tmp_path / name}; expected None,")
        assert "'audioset'" in message
    for name in ("x.h5", "x.npz", "pth"):
        (tmp_path / name).write_bytes(b"something")
        message = refusal(untouched("Small", 3), tmp_path / name)
        assert message.startswith("weights: expected None, 'audioset', or a .pth, .safetens")
