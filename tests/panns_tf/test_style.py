import itertools

import pytest

from panns_tf.style import DARK, LIGHT, LINES, MARKERS, series_style


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_stand_out():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    for theme in (LIGHT, DARK):
        for colour in (theme.text, theme.muted, *theme.series):
            assert contrast(colour, theme.background) >= 4.5, colour
        assert contrast(theme.bar, theme.background) >= 3
        # The grid is faint on purpose, and a failing example of the same measure.
        assert 1 < contrast(theme.grid, theme.background) < 3
    assert len(LIGHT.colours) == len(DARK.colours) == len(set(LIGHT.colours))


def test_fifteen_series_differ_without_colour():
    styles = [series_style(i, LIGHT) for i in range(15)]
    drawn = [(style["linestyle"], style["marker"]) for style in styles]
    assert len(set(drawn)) == 15
    assert all(a[0] != b[0] and a[1] != b[1] for a, b in itertools.pairwise(drawn))
    assert (len(set(LINES)), len(set(MARKERS))) == (5, 9)
