import io
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from panns_tf.inference.events import Event
from panns_tf.inference.plot import Spectrogram, draw_recording, reduced
from panns_tf.layers.log_mel import LogMel
from tests.panns_tf.inference.support import noise

LABELS = ["Bark", "Rain", "$a_b$", "x" * 500, "a\nb\x00\udcff"]


def spectrogram_of(samples, rate=8000, blocks=1):
    spectrogram = Spectrogram(rate)
    for block in np.array_split(samples, blocks):
        spectrogram.feed(block)
    return spectrogram


def detected(seconds=2.0, events=None, steps=20):
    """A recording of noise with its events and probabilities."""
    if events is None:
        events = [Event(i * 0.1, i * 0.1 + 0.5, label, 0.8) for i, label in enumerate(LABELS)]
    return SimpleNamespace(
        spectrogram=spectrogram_of(noise(round(seconds * 8000))),
        outputs={"scores": np.random.default_rng(0).random((steps, len(LABELS)))},
        detection=SimpleNamespace(events=events),
    )


def draw(seconds=2.0, events=None, **settings):
    detector = SimpleNamespace(labels=LABELS, step_seconds=seconds / 20)
    return draw_recording(detected(seconds, events), detector, **settings)


def test_a_spectrogram_is_the_layers_however_it_is_fed():
    samples = noise(8000 * 3 + 77)
    decibels, seconds = spectrogram_of(samples, blocks=1).columns()
    assert (seconds, decibels.shape) == (0.01, (301, 64))
    frontend = Spectrogram(8000).frontend
    layer = LogMel(**{name: getattr(frontend, name) for name in frontend.__dataclass_fields__})
    # The layer's frames are centred at the hops, those of pictures in the middle between.
    expected = layer(np.pad(samples, (40, 0))[None])[0, 1:-1].numpy()
    np.testing.assert_allclose(decibels[2:-4], expected[2:297], atol=0.1)
    for blocks in (2, 7, 1000):
        other, _ = spectrogram_of(samples, blocks=blocks).columns()
        np.testing.assert_allclose(other, decibels, atol=1e-3)
    for samples in (1, 79, 80, 81, 255, 256, 257):
        assert len(spectrogram_of(noise(samples)).columns()[0]) == -(-samples // 80)


def test_long_recordings_have_few_columns_and_keep_their_peaks():
    rows = np.zeros((4001, 2))
    rows[3500, 1] = 0.9
    columns, factor = reduced(rows)
    assert (len(columns), factor) == (1334, 3)
    assert columns[3500 // 3, 1] == 0.9
    assert reduced(rows[:7])[1] == 1


@pytest.mark.parametrize("seconds", [0.05, 2.0, 200.0, 4000.0])
def test_pictures_of_every_length(seconds):
    picture = matplotlib.image.imread(io.BytesIO(draw(seconds, title="long/path/" * 60 + "a.wav")))
    assert picture.shape[1] == 1700
    assert picture[..., :3].std() > 0.1


def texts_of(monkeypatch, **settings) -> set[str]:
    """All texts of a picture."""
    figures, save = [], Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw(**settings)
    return {text.get_text() for text in figures[0].findobj(Text)}


def test_pictures_are_the_same_every_time():
    assert draw() == draw() != draw(dark=True)


def test_names_stand_as_they_are_and_many_classes_are_cut(monkeypatch):
    texts = texts_of(monkeypatch, events=[], title="a\x00b.wav")
    assert {"no events", "a\N{REPLACEMENT CHARACTER}b.wav"} <= texts
    assert any(text.startswith("$a_b$  ") for text in texts)
    events = [Event(0.0, 1.0, f"class {number}", 0.5 + number / 100) for number in range(30)]
    texts = texts_of(monkeypatch, events=events)
    assert {"events, 20 of 30 classes", "class 29  0.79"} <= texts
    assert "class 9  0.59" not in texts
