"""Colours, line styles and sizes: readable in print, in black and white, and on a dark page."""

import contextlib
import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Theme:
    """The colours of one figure, as lower-case ``#rrggbb``.

    Text, marks and lines have a contrast of at least 4.5 with the background, bars and hollow
    marks' edges of at least 3; the grid alone is fainter.

    Attributes:
        background: of the page.
        text: of titles and class names.
        muted: of ticks, axes and remarks.
        bar: fill of bars.
        grid: lines behind everything.
        series: for lines and marks, in order; after Okabe and Ito, so that the colour-blind can
            tell neighbours apart.
    """

    background: str
    text: str
    muted: str
    bar: str
    grid: str
    series: tuple[str, ...]

    @property
    def colours(self) -> tuple[str, ...]:
        """All of them, in an order that is the same for every theme."""
        return (self.background, self.text, self.muted, self.bar, self.grid, *self.series)


LIGHT = Theme(
    "#ffffff",
    "#1f2328",
    "#59636e",
    "#8a939e",
    "#dfe4e9",
    ("#0063a6", "#b84a00", "#00765a", "#a63d86", "#7d5f00", "#33393f", "#2374a0"),
)
#: On GitHub's dark page; each colour takes the place of the same one in `LIGHT`.
DARK = Theme(
    "#0d1117",
    "#f0f6fc",
    "#9ba4ae",
    "#6e7781",
    "#2a3038",
    ("#58a6ff", "#f0883e", "#3fc9a0", "#e58fd0", "#d8b240", "#e6edf3", "#86d6f7"),
)

#: Lines are told apart without colour too; 7 colours, 5 styles and 9 marks repeat after 315.
LINES = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)), (0, (9, 2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

#: Points.
TEXT_SIZE, SMALL_SIZE = 9.0, 8.0


def series_style(index: int, theme: Theme) -> dict:
    """The colour, line style and mark of the series of this number, as matplotlib's keywords."""
    return {
        "color": theme.series[index % len(theme.series)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKS[index % len(MARKS)],
    }


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 to 1 (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@contextlib.contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Within it, new figures have these colours and sizes, and files are the same every time."""
    import matplotlib

    settings = dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), theme.muted)
    settings |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), theme.text)
    settings |= dict.fromkeys(("figure.facecolor", "savefig.facecolor"), theme.background)
    settings |= {
        "axes.facecolor": "none",
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.linewidth": 0.8,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": TEXT_SIZE + 1,
        "axes.titleweight": "bold",
        "axes.unicode_minus": False,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans", "Verdana"],
        "font.size": TEXT_SIZE,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "xtick.labelsize": SMALL_SIZE,
        "ytick.labelsize": SMALL_SIZE,
        "lines.linewidth": 1.7,
        "lines.markersize": 4.0,
        "svg.fonttype": "none",
        "svg.hashsalt": "panns_tf",
    }
    with matplotlib.rc_context(settings):
        yield


def text_width(text: str, size: float = TEXT_SIZE, bold: bool = False) -> float:
    """How wide a line of text is, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
