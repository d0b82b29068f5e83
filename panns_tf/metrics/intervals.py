"""Confidence intervals from the spread of replicates."""

import warnings

import numpy as np
from scipy import special


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, such as 0.95; received {level}")


def around(estimate: float, replicates: np.ndarray, level: float) -> tuple[float, float]:
    """The middle `level` of replicates, moved so that their mean is the estimate.

    Args:
        estimate: a figure of the clips themselves.
        replicates: (replicates,); NaN is left out.

    Returns:
        ``low`` and ``high``; NaN where the estimate or a replicate is infinite, or all are NaN.
    """
    _check(level)
    values = np.asarray(replicates, np.float64)
    values = values[~np.isnan(values)]
    if not values.size or not np.isfinite(estimate) or not np.isfinite(values).all():
        return np.nan, np.nan
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2)) - values.mean()
    return float(estimate + low), float(estimate + high)


def around_odds(
    estimate: np.ndarray, replicates: np.ndarray, positives: np.ndarray, level: float
) -> np.ndarray:
    """Normal intervals of shares on the scale of log odds.

    The deviation of replicates is that of n - 1 positives rather than n, as of any variance, and
    is widened so.

    Args:
        estimate: float (classes,), in [0, 1].
        replicates: float (replicates, classes); NaN is left out.
        positives: int (classes,).

    Returns:
        float64 (classes, 2); NaN where fewer than two positives or replicates without spread.
    """
    _check(level)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # a class of NaN alone
        spread = np.nanstd(replicates.astype(np.float64), axis=0)
        spread = spread * np.sqrt(positives / (positives - 1.0)) / (estimate * (1 - estimate))
        half = special.ndtri((1 + level) / 2) * spread
        low, high = (special.expit(special.logit(estimate) + sign * half) for sign in (-1, 1))
    known = (positives > 1) & (half > 0) & np.isfinite(half)
    return np.where(known[:, None], np.stack([low, high], axis=1), np.nan)
