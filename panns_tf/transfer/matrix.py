"""A confusion matrix as a drawing, coloured by the page's style sheet."""

from collections.abc import Sequence

import numpy as np

from panns_tf.evaluation.html import text

#: Widths in the drawing's units: of a letter, of a label at most.
_LETTER, _LONGEST = 6.2, 24
#: Up to so many classes the counts are written into the cells.
_WRITTEN = 25


def draw_matrix(matrix: np.ndarray, labels: Sequence[str]) -> str:
    """Returns a confusion matrix as SVG.

    A row is a true class; the darker a cell, the larger its share of the row. What is right lies on
    the diagonal, in another colour than what is not.

    Args:
        matrix: (true classes, predicted classes), counts.
        labels: of the classes.
    """
    classes = len(labels)
    cell = 30 if classes <= 12 else 24 if classes <= _WRITTEN else 13
    names = [label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…" for label in labels]
    left = 12 + _LETTER * max(map(len, names))
    top = left * 0.8 + 6  # names are turned by 53 degrees
    size = cell * classes
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    parts = []
    for row in range(classes):
        middle = top + cell * (row + 0.5)
        parts.append(
            f'<text x="{left - 6:g}" y="{middle + 3.5:g}" class="end">{text(names[row])}</text>'
        )
        across = left + cell * (row + 0.5)
        parts.append(
            f'<text transform="translate({across + 3:g} {top - 6:g}) rotate(-53)">'
            f"{text(names[row])}</text>"
        )
        parts += [
            _cell(row, column, matrix, shares, labels, (left, top, cell))
            for column in range(classes)
        ]
    frame = f'<rect x="{left:g}" y="{top:g}" width="{size}" height="{size}" fill="none"'
    parts.append(f'{frame} style="stroke:var(--line)"/>')
    width, height = left + size + left * 0.6, top + size + 4
    right = int(np.trace(matrix))
    alt = f"Confusion matrix: {right} of {int(matrix.sum())} clips on the diagonal"
    return (
        f'<svg class="chart" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'style="max-width:{width:.0f}px;min-width:{width * 0.7:.0f}px" '
        f'aria-label="{text(alt)}">{"".join(parts)}</svg>'
    )


def _cell(row: int, column: int, matrix, shares, labels, place: tuple[float, float, int]) -> str:
    left, top, cell = place
    x, y, count = left + cell * column, top + cell * row, int(matrix[row, column])
    if not count:
        faint = "var(--tint)" if row == column else "var(--panel)"
        return (
            f'<rect x="{x + 0.5:g}" y="{y + 0.5:g}" width="{cell - 1}" height="{cell - 1}" '
            f'style="fill:{faint};fill-opacity:{0.5 if row == column else 1}"/>'
        )
    share = float(shares[row, column])
    colour = "var(--first)" if row == column else "var(--second)"
    written = len(labels) <= _WRITTEN
    # Where numbers are written, the page's ink must stay readable, on dark and on light ground.
    strength = 0.12 + 0.43 * share if written else 0.2 + 0.8 * share
    taken = "right" if row == column else f"taken for {labels[column]}"
    title = f"{labels[row]}: {count} of {int(matrix[row].sum())} {taken}"
    drawn = (
        f'<rect x="{x + 0.5:g}" y="{y + 0.5:g}" width="{cell - 1}" height="{cell - 1}" '
        f'style="fill:{colour};fill-opacity:{strength:.2f}">'
        f"<title>{text(title)}</title></rect>"
    )
    if written:
        drawn += (
            f'<text x="{x + cell / 2:g}" y="{y + cell / 2 + 4:g}" class="middle" '
            f'style="fill:var(--ink);pointer-events:none">{count}</text>'
        )
    return drawn
