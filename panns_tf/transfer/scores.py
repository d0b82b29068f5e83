"""What a network says of the recordings of a store."""

from collections.abc import Callable, Sequence

import numpy as np

from panns_tf.transfer.store import SoundStore
from panns_tf.transfer.windows import cut, window_starts


def windows_of(
    store: SoundStore, numbers: Sequence[int], window: int
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Returns all windows of recordings: (number, start) of each, and which recording it is of.

    The second, int64 (windows,), counts the recordings as ``numbers`` lists them.
    """
    places, owner = [], []
    for place, number in enumerate(numbers):
        starts = window_starts(int(store.lengths[number]), window)
        places += [(number, start) for start in starts]
        owner += [place] * len(starts)
    return places, np.array(owner, np.int64)


def of_windows(
    hear: Callable[[np.ndarray], np.ndarray],
    store: SoundStore,
    places: Sequence[tuple[int, int]],
    window: int,
    batch_size: int,
) -> np.ndarray:
    """Returns what a function says of each window, one row each.

    Args:
        hear: takes int16 (batch_size, window), always full batches, so that it is compiled once.
        store: the sound.
        places: recording and start of each window; at least one.
        window: samples.
        batch_size: windows at a time.
    """
    rows = []
    for first in range(0, len(places), batch_size):
        part = places[first : first + batch_size]
        batch = np.zeros((batch_size, window), np.int16)
        for row, (number, start) in zip(batch, part, strict=False):
            row[:] = cut(store[number], start, window)
        rows.append(np.asarray(hear(batch))[: len(part)])
    return np.concatenate(rows)


def mean_by_owner(values: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Returns the mean of the rows of each of ``count`` owners, (count, ...)."""
    sums = np.zeros((count, *values.shape[1:]), np.float64)
    np.add.at(sums, owner, values)
    numbers = np.bincount(owner, minlength=count).reshape(-1, *(1,) * (values.ndim - 1))
    return (sums / numbers).astype(np.float32)
