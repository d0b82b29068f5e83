"""Style of every picture: colours for light and dark pages, line styles, sizes, adaptive SVG."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator

DPI = 200
#: Points.
TEXT_SIZE, SMALL_SIZE = 9.0, 8.0

#: Series differ without colour too: 7 colours, 5 line styles and 9 markers repeat after 315.
LINES = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)), (0, (9, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours as ``#rrggbb``; contrast is at least 4.5 for text and series, 3 for bars (WCAG 2)."""

    background: str
    text: str  # titles and class names
    muted: str  # ticks, axes and remarks
    bar: str
    grid: str
    series: tuple[str, ...]  # in order, after Okabe and Ito, for colour-blind readers

    @property
    def colours(self) -> tuple[str, ...]:
        """All colours, in an order that is the same for every theme."""
        return (self.background, self.text, self.muted, self.bar, self.grid, *self.series)


LIGHT = Theme(
    "#ffffff",
    "#1f2328",
    "#59636e",
    "#8a939e",
    "#dfe4e9",
    ("#0063a6", "#b84a00", "#00765a", "#a63d86", "#7d5f00", "#33393f", "#2374a0"),
)
#: For GitHub's dark page; each colour is the counterpart of the same one in `LIGHT`.
DARK = Theme(
    "#0d1117",
    "#f0f6fc",
    "#9ba4ae",
    "#6e7781",
    "#2a3038",
    ("#58a6ff", "#f0883e", "#3fc9a0", "#e58fd0", "#d8b240", "#e6edf3", "#86d6f7"),
)


def series_style(index: int, theme: Theme) -> dict:
    """Returns colour, line style and marker of a series, as keywords of matplotlib."""
    return {
        "color": theme.series[index % len(theme.series)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


@contextlib.contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Context in which new figures have a theme, and saved files are the same every time.

    The settings are matplotlib's global ones and are put back; they are not thread-safe.
    """
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
        "legend.fontsize": SMALL_SIZE,
        "legend.frameon": False,
        "lines.linewidth": 1.7,
        "lines.markersize": 4.0,
        "svg.fonttype": "none",
        "svg.hashsalt": "panns_tf",
        "text.parse_math": False,  # class names and file names may hold dollar signs
        "xtick.labelsize": SMALL_SIZE,
        "xtick.major.size": 3,
        "ytick.labelsize": SMALL_SIZE,
        "ytick.major.size": 3,
    }
    with matplotlib.rc_context(settings):
        yield


def adaptive_svg(figure) -> str:
    """A figure drawn in `LIGHT` as SVG that follows the reader's light or dark system.

    Text stays text. Programs without media queries, such as converters to PDF, use the light one.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    rules = "".join(
        f'  [style*="{key}: {light}"] {{ {key}: {dark} !important }}\n'
        for light, dark in zip(LIGHT.colours, DARK.colours, strict=True)
        for key in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark) {{\n{rules}}}</style>\n"
    text = re.sub(r"[ \t]+$", "", file.getvalue(), flags=re.MULTILINE)
    return re.sub(r"(<svg [^>]*>\n)", lambda match: match[1] + style, text, count=1)
