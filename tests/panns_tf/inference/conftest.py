import numpy as np
import pytest
import soundfile

from tests.panns_tf.inference.support import kept, noise, outputs_of


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A trained network in a file."""
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    kept("Tiny").save(path)
    return path


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """A folder of recordings, one of them damaged; read only."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "more").mkdir()
    for number in range(6):
        place = folder / "more" if number > 3 else folder
        samples = noise(8000 + 1000 * (number % 3), number)
        soundfile.write(place / f"{number}.wav", samples, 8000, subtype="FLOAT")
    (folder / "broken.wav").write_bytes(b"no sound at all")
    return folder


@pytest.fixture(scope="session")
def scores():
    """The probabilities of recording ``number``: (classes,)."""

    def of(number: int) -> np.ndarray:
        samples = noise(8000 + 1000 * (number % 3), number)
        return outputs_of(kept("Tiny"), samples[None])["clipwise_output"][0]

    return of
