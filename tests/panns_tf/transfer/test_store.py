import numpy as np
import pytest
import soundfile

from panns_tf.transfer.store import SoundStore
from tests.panns_tf.transfer.tones import RATE, tone


@pytest.fixture
def paths(tmp_path):
    made = []
    for number, seconds in enumerate((0.1, 0.5, 0.3)):
        made.append(tmp_path / f"{number}.wav")
        soundfile.write(made[-1], tone("low", number, seconds), RATE, subtype="FLOAT")
    return made


def test_recordings_come_back_as_they_were(paths):
    store = SoundStore(paths, RATE, quiet=True)
    assert len(store) == 3
    for number, seconds in enumerate((0.1, 0.5, 0.3)):
        wanted = np.rint(tone("low", number, seconds) * 32767)
        np.testing.assert_array_equal(store[number], wanted)
    assert not store.errors


def test_recordings_are_resampled_and_mixed_to_mono(tmp_path):
    stereo = np.stack([tone("low", 0), np.zeros(4800, "float32")], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    store = SoundStore([tmp_path / "a.wav"], 2 * RATE, quiet=True)
    assert store.lengths.tolist() == [9600]
    assert 0.1 < np.abs(store[0] / 32767).max() < 0.25


def test_what_cannot_be_read_is_told_and_the_rest_stays(paths, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    store = SoundStore([paths[0], tmp_path / "bad.wav", tmp_path / "gone.wav", paths[1]], RATE,
                       quiet=True)  # fmt: skip
    assert sorted(store.errors) == [1, 2]
    assert "bad.wav" in store.errors[1]
    assert "gone.wav" in store.errors[2]
    np.testing.assert_array_equal(store[3], np.rint(tone("low", 1, 0.5) * 32767))
    store.keep([0, 3])
    assert len(store) == 2
    assert not store.errors
    np.testing.assert_array_equal(store[1], np.rint(tone("low", 1, 0.5) * 32767))


def test_equal_sound_has_an_equal_hash_whatever_its_file(paths, tmp_path):
    samples, rate = soundfile.read(paths[0], dtype="int16")
    for ending in ("wav", "flac"):
        soundfile.write(tmp_path / f"copy.{ending}", samples, rate)
    store = SoundStore([tmp_path / "copy.wav", tmp_path / "copy.flac", paths[1]], RATE, quiet=True)
    assert store.hashes[0] == store.hashes[1] != store.hashes[2]


def test_the_file_leaves_nothing_behind(paths, tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    store = SoundStore(paths, RATE, folder, quiet=True)
    assert len(store[1]) == 4000
    assert list(folder.iterdir()) == []


def test_loud_sound_is_clipped(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.full(800, 1.5), RATE, subtype="FLOAT")
    store = SoundStore([tmp_path / "loud.wav"], RATE, quiet=True)
    assert (store[0] == 32767).all()
    assert any("beyond" in note for note in store.notes)
