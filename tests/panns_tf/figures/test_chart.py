import csv
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
from matplotlib import image
from matplotlib.figure import Figure

from panns_tf.figures.chart import Chart
from panns_tf.style import DARK, LIGHT


def chart() -> Chart:
    def draw(theme):
        figure = Figure((3, 2))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([0, 1], [0, 1], color=theme.series[0])
        axes.set_title("rain & <wind>")
        return figure

    return Chart("a", [{"x": 1, "y": 0.1 + 0.2}, {"x": 2, "y": None}], draw)


def test_files_are_light_dark_and_the_same_every_time(tmp_path):
    before = dict(matplotlib.rcParams)
    first, second = (chart().save(tmp_path / name) for name in ("new", "b"))
    assert dict(matplotlib.rcParams) == before
    assert [path.name for path in first] == ["a.png", "a-dark.png", "a.svg", "a.csv"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    for path, theme in zip(first, (LIGHT, DARK), strict=False):
        pixels = image.imread(path)[..., :3]
        assert pixels.shape == (400, 600, 3)
        wanted = np.array([int(theme.background[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        np.testing.assert_allclose(pixels[0, 0], wanted, atol=1 / 500)
        assert 0.005 < (np.abs(pixels - wanted) > 0.1).any(axis=2).mean() < 0.5
    assert list(csv.reader(first[3].open())) == [["x", "y"], ["1", "0.3"], ["2", ""]]


def test_svg_has_text_and_turns_dark(tmp_path):
    text = chart().save(tmp_path)[2].read_text()
    root = ET.fromstring(text)
    words = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "rain & <wind>" in words
    style = next(root.iter("{http://www.w3.org/2000/svg}style")).text
    assert style.startswith("@media (prefers-color-scheme: dark)")
    for key, light, dark in (
        ("fill", LIGHT.background, DARK.background),
        ("stroke", LIGHT.series[0], DARK.series[0]),
        ("fill", LIGHT.text, DARK.text),
    ):
        assert f'style="{key}: {light}' in text or f"; {key}: {light}" in text
        assert f'[style*="{key}: {light}"] {{ {key}: {dark} !important }}' in style
