"""A centred median filter over a stream."""

import numpy as np
from scipy.ndimage import median_filter

#: Up to so many rows, their medians one by one are quicker than a filter for each class.
_FEW = 8


class CentredMedian:
    """Medians over time of values that come in pieces of any size, class by class.

    A row of the result is the median of ``2 * half + 1`` rows with the same one in the middle; at
    both ends of the stream of those that there are. Where a class stays below its ``least`` for
    so long that its median must, the result is 0.

    Args:
        half: rows on either side.
        least: (classes,) float32, what is of no interest below.
    """

    def __init__(self, half: int, least: np.ndarray):
        self.half, self.least = half, least
        self._rows = np.zeros((0, len(least)), np.float32)
        self._before = 0  # rows in front of the next one to come out

    def feed(self, rows: np.ndarray, last: bool = False) -> np.ndarray:
        """Takes rows and returns those that are certain by now.

        Args:
            rows: (steps, classes) float32.
            last: whether the stream ends with them; the next call begins another.

        Returns:
            (steps, classes) float32, ``half`` rows behind.
        """
        if not self.half:
            return rows
        rows = np.concatenate([self._rows, rows])
        ready = len(rows) - self._before - (0 if last else self.half)
        if ready <= 0 and not last:
            self._rows = rows
            return rows[:0]
        result = self._medians(rows, self._before, max(ready, 0))
        following = len(rows) if last else self._before + ready
        self._before = 0 if last else min(following, self.half)
        self._rows = rows[following - self._before :].copy()
        return result

    def _medians(self, rows: np.ndarray, first: int, count: int) -> np.ndarray:
        """The results of ``count`` rows from number ``first`` on."""
        result = np.zeros((count, rows.shape[1]), np.float32)
        numbers = np.flatnonzero((rows >= self.least).any(axis=0))
        values = np.ascontiguousarray(rows[:, numbers].T)  # (some classes, steps)
        inner = range(max(first, self.half), min(first + count, len(rows) - self.half))
        if len(inner) > _FEW:
            for number, of_class in zip(numbers, values, strict=True):
                smooth = median_filter(of_class, 2 * self.half + 1, mode="nearest")
                result[inner.start - first : inner.stop - first, number] = smooth[
                    inner.start : inner.stop
                ]
        else:
            inner = range(0)
        for row in range(first, first + count):
            if row not in inner:
                window = values[:, max(0, row - self.half) : row + self.half + 1]
                result[row - first, numbers] = np.median(window, axis=1)
        return result
