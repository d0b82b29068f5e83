"""Pictures of recordings: what they say, and that nothing covers anything."""

import io
import itertools
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from panns_tf.inference.overview import Overview
from panns_tf.inference.picture import draw, figure_of
from panns_tf.inference.results import Event
from panns_tf.plots.style import DARK, LIGHT, styled
from tfrecords.classes import audioset_classes

RATE = 4000
AUDIOSET = list(audioset_classes().names)


def recording(seconds=2.0, labels=("Bark", "Rain"), steps=20, sound=True):
    """An overview of noise in which every class is loud once, the first the most."""
    rng = np.random.default_rng(0)
    overview = Overview(RATE, len(labels), 200)
    if sound:
        overview.feed_audio(rng.normal(0, 0.1, round(seconds * RATE)))
    scores = np.full((steps, len(labels)), 0.01)
    for number in range(len(labels)):
        scores[number % steps, number] = 0.9 * 0.99**number
    overview.feed_probabilities(scores, seconds / steps)
    return overview


def texts_of(figure, gid=None):
    """The texts of a figure that are seen, with their boxes in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    inside = [axes.child_axes for axes in figure.axes]
    inset = [text for axes in itertools.chain(*inside) for text in axes.findobj(Text)]
    found = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    found = [text for text in found if text not in inset]
    if gid:
        found = [text for text in found if text.get_gid() == gid]
    renderer = canvas.get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in found]


def overlapping(figure):
    """Pairs of texts that cover each other, and texts that are cut off."""
    texts = texts_of(figure)
    pairs = [
        (one[0], other[0])
        for one, other in itertools.combinations(texts, 2)
        if one[1].overlaps(other[1])
    ]
    whole = figure.bbox
    cut = [
        text
        for text, box in texts
        if box.x0 < whole.x0 or box.y0 < whole.y0 or box.x1 > whole.x1 or box.y1 > whole.y1
    ]
    return pairs, cut


def words(figure, gid):
    return [text for text, _ in texts_of(figure, gid)]


def events_of(labels, seconds):
    return [
        Event(seconds * i / (2 * len(labels)), seconds * (i + 1) / (2 * len(labels)), label, 0.8)
        for i, label in enumerate(labels)
    ]


CASES = {
    "two seconds": (2.0, AUDIOSET, AUDIOSET[:3], "a.wav"),
    "no events": (2.0, ["Bark", "Rain"], [], "a.wav"),
    "one class": (0.05, ["Bark"], ["Bark"], ""),
    "long names": (119.0, sorted(AUDIOSET, key=len)[-30:], sorted(AUDIOSET, key=len)[-12:], "x"),
    "many events": (700.0, AUDIOSET, AUDIOSET[:300], "long/path/" * 60 + "a.wav"),
    "hostile names": (5.0, ["$a_b$", "x" * 500, "a\nb\x00\udcff"], ["$a_b$", "x" * 500], "$\\x$\n"),
}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_text_covers_another_or_is_cut_off(case, theme):
    seconds, labels, sounding, title = case
    with styled(theme):
        overview = recording(seconds, labels)
        figure = figure_of(overview, events_of(sounding, seconds), labels, 10, title, theme, 0.5)
        assert overlapping(figure) == ([], [])
        # Names stand beside their panel, not in it.
        panels = [axes.get_window_extent() for axes in figure.axes]
        boxes = [box for gid in ("label", "peak") for _, box in texts_of(figure, gid)]
        assert boxes
        assert not any(box.overlaps(panel) for box in boxes for panel in panels)


def test_what_covers_or_is_cut_off_would_be_found():
    figure = Figure((2, 1))
    for place, text in ((0.5, "one"), (0.55, "other"), (0.95, "cut off")):
        figure.text(place, 0.5, text)
    assert overlapping(figure) == ([("one", "other")], ["cut off"])


@pytest.mark.parametrize("rate", [1000, 2000, 4000, 8000, 16000, 22050, 32000, 48000])
def test_ticks_of_frequency_keep_apart_at_any_rate(rate):
    overview = Overview(rate, 1)
    overview.feed_audio(np.zeros(rate))
    with styled(LIGHT):
        figure = figure_of(overview, [], ["Bark"])
        assert overlapping(figure) == ([], [])
    axes = figure.axes[0]
    for place, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        middle = overview.frequencies[int(place)]
        assert float(text.get_text()) * 1000 == pytest.approx(middle, rel=0.25)
    assert 2 <= len(axes.get_yticks()) <= 7


@pytest.mark.parametrize("hours", [3, 30])
def test_hours_have_an_axis_in_hours(hours):
    seconds = 3600.0 * hours
    overview = recording(seconds, AUDIOSET, sound=False)
    with styled(LIGHT):
        figure = figure_of(overview, events_of(AUDIOSET[:2], seconds), AUDIOSET)
        assert overlapping(figure) == ([], [])
    assert figure.axes[-1].get_xlabel() == "time, h:min"
    assert figure.axes[-1].get_xlim() == (0, seconds)
    assert words(figure, "remark") == ["without its sound"]


def test_classes_by_their_peak_and_events_by_their_onset():
    labels = ["Wind", "Bark", "Rain"]
    overview = Overview(RATE, 3)
    overview.feed_probabilities([[0.1, 0.2, 0.9], [0.3, 0.8, 0.4]], 1.0)
    events = [
        Event(1.0, 2.0, "Bark", 0.8),
        Event(0.0, 1.0, "Rain", 0.9),
        Event(1.5, 2.0, "Rain", 0.7),
    ]
    with styled(LIGHT):
        figure = figure_of(overview, events, labels, top=2)
    assert words(figure, "label") == ["Rain", "Bark", "Rain", "Bark"]
    assert words(figure, "peak") == ["0.90", "0.80", "0.90", "0.80"]
    _, classes, timeline = figure.axes
    np.testing.assert_allclose(classes.images[0].get_array(), [[0.9, 0.4], [0.2, 0.8]])
    assert classes.images[0].get_extent() == [0, 2, 2, 0]
    spans = [
        [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()]
        for bars in timeline.collections
    ]
    assert spans == [[(0, 1), (1.5, 2)], [(1, 2)]]


def test_of_many_classes_those_with_the_highest_scores():
    events = [Event(0.0, 1.0, label, 0.5 + i / 1000) for i, label in enumerate(AUDIOSET[:57])]
    with styled(LIGHT):
        figure = figure_of(recording(2.0, AUDIOSET), events, AUDIOSET, top=0)
    assert set(words(figure, "label")) == set(AUDIOSET[37:57])
    assert "events, of 20 of 57 classes" in words(figure, "heading")
    assert len(figure.axes) == 2  # no panel of no classes


@pytest.mark.parametrize(("threshold", "said"), [(0.5, "no events above 0.5"), (None, "no events")])
def test_no_events(threshold, said):
    with styled(LIGHT):
        figure = figure_of(recording(), [], ["Bark", "Rain"], threshold=threshold)
    assert words(figure, "remark") == [said]


def test_a_short_peak_of_a_long_recording_is_drawn():
    overview = Overview(RATE, 1, most_columns=5000)
    scores = np.zeros((4321, 1), np.float32)
    scores[4000] = 1
    overview.feed_probabilities(scores, 1.0)
    with styled(LIGHT):
        shades = figure_of(overview, [], ["Bark"]).axes[1].images[0]
    values = shades.get_array()[0]
    assert len(values) <= 1000
    assert values.max() == 1
    each = shades.get_extent()[1] / len(values)
    assert values.argmax() * each <= 4000 < (values.argmax() + 1) * each


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_files_are_the_same_every_time(kind, tmp_path):
    overview, before = recording(), dict(matplotlib.rcParams)
    contents = []
    for dark in (False, False, True):
        path = tmp_path / f"a.{kind.upper()}"
        draw(overview, events_of(["Rain"], 2.0), ["Bark", "Rain"], path, title="t", dark=dark)
        contents.append(path.read_bytes())
        file = io.BytesIO()
        draw(
            overview,
            events_of(["Rain"], 2.0),
            ["Bark", "Rain"],
            file,
            title="t",
            dark=dark,
            kind=kind,
        )
        assert file.getvalue() == contents[-1]
    assert contents[0] == contents[1] != contents[2]
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert contents[0].startswith(starts[kind])
    assert dict(matplotlib.rcParams) == before


def test_png_has_the_page_of_its_theme():
    for dark, theme in ((False, LIGHT), (True, DARK)):
        file = io.BytesIO()
        draw(recording(), [], ["Bark", "Rain"], file, dark=dark)
        file.seek(0)
        pixels = image.imread(file)[..., :3]
        wanted = [int(theme.background[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(pixels[0, 0], wanted, atol=1 / 500)


def test_svg_holds_its_text(tmp_path):
    labels = ["Bark <&> $x$", "a\x01b\udcff"]
    draw(recording(2.0, labels), events_of(labels, 2.0), labels, tmp_path / "a.svg", title="a & b")
    root = ET.parse(tmp_path / "a.svg").getroot()
    found = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Bark <&> $x$", "a�b�", "a & b", "time, s", "probability", "events"} <= set(found)


@pytest.mark.parametrize(
    ("file", "said"),
    [("a.gif", r"no pictures of kind 'gif' .*; expected .png, .svg, .pdf"), ("a", "kind ''")],
)
def test_unknown_format(file, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        draw(recording(), [], ["Bark", "Rain"], tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="nothing to draw: the recording is empty"):
        draw(Overview(RATE, 2), [], ["Bark", "Rain"], tmp_path / "a.png")
    with pytest.raises(ValueError, match="1 labels for 2 classes"):
        draw(recording(), [], ["Bark"], tmp_path / "a.png")
    with pytest.raises(OSError):
        draw(recording(), [], ["Bark", "Rain"], tmp_path / "none" / "a.png")
