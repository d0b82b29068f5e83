import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from panns_tf.plots.lines import Line, Point
from panns_tf.plots.panels import Panel, draw_panels, spread
from panns_tf.plots.scatter import Box, place_names
from panns_tf.plots.style import LIGHT, styled


def overlaps(figure) -> list[tuple[str, str]]:
    """Pairs of labels that cover each other, and labels beyond the figure, as they are drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_gid() == "label"]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    page = figure.bbox
    beyond = [
        (name, "the page")
        for name, box in boxes
        if box.x0 < 0 or box.y0 < 0 or box.x1 > page.x1 or box.y1 > page.y1
    ]
    pairs = itertools.combinations(boxes, 2)
    return beyond + [(a, b) for (a, first), (b, second) in pairs if first.overlaps(second)]


def panel(count: int, apart: float) -> Panel:
    lines = tuple(
        Line(f"Wavegram_Logmel_Cnn14 number {i}", (Point(0, 0, 0, 0, 1), Point(9, y, y, y, 1)))
        for i, y in enumerate(0.4 + apart * i for i in range(count))
    )
    return Panel("title", lines, "steps", "mAP")


@pytest.mark.parametrize("count", [1, 2, 15, 25])
@pytest.mark.parametrize("apart", [0.0, 0.001, 0.1])
def test_labels_do_not_overlap(count, apart):
    with styled(LIGHT):
        figure = draw_panels([panel(count, apart), panel(2, apart), panel(3, apart)], LIGHT, "note")
    assert overlaps(figure) == []


def test_overlaps_are_found(monkeypatch):
    monkeypatch.setattr("panns_tf.plots.panels.spread", lambda wanted, *_: list(wanted))
    with styled(LIGHT):
        figure = draw_panels([panel(3, 0.0)], LIGHT)
    assert len(overlaps(figure)) == 3


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.52, 0.48, 0.9], [0.55, 0.45, 0.9]),
        ([0.0, 0.0, 0.0], [0.05, 0.15, 0.25]),
        ([1.0, 1.0], [0.85, 0.95]),
    ],
)
def test_spread(wanted, expected):
    assert spread(wanted, 0.1, 0.05, 0.95) == pytest.approx(expected)


def test_names_beside_marks():
    points = [(1 + 0.05 * i, 1 + 0.02 * i) for i in range(8)] + [(3.9, 2.9), (0.05, 0.05)]
    names = ["Wavegram_Cnn14"] * len(points)
    boxes = place_names(points, names, 4.0, 3.0)
    assert all(a.overlap(b) == 0 for a, b in itertools.combinations(boxes, 2))
    assert max(box.outside(4.0, 3.0) for box in boxes) < 1e-9


def test_boxes():
    assert Box(0, 0, 2, 2).overlap(Box(1, 1, 2, 2)) == 1
    assert Box(0, 0, 1, 1).overlap(Box(1, 0, 1, 1)) == 0
    assert Box(-1, 0, 2, 1).outside(5, 5) == 1
