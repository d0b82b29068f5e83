"""Marks with names beside them that cover neither each other nor a mark."""

import dataclasses
import math
from collections.abc import Sequence

from panns_tf.plots.style import SMALL_SIZE, text_width

#: Inches.
MARK, HEIGHT = 0.075, 1.25 * SMALL_SIZE / 72
DISTANCES = (0.03, 0.1, 0.2, 0.3, 0.42, 0.56, 0.72, 0.9, 1.1, 1.35, 1.6)
#: To the right, left, above, below, and between; the first that is free is taken.
_DIRECTIONS = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]
_DIRECTIONS += [(1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5), (0.5, 1), (0.5, -1), (-0.5, 1)]


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle, in inches."""

    left: float
    bottom: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """The area that both cover."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        up = min(self.bottom + self.height, other.bottom + other.height)
        up -= max(self.bottom, other.bottom)
        return max(across, 0) * max(up, 0)

    def outside(self, width: float, height: float) -> float:
        """The area beyond a frame from (0, 0)."""
        return self.width * self.height - self.overlap(Box(0, 0, width, height))


def place_names(
    points: Sequence[tuple[float, float]], names: Sequence[str], width: float, height: float
) -> list[Box]:
    """Finds a place for each name.

    Args:
        points: of the marks, in inches from the lower left corner of the axes.
        names: one for each mark.
        width, height: of the axes, in inches.

    Returns:
        Where each name stands.
    """
    marks = [Box(x - MARK, y - MARK, 2 * MARK, 2 * MARK) for x, y in points]
    # Where it is crowded there is least choice.
    crowd = [sum(math.dist(one, other) < 0.8 for other in points) for one in points]
    order = sorted(range(len(points)), key=lambda i: -crowd[i])
    placed: dict[int, Box] = {}
    for i in order:
        best, least = None, math.inf
        for box, far in _candidates(points[i], text_width(names[i], SMALL_SIZE) * 1.03):
            covered = sum(box.overlap(other) for other in (*marks, *placed.values()))
            cost = 1000 * (covered + box.outside(width, height)) + far
            if cost < least:
                best, least = box, cost
        placed[i] = best
    return [placed[i] for i in range(len(points))]


def _candidates(point: tuple[float, float], width: float):
    for distance in DISTANCES:
        for x, y in _DIRECTIONS:
            away = MARK + distance
            left = point[0] + x * away - (width if x < 0 else width / 2 if x == 0 else 0)
            bottom = point[1] + y * away - (HEIGHT if y < 0 else HEIGHT / 2 if y == 0 else 0)
            yield Box(left, bottom, width, HEIGHT), distance * (1 + 0.01 * abs(y))


def draw_names(axes, points, names, colours, width: float, height: float) -> None:
    """Writes the names, with a thin line to a mark that is not next to its name.

    Args:
        axes: whose limits are final.
        points: in data units.
        names, colours: one for each.
        width, height: of the axes, in inches.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    inches = [tuple(to_axes.transform(point) * (width, height)) for point in points]
    boxes = place_names(inches, names, width, height)
    for (x, y), box, name, colour in zip(inches, boxes, names, colours, strict=True):
        near = (
            min(max(x, box.left), box.left + box.width),
            min(max(y, box.bottom), box.bottom + box.height),
        )
        shared = {"transform": axes.transAxes, "clip_on": False}
        if math.dist((x, y), near) > MARK + 0.06:
            axes.plot(
                [x / width, near[0] / width],
                [y / height, near[1] / height],
                color=colour,
                lw=0.5,
                zorder=1,
                **shared,
            )
        axes.text(
            box.left / width,
            (box.bottom + box.height / 2) / height,
            name,
            color=colour,
            fontsize=SMALL_SIZE,
            va="center_baseline",
            gid="label",
            **shared,
        )
