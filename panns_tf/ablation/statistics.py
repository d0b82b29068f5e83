"""What a few seeds tell: a mean's interval, and a test of paired differences."""

import dataclasses
from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
#: Up to so many pairs the sign-flip test tries every assignment of signs.
EXACT = 20


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: of the values.
        half: half the width of the 95 % interval around it, by Student's t; None for one seed.
        n: seeds.
    """

    mean: float
    half: float | None
    n: int

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        """The interval's upper end."""
        return None if self.half is None else self.mean + self.half

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves out zero; False for one seed, which tells nothing."""
        return self.half is not None and abs(self.mean) > self.half


def estimate(values: Sequence[float], level: float = LEVEL) -> Estimate | None:
    """Returns the mean of values with its interval by Student's t, None of none."""
    from scipy.special import stdtrit

    n = len(values)
    if not n:
        return None
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, None, 1)
    quantile = float(stdtrit(n - 1, (1 + level) / 2))
    return Estimate(mean, quantile * float(np.std(values, ddof=1)) / n**0.5, n)


def sign_flip(differences: Sequence[float]) -> float | None:
    """Two-sided p that paired differences have no direction: a permutation test.

    If neither of a pair is the better, the signs of the differences could as well be others. p is
    the share of all assignments of signs whose mean lies as far from zero as the one found, or
    farther: exact up to `EXACT` pairs, by a million drawn assignments above. Of n pairs it is never
    below 2 / 2**n. None of no pairs.
    """
    values = np.asarray(differences, float)
    if not len(values):
        return None
    # Sums in another order differ by rounding, and an assignment must count as no farther than
    # itself.
    least = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if len(values) > EXACT:
        rng, hits, draws = np.random.default_rng(0), 0, 0
        for _ in range(100):
            signs = rng.choice((-1.0, 1.0), (10_000, len(values)))
            hits += int((np.abs(signs @ values) >= least).sum())
            draws += len(signs)
        return (hits + 1) / (draws + 1)
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return float(np.mean(np.abs(sums) >= least))
