"""How certain the figures of a task are: over its clips, its folds and its seeds.

A fold's clips are drawn again, with replacement, two thousand times. Clips of one group, such as
pieces of one recording, are drawn together: they succeed and fail together, and count as little
more than one (the cluster bootstrap; Davison and Hinkley 1997, section 3.8).
"""

import dataclasses
import functools
import zlib
from collections.abc import Sequence

import numpy as np
from scipy import special

from panns_tf.ablation.statistics import Estimate, estimate
from panns_tf.metrics.bootstrap import around
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.scoring import BY_CLIP, METRICS, defined

LEVEL = 0.95
REPLICATES = 2000
#: Numbers that the replicates of one class take at a time.
_BLOCK = 4_000_000


def figure(result: FoldResult, metric: str) -> float:
    """Returns a fold's figure; NaN where it has none.

    Raises:
        ValueError: if there is no such metric.
    """
    if metric not in METRICS:
        raise ValueError(f"expected a metric of {', '.join(METRICS)}; received {metric!r}")
    return METRICS[metric](result.target, result.score)


def units(groups: Sequence[str | None]) -> np.ndarray:
    """Numbers what is drawn together, from 0: int64 (clips,); a clip without group is by itself."""
    keys = [number if group is None else f"g{group}" for number, group in enumerate(groups)]
    numbers = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def replicates(
    result: FoldResult, metric: str, count: int = REPLICATES, seed: int = 0
) -> np.ndarray:
    """A fold's figure of resampled clips: float64 (count,), NaN where a draw has none.

    The draws depend on the seed, the fold's name and the number of groups alone, so that they are
    the same for networks tested on the same clips.
    """
    unit = units(result.groups)
    total = int(unit.max(initial=-1)) + 1
    if total < 2:
        return np.full(count, np.nan)
    rng = np.random.default_rng([seed, zlib.crc32(result.fold.encode())])
    found, block = [], max(1, _BLOCK // len(unit))
    for start in range(0, count, block):
        columns = min(block, count - start)
        # Every replicate draws as many units as there are, each in a range of numbers of its own.
        numbers = rng.integers(total, size=(columns, total)) + total * np.arange(columns)[:, None]
        drawn = np.bincount(numbers.ravel(), minlength=columns * total)
        drawn = drawn.reshape(columns, total).T.astype(np.float32, order="C")  # (units, columns)
        found.append(_figures(result, metric, drawn, unit))
    return np.concatenate(found)


def _figures(result: FoldResult, metric: str, drawn: np.ndarray, unit: np.ndarray) -> np.ndarray:
    if metric in BY_CLIP:
        values = BY_CLIP[metric](result.target, result.score)
        return np.bincount(unit, values) @ drawn / (np.bincount(unit).astype(np.float64) @ drawn)
    weights = drawn[unit]  # (clips, columns)
    used = np.flatnonzero(defined(result.target))
    if not used.size:
        return np.full(drawn.shape[1], np.nan)
    rows = [weighted_ap(result.target[:, c] > 0, result.score[:, c], weights) for c in used]
    return _nanmean(np.stack(rows), 0)


def weighted_ap(hits: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision of clips that count several times, ties in one threshold.

    Args:
        hits: (clips,) bool.
        score: (clips,).
        weights: (clips, columns), how often each counts; float32 is exact up to 2**24 in all.

    Returns:
        float64 (columns,); NaN for columns without a positive or without a negative clip.
    """
    order = np.argsort(-score, kind="stable")
    falling, positive = -score[order], np.flatnonzero(hits[order])
    # Of each positive: the last clip of its score, and the last positive.
    last = np.searchsorted(falling, falling[positive], "right") - 1
    last_positive = np.searchsorted(positive, last, "right") - 1
    called = np.cumsum(weights[order], axis=0)  # (clips, columns)
    gained = weights[order[positive]]  # (positives, columns)
    true = np.cumsum(gained, axis=0)[last_positive]
    sums = (gained * (true / np.maximum(called[last], 1))).sum(axis=0, dtype=np.float64)
    positives = gained.sum(axis=0, dtype=np.float64)
    known = (positives > 0) & (positives < called[-1])
    return np.where(known, sums / np.maximum(positives, 1), np.nan)


def wilson(share: float, count: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share of independent trials (Wilson 1927)."""
    z = special.ndtri((1 + level) / 2)
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return float(max(0, middle - half)), float(min(1, middle + half))


def interval(
    result: FoldResult,
    metric: str,
    level: float = LEVEL,
    count: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of a fold's figure, over the choice of its clips.

    Accuracy of clips without groups has Wilson's interval, which holds at a few dozen clips and at
    1, where nothing that is resampled differs. All else is resampled; where replicates of a mean
    over clips do not differ, Wilson's with as many trials as there are groups stands in. The
    spread of replicates is that of n - 1 groups rather than n, as of any variance, and is widened
    so.

    Args:
        result: of a fold.
        metric: one of `METRICS`.
        level: of confidence.
        count: replicates.
        seed: of the draws.

    Returns:
        ``low`` and ``high`` in [0, 1]; NaN where there is no figure, a single group, or a perfect
        mAP.
    """
    value = figure(result, metric)
    if np.isnan(value):
        return np.nan, np.nan
    if metric == "accuracy" and _independent(result):
        return wilson(value, len(result.clip_ids), level)
    return _ends(metric, value, _widened(result, metric, count, seed), _total(result), level)


def _independent(result: FoldResult) -> bool:
    return _total(result) == len(result.clip_ids)


def _total(result: FoldResult) -> int:
    return len(np.unique(units(result.groups)))


class _Same:
    """A result that is equal to itself alone, so that what was computed of it is found again."""

    def __init__(self, result: FoldResult):
        self.result = result

    def __eq__(self, other) -> bool:
        return isinstance(other, _Same) and self.result is other.result

    def __hash__(self) -> int:
        return id(self.result)


def _widened(result: FoldResult, metric: str, count: int, seed: int) -> np.ndarray:
    return _deviations(_Same(result), metric, count, seed)


@functools.lru_cache(maxsize=256)  # a page, its files and what is printed ask for the same
def _deviations(same: _Same, metric: str, count: int, seed: int) -> np.ndarray:
    """Deviations of replicates from their mean, (count,)."""
    result = same.result
    values, total = replicates(result, metric, count, seed), _total(result)
    if total < 2 or np.isnan(values).all():
        return np.full(count, np.nan)
    return (values - np.nanmean(values)) * np.sqrt(total / (total - 1))


def _ends(metric: str, value: float, deviations: np.ndarray, total: int, level: float):
    low, high = around(value, deviations, level)
    if high - low < 1e-12:
        return wilson(value, total, level) if metric in BY_CLIP and total > 1 else (np.nan, np.nan)
    # NaN passes through Python's max and min as their first argument.
    return float(max(low, 0.0)), float(min(high, 1.0))


@dataclasses.dataclass(frozen=True)
class Overall:
    """The figure of a task: the mean of its folds' figures, over all seeds.

    Attributes:
        metric: its name.
        value: the mean; NaN where no fold has a figure.
        low, high: its 95 % interval over the choice of clips, given the networks; NaN for none.
        folds, seeds: how many of each there are.
        fold_spread: standard deviation of the folds' figures, each the mean over its seeds; NaN for
            one fold.
        seed_spread: standard deviation over seeds of their means over folds; NaN for one seed.
        over_seeds: the mean over seeds with its interval by Student's t, which is over the
            training's chance given the clips; None where no seed has a figure.
        notes: what does not exist, a line each.
    """

    metric: str
    value: float
    low: float
    high: float
    folds: int
    seeds: int
    fold_spread: float
    seed_spread: float
    over_seeds: Estimate | None
    notes: tuple[str, ...] = ()


def overall(
    results: Sequence[FoldResult],
    metric: str,
    level: float = LEVEL,
    count: int = REPLICATES,
    seed: int = 0,
) -> Overall:
    """Returns the figure that the paper gives: the mean over folds.

    The interval resamples the clips of every fold, the same draw for all seeds of a fold.

    Args:
        results: of all folds and seeds, with one number of training clips for each class.
        metric, level, count, seed: as for `interval`.

    Raises:
        ValueError: if there is no result, or a fold has two results of a seed.
    """
    if not results:
        raise ValueError("no result of a fold; expected at least one")
    figures: dict[int, dict[str, float]] = {}
    for result in results:
        of_seed = figures.setdefault(result.seed, {})
        if result.fold in of_seed:
            raise ValueError(
                f"fold {result.fold} comes twice with seed {result.seed}; expected results of one "
                "number of clips for each class"
            )
        of_seed[result.fold] = figure(result, metric)
    folds = list(dict.fromkeys(result.fold for result in results))
    table = np.array([[row.get(fold, np.nan) for fold in folds] for row in figures.values()])
    per_seed, per_fold = _nanmean(table, 1), _nanmean(table, 0)
    value = float(_nanmean(per_seed, 0))
    deviations = {}  # by seed and fold
    for result in results:
        if not np.isnan(figures[result.seed][result.fold]):
            deviations[result.seed, result.fold] = _widened(result, metric, count, seed)
    low = high = np.nan
    if len(results) == 1:
        low, high = interval(results[0], metric, level, count, seed)
    elif deviations:
        by_seed = [
            np.mean([d for (of, _), d in deviations.items() if of == s], axis=0)
            for s in dict.fromkeys(s for s, _ in deviations)
        ]
        tested = {result.fold: _total(result) for result in results}
        low, high = _ends(metric, value, np.mean(by_seed, axis=0), sum(tested.values()), level)
    known = per_seed[~np.isnan(per_seed)]
    return Overall(
        metric,
        value,
        low,
        high,
        len(folds),
        len(figures),
        _spread(per_fold),
        _spread(per_seed),
        estimate([float(x) for x in known], level),
        _notes(figures, folds, metric, low),
    )


def _notes(figures: dict, folds: list[str], metric: str, low: float) -> tuple[str, ...]:
    notes = []
    for seed, row in figures.items():
        absent = [fold for fold in folds if fold not in row]
        without = [fold for fold, value in row.items() if np.isnan(value)]
        if absent:
            notes.append(f"seed {seed} lacks fold {', '.join(absent)}: its mean is over the others")
        if without:
            notes.append(f"fold {', '.join(without)} of seed {seed} has no {metric}: left out")
    if np.isnan(low):
        notes.append(f"{metric} has no interval: resampled clips do not differ, or have no figure")
    return tuple(notes)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    return np.where(
        count > 0, np.where(known, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan
    )


def _spread(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.std(known, ddof=1)) if known.size > 1 else float("nan")
