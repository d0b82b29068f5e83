import itertools

import pytest

from panns_tf.plots.style import DARK, LIGHT, LINES, MARKS, contrast, series_style, text_width


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out(theme):
    for colour in (theme.text, theme.muted, *theme.series):
        assert contrast(colour, theme.background) >= 4.5, colour
    assert contrast(theme.bar, theme.background) >= 3
    # The grid is there to be overlooked, and a failing example of the same measure.
    assert 1 < contrast(theme.grid, theme.background) < 3


def test_dark_is_githubs_page_and_every_colour_has_its_counterpart():
    assert DARK.background == "#0d1117"
    assert len(LIGHT.colours) == len(DARK.colours) == len(set(LIGHT.colours))


def test_contrast_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#123456", "#123456") == 1


def test_no_two_of_fifteen_series_look_alike_without_colour():
    looks = [
        (series_style(i, LIGHT)["linestyle"], series_style(i, LIGHT)["marker"]) for i in range(15)
    ]
    assert len(set(looks)) == 15
    assert all(a[0] != b[0] and a[1] != b[1] for a, b in itertools.pairwise(looks))
    assert len(set(LINES)) == 5
    assert len(set(MARKS)) == 9


def test_widths_are_in_inches():
    assert 0 < text_width("i") < text_width("m") < text_width("mm", 18)
    assert text_width("m", 9) == pytest.approx(text_width("m", 18) / 2, rel=0.1)
