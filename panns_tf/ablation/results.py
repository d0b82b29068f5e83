"""The figures of finished runs, row by row, and what they say together."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

from panns_tf.ablation.grid import METRICS, Grid, Row
from panns_tf.ablation.plan import Plan
from panns_tf.ablation.runs import State, state_of
from panns_tf.ablation.statistics import Estimate, estimate, sign_flip


@dataclasses.dataclass(frozen=True)
class Line:
    """A row with its runs: their states by seed."""

    row: Row
    states: Mapping[int, State]

    @property
    def finished(self) -> list[State]:
        """The states of finished runs."""
        return [state for state in self.states.values() if state.status == "finished"]

    def values(self, metric: str) -> dict[int, float]:
        """A figure by seed, of finished runs in which it is a number."""
        found = {seed: state.values.get(metric) for seed, state in self.states.items()}
        return {seed: float(value) for seed, value in found.items() if value is not None}

    def estimate(self, metric: str) -> Estimate | None:
        """The mean over seeds; None if there is none."""
        return estimate(list(self.values(metric).values()))


@dataclasses.dataclass(frozen=True)
class Difference:
    """A paired difference over seeds.

    Attributes:
        estimate: its mean and interval.
        p: of the sign-flip test.
    """

    estimate: Estimate
    p: float


@dataclasses.dataclass(frozen=True)
class Direction:
    """Two neighbouring rows with published figures, and whether their order is the paper's.

    Attributes:
        first, second: the rows.
        published: mAP of the second minus that of the first, in the paper.
        difference: the same of these runs; None without seeds in common.
    """

    first: Row
    second: Row
    published: float
    difference: Difference | None

    @property
    def agrees(self) -> bool | None:
        """Whether the signs are the same; None where one is zero or nothing was measured."""
        if self.difference is None or not self.published or not self.difference.estimate.mean:
            return None
        return (self.published > 0) == (self.difference.estimate.mean > 0)


def lines_of(plan: Plan) -> list[Line]:
    """Reads every run."""
    states = {(cell.row.slug, cell.seed): state_of(cell) for cell in plan.cells}
    return [
        Line(row, {seed: states[row.slug, seed] for seed in plan.seeds}) for row in plan.grid.rows
    ]


def contrast(weights: Sequence[tuple[float, Line]], metric: str) -> Difference | None:
    """A weighted sum of rows, seed by seed; None without a seed that all of them have."""
    found = [(weight, line.values(metric)) for weight, line in weights]
    seeds = set.intersection(*(set(values) for _, values in found))
    each = [sum(weight * values[seed] for weight, values in found) for seed in sorted(seeds)]
    mean = estimate(each)
    return None if mean is None else Difference(mean, sign_flip(each))


def difference(line: Line, other: Line, metric: str) -> Difference | None:
    """A row minus another, paired by seed."""
    return contrast([(1.0, line), (-1.0, other)], metric)


def directions(lines: Sequence[Line]) -> list[Direction]:
    """Compares each row that has a published mAP with the one before it."""
    published = [line for line in lines if "mAP" in line.row.published]
    return [
        Direction(
            a.row,
            b.row,
            round(b.row.published["mAP"] - a.row.published["mAP"], 9),
            difference(b, a, "mAP"),
        )
        for a, b in itertools.pairwise(published)
    ]


def effects(grid: Grid, lines: Sequence[Line], metric: str) -> dict[str, Difference | None]:
    """The effects of a grid's factors and the interactions of each two of them.

    The effect of a level is how much more it gives than the first row's level, averaged over the
    levels of the other factors. The interaction of two is how much more the effect of one is
    with the other than without it.

    Returns:
        By what it is an effect of; an empty dictionary if rows are lacking.
    """
    places = {tuple(line.row.settings[name] for name in grid.factors): line for line in lines}
    levels = [list(dict.fromkeys(each)) for each in zip(*places, strict=True)]
    whole = list(itertools.product(*levels))
    if not grid.factors or set(whole) != set(places):
        return {}

    def effect(sign: Callable[[tuple], int], scale: int = 1) -> Difference | None:
        signs = {place: sign(place) for place in whole}
        share = sum(value > 0 for value in signs.values()) / scale
        return contrast([(s / share, places[p]) for p, s in signs.items() if s], metric)

    found = {}
    changes = [
        (axis, level)
        for axis, names in enumerate(levels)
        for level in names[1:]  # the first is what they are compared with
    ]
    for axis, level in changes:
        name = f"{grid.factors[axis]}: {_word(levels[axis][0])} to {_word(level)}"
        found[name] = effect(lambda place, a=axis, v=level: _sign(place, levels, a, v))
    for (a, v), (b, w) in itertools.combinations(changes, 2):
        if a == b:
            continue
        name = f"interaction of {grid.factors[a]} {_word(v)} and {grid.factors[b]} {_word(w)}"
        found[name] = effect(
            lambda place, a=a, v=v, b=b, w=w: (
                _sign(place, levels, a, v) * _sign(place, levels, b, w)
            ),
            scale=2,  # a difference of differences adds two rows and takes two away
        )
    return found


def _sign(place: tuple, levels: list[list], axis: int, level) -> int:
    """1 where a factor has the level, -1 where it has the first one, else 0."""
    return 1 if place[axis] == level else -1 if place[axis] == levels[axis][0] else 0


def _word(level) -> str:
    return ("off", "on")[level] if isinstance(level, bool) else str(level)


def undefined(line: Line, metric: str) -> int:
    """In how many finished runs a figure is no number: d-prime of a perfect ranking."""
    return len(line.finished) - len(line.values(metric)) if metric in METRICS else 0
