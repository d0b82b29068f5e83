import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from panns_tf.plots.chart import Chart, as_csv, as_text
from panns_tf.plots.style import DARK, LIGHT


def chart(name: str = "a") -> Chart:
    def draw(theme):
        figure = Figure((3, 2))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([0, 1], [0, 1], color=theme.series[0])
        axes.set_title("rain & <wind>")
        return figure

    return Chart(name, [{"x": 1, "y": 0.125}, {"x": 2, "y": None}], draw, [("x",), (1,)])


def test_files(tmp_path):
    paths = chart().save(tmp_path / "new")
    assert [path.name for path in paths] == ["a.png", "a-dark.png", "a.svg", "a.csv"]
    for path, theme in zip(paths, (LIGHT, DARK), strict=False):
        pixels = image.imread(path)[..., :3]
        assert pixels.shape == (400, 600, 3)
        wanted = np.array([int(theme.background[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        np.testing.assert_allclose(pixels[0, 0], wanted, atol=1 / 500)
        assert 0.005 < (np.abs(pixels - wanted) > 0.1).any(axis=2).mean() < 0.5
    assert paths[3].read_text() == "x,y\n1,0.125\n2,\n"


def test_svg_has_text_and_turns_dark(tmp_path):
    text = chart().save(tmp_path)[2].read_text()
    root = ET.fromstring(text)
    words = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "rain & <wind>" in words
    style = next(root.iter("{http://www.w3.org/2000/svg}style")).text
    assert style.startswith("@media (prefers-color-scheme: dark)")
    assert style.count("{") == style.count("}") == 1 + 2 * len(LIGHT.colours)
    for key, light, dark in (
        ("fill", LIGHT.background, DARK.background),
        ("stroke", LIGHT.series[0], DARK.series[0]),
        ("fill", LIGHT.text, DARK.text),
    ):
        assert f'style="{key}: {light}' in text or f"; {key}: {light}" in text
        assert f'[style*="{key}: {light}"] {{ {key}: {dark} !important }}' in style


def test_files_are_the_same_every_time_and_leave_settings_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    first, second = (chart().save(tmp_path / name) for name in ("a", "b"))
    assert dict(matplotlib.rcParams) == before
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert chart().figure(DARK).get_facecolor() == matplotlib.colors.to_rgba(DARK.background)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_undefined_is_an_empty_cell(value):
    assert as_csv([{"a": value, "b": 0.0}]) == "a,b\n,0\n"


def test_table():
    table = [("name", "value"), ("a", 0.5), ("long", float("nan")), ("c", 12)]
    assert as_text(table).split("\n") == [
        "name  value",
        "a        0.5000",
        "long  undefined",
        "c            12",
    ]
    assert as_text(table, most=1).endswith("... and 2 more, in the CSV")
