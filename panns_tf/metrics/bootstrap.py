"""Uncertainty of figures: estimates with intervals, and the bootstrap over clips or clusters.

A replicate draws as many clips as there are, with replacement (Efron 1979). Clips of a cluster,
such as pieces of one recording, are drawn together, as they succeed and fail together (Davison and
Hinkley 1997, section 3.8). Every class is sorted once, for all replicates.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse, stats

from panns_tf.metrics.ranking import checked, class_rows
from tfrecords.progress import progress

#: Of every interval.
LEVEL = 0.95
#: What undefined values are shown as.
NONE = "–"
# Replicates at a time: their counts of 18,887 clips are 5 MB, most of a processor's cache.
_BLOCK, _LARGEST_BLOCK = 64, 2**26

Seed = int | Sequence[int]


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A number for a person, or a difference with its sign; what is undefined is a dash."""
    if value is None or math.isnan(value):
        return NONE
    text = "∞" if math.isinf(value) else f"{abs(value):,.{digits}f}"
    return ("−" if value < 0 else "+" if signed and value > 0 else "") + text


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval, NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def ends(self) -> tuple[float, ...]:
        """Both ends of the interval, or none."""
        return () if math.isnan(self.low) or math.isnan(self.high) else (self.low, self.high)

    def between(self, digits: int = 3, signed: bool = False) -> str:
        """The interval for a person, such as ``0.100 to 0.140``; empty where there is none."""
        return " to ".join(number(end, digits, signed) for end in self.ends)

    def text(self, digits: int = 3, signed: bool = False) -> str:
        """For a person, such as ``0.120 (0.100 to 0.140)``."""
        between = self.between(digits, signed)
        return number(self.value, digits, signed) + (f" ({between})" if between else "")


def mean_estimate(values: Sequence[float]) -> Estimate:
    """The mean of some runs' values with Student's interval, which a single one does not have."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return Estimate(mean, mean - half, mean + half)


def share_estimate(hits: int, trials: int) -> Estimate:
    """A share, such as accuracy, with Wilson's interval."""
    low, high = stats.binomtest(int(hits), trials).proportion_ci(LEVEL, method="wilson")
    return Estimate(hits / trials, float(low), float(high))


def around(estimate: float, replicates: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The middle ``level`` of replicates (n,), moved so that their mean is the estimate.

    Clips drawn twice lift average precision, so only the spread counts. NaN if any is infinite.
    """
    values = np.asarray(replicates, np.float64)
    values = values[~np.isnan(values)]
    if not values.size or not np.isfinite([estimate, *values]).all():
        return np.nan, np.nan
    low, high = np.quantile(values, tails(level)) - values.mean()
    return float(estimate + low), float(estimate + high)


def share_around(
    estimate: float, replicates: np.ndarray, level: float = LEVEL
) -> tuple[float, float]:
    """`around` for a metric in [0, 1]; NaN where replicates do not differ."""
    low, high = around(estimate, replicates, level)
    return (max(low, 0.0), min(high, 1.0)) if low < high else (np.nan, np.nan)


def tails(level: float) -> np.ndarray:
    """The shares at which an interval of a level begins and ends."""
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, such as 0.95; received {level}")
    return np.array([(1 - level) / 2, (1 + level) / 2])


def resample_counts(
    units: int, replicates: int, seed: Seed, dtype: np.dtype = np.float32, block: int = _BLOCK
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields which replicates, and (units, of them) how often each drew each unit."""
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, block):
        which = slice(start, min(start + block, replicates))
        counts = np.empty((which.stop - start, units), dtype)
        for row in counts:
            row[:] = np.bincount(rng.integers(units, size=units), minlength=units)
        yield which, np.ascontiguousarray(counts.T)


def mean_replicates(
    values: np.ndarray, replicates: int, seed: Seed, clusters: np.ndarray
) -> np.ndarray:
    """A mean over clips, (clips,), such as accuracy, in every replicate: float64 (replicates,)."""
    total, size = np.bincount(clusters, values), np.bincount(clusters).astype(np.float64)
    drawn = resample_counts(len(total), replicates, seed)
    return np.concatenate([(total @ counts) / (size @ counts) for _, counts in drawn])


def class_replicates(
    target, score, replicates: int, seed: Seed = 0, clusters: np.ndarray | None = None
) -> np.ndarray:
    """AP and AUC of each class in every replicate, float32 (2, replicates, classes)."""
    if replicates < 0 or replicates == 1:
        raise ValueError(f"expected 0 or at least 2 replicates; received {replicates}")
    target, score = checked(target, score)
    clips = len(target)
    clusters = np.arange(clips) if clusters is None else clusters
    sizes = np.bincount(clusters)
    # A sum never exceeds the number of clips drawn, so float32, the fastest, is exact to 2 ** 24.
    ones = np.ones(clips, np.float32 if len(sizes) * sizes.max() < 2**24 else np.float64)
    classes = class_rows(target, score) if replicates else ()
    sorters = [_sorter(hits, values, ones) for hits, values in classes]
    results = np.full((2, replicates, target[:1].size), np.nan, np.float32)
    size = max(1, min(_BLOCK, _LARGEST_BLOCK // clips))
    blocks = resample_counts(len(sizes), replicates, seed, ones.dtype, size)
    for which, counts in progress(blocks, -(-replicates // size), "block", "bootstrap"):
        weights = counts[clusters]
        drawn = sizes @ counts.astype(np.float64)
        for index, sorter in enumerate(sorters):
            if sorter is not None:
                results[:, which, index] = _evaluate(sorter @ weights, drawn)
    return results


def _sorter(hits: np.ndarray, values: np.ndarray, ones: np.ndarray) -> sparse.csr_array | None:
    """A matrix from clips to 3 sums a threshold, lowest first; None for a class without positives.

    They are of positives there, of negatives there, and of negatives between it and the next
    threshold; negatives below all positives count in none.
    """
    threshold, index = np.unique(values[hits], return_inverse=True)
    if not threshold.size:
        return None
    row = np.empty(values.size, np.int64)
    row[hits] = 3 * index
    negative = values[~hits]
    # Odd is a threshold's own score, even lies between two, 0 is below all.
    between = np.searchsorted(threshold, negative, "left")
    between += np.searchsorted(threshold, negative, "right")
    row[~hits] = np.where(between > 0, (between - 1) // 2 * 3 + 2 - between % 2, -1)
    clip = np.flatnonzero(row >= 0)
    shape = (3 * threshold.size, values.size)
    return sparse.csr_array((ones[clip], (row[clip], clip)), shape)


def _evaluate(sums: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and AUC, (replicates,) each, of (3 x thresholds, replicates)."""
    sums = sums[::-1].reshape(-1, 3, sums.shape[1]).astype(np.float64)  # highest first
    between, tied, gained = sums[:, 0], sums[:, 1], sums[:, 2]
    true, false = gained.cumsum(axis=0), (between + tied).cumsum(axis=0)
    positives = true[-1]
    negatives = drawn - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = true / np.maximum(true + false, 1)
        average_precision = (gained * precision).sum(axis=0) / positives
        below = negatives - false + tied / 2
        auc = (gained * below).sum(axis=0) / (positives * negatives)
    return average_precision, auc
