"""Rows of a stream of any length as a bounded number of columns."""

from collections.abc import Callable

import numpy as np


class Columns:
    """Joins rows so that there are never more columns than wanted.

    A column begins as one row. When there are too many, neighbours are joined in pairs, so that
    each stands for 2, 4, 8 ... rows. Rows are always joined as the same binary tree, so that the
    result does not depend on how they came, bit for bit.

    Args:
        width: values in a row.
        most: columns; at least 2.
        join: `highest` or `mean`.
    """

    def __init__(self, width: int, most: int, join: Callable):
        self.most, self.join = most, join
        self.columns = np.zeros((0, width), np.float32)
        #: For each doubling a row that waits for its neighbour, or None.
        self._waiting: list[np.ndarray | None] = []

    @property
    def rows_per_column(self) -> int:
        return 2 ** len(self._waiting)

    def add(self, rows: np.ndarray) -> None:
        """Takes the next rows, (n, width)."""
        for level in range(len(self._waiting)):
            rows, self._waiting[level] = self._pairs(rows, self._waiting[level])
        self.columns = np.concatenate([self.columns, rows])
        while len(self.columns) + any(row is not None for row in self._waiting) > self.most:
            self.columns, left = self._pairs(self.columns, None)
            self._waiting.append(left)

    def _pairs(self, rows: np.ndarray, before: np.ndarray | None):
        """Joins rows two by two; returns them and the one that is left, or None."""
        if before is not None:
            rows = np.concatenate([before, rows])
        even = len(rows) // 2 * 2
        return self.join(rows[0:even:2], rows[1:even:2]), rows[even:] if even < len(rows) else None

    def all(self) -> np.ndarray:
        """The columns, and a last one of the rows that do not fill one: (columns, width)."""
        last, weight = None, 0
        for level, row in enumerate(self._waiting):
            if row is not None:
                last = row if last is None else self.join(last, row, weight, 2**level)
                weight += 2**level
        return self.columns if last is None else np.concatenate([self.columns, last])


def mean(first: np.ndarray, second: np.ndarray, of_first: int = 1, of_second: int = 1):
    """The mean of two arrays that count so many times."""
    whole = of_first + of_second
    return np.float32(of_first / whole) * first + np.float32(of_second / whole) * second


def highest(first: np.ndarray, second: np.ndarray, *_):
    """The larger of each two values, however much they count."""
    return np.maximum(first, second)
