import numpy as np
import pytest

from panns_tf.transfer import embeddings as module
from panns_tf.transfer.embeddings import cache_folder, embeddings, trunk
from panns_tf.transfer.scores import windows_of
from panns_tf.transfer.store import SoundStore
from tests.panns_tf.inference.support import sound
from tests.panns_tf.inference.support import trained as trained_network
from tests.panns_tf.transfer.tones import RATE, write_folders

WINDOW = RATE // 2


def test_a_trunk_gives_the_embedding(thin_graph):
    network = trained_network(thin_graph)
    waveform = sound(2, 16000)
    read = trunk(network)(waveform, training=False)["embedding"].numpy()
    wanted = network(waveform, training=False)["embedding"].numpy()
    read = read.mean(axis=1) if read.ndim == 3 else read
    np.testing.assert_allclose(read, wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.fixture
def heard(tmp_path, monkeypatch):
    """A store, its windows, a folder, and a count of what was computed."""
    paths = sorted(write_folders(tmp_path / "tones", clips=3).rglob("*.wav"))
    store = SoundStore(paths, RATE, quiet=True)
    places, _ = windows_of(store, range(len(store)), WINDOW)
    made = []
    real = module.trunk
    monkeypatch.setattr(module, "trunk", lambda network: made.append(1) or real(network))
    return store, places, tmp_path / "cache", made


def test_embeddings_are_computed_once(heard):
    store, places, folder, made = heard
    network = trained_network("Tiny")
    first = embeddings(network, store, places, WINDOW, folder, quiet=True)
    assert first.shape == (len(places), 8)
    again = embeddings(network, store, places[::-1], WINDOW, folder, quiet=True)
    np.testing.assert_array_equal(first, again[::-1])
    assert len(made) == 1


def test_only_new_sound_is_computed(heard):
    store, places, folder, made = heard
    network = trained_network("Tiny")
    some = embeddings(network, store, places[:4], WINDOW, folder, quiet=True)
    every = embeddings(network, store, places, WINDOW, folder, quiet=True)
    np.testing.assert_array_equal(some, every[:4])
    assert len(made) == 2


def test_other_weights_windows_or_sound_are_computed_anew(heard):
    store, places, folder, made = heard
    network = trained_network("Tiny")
    first = embeddings(network, store, places, WINDOW, folder, quiet=True)
    network.get_layer("fc1").bias.assign(network.get_layer("fc1").bias + 1)
    other = embeddings(network, store, places, WINDOW, folder, quiet=True)
    assert (first != other).any()
    embeddings(network, store, [(0, 0)], WINDOW // 2, folder, quiet=True)
    assert len(made) == 3


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04cut", None])
def test_a_damaged_file_is_made_anew(heard, damage):
    store, places, folder, made = heard
    network = trained_network("Tiny")
    first = embeddings(network, store, places, WINDOW, folder, quiet=True)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:300] if damage is None else damage)
    np.testing.assert_array_equal(
        first, embeddings(network, store, places, WINDOW, folder, quiet=True)
    )
    assert len(made) == 2


def test_the_folder_is_the_projects_unless_said_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("PANNS_TF_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "embeddings"
    assert cache_folder(tmp_path / "x") == tmp_path / "x"
