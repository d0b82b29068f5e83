import numpy as np
import pytest
import soundfile

from tests.panns_tf.inference.demo.fakes import EVENTS, LABELS, SCORES, listener
from tfrecords.audio import AudioError


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "dog.wav"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * 44100)
    soundfile.write(path, samples, 44100)
    return path


def test_a_recording_is_heard_and_drawn(sound):
    heard = listener().listen(sound)
    assert (heard.name, heard.seconds, heard.notes) == ("dog.wav", 2.0, ())
    assert [tag.label for tag in heard.tags] == [LABELS[i] for i in (0, 2, 1, 3)]
    assert [tag.index for tag in heard.tags] == [0, 2, 1, 3]
    assert [tag.score for tag in heard.tags] == pytest.approx(sorted(SCORES, reverse=True))
    assert heard.events == EVENTS
    assert heard.light[:8] == heard.dark[:8] == b"\x89PNG\r\n\x1a\n"
    assert heard.light != heard.dark


def test_a_damaged_recording_has_a_note(sound):
    content = sound.read_bytes()
    sound.write_bytes(content[: len(content) // 2])
    heard = listener().listen(sound)
    assert heard.seconds == pytest.approx(1.0, abs=0.01)
    assert heard.notes == (
        "dog.wav: ends before its header says; the 1.00 s that are there were used",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "dog.wav: empty"),
        (b"not audio at all, but text", "dog.wav: not audio"),
        (None, "dog.wav: 2.0 s; longer than the 1.5 s that are taken"),
    ],
)
def test_what_cannot_be_heard_is_named_without_its_folder(sound, content, said):
    if content is not None:
        sound.write_bytes(content)
    with pytest.raises(AudioError) as caught:
        listener(max_seconds=1.5).listen(sound)
    assert str(caught.value) == said
