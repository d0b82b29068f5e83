"""Memory for batches, used again once nothing refers to it any more.

A fresh batch of tens of megabytes comes from the system page by page, each page cleared before it
is read into; that takes as long as reading a record from the page cache.
"""

import weakref
from threading import Lock

import numpy as np

# TensorFlow takes memory that begins at such an address as it is, instead of copying it.
_ALIGNMENT = 64
# Bytes that are kept while nobody uses them: some batches' worth.
_MOST_KEPT = 2**28

_free: list[np.ndarray] = []
_lock = Lock()


def recycled_empty(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An aligned array with anything in it.

    Its memory is taken back when the last view of it is gone.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = _take(size + _ALIGNMENT)
    first = -memory.ctypes.data % _ALIGNMENT
    # All views of it have this array as their base: NumPy looks through views of arrays, but not
    # through a memoryview.
    lease = np.frombuffer(memoryview(memory)[first : first + size], dtype)
    weakref.finalize(lease, _free.append, memory).atexit = False
    return lease.reshape(shape)


def _take(size: int) -> np.ndarray:
    with _lock:
        # What was given back last is the likeliest to be in the processor's cache.
        for place in reversed(range(len(_free))):
            if len(_free[place]) == size:
                return _free.pop(place)
        while sum(map(len, _free)) > _MOST_KEPT:
            _free.pop(0)
    return np.empty(size, np.uint8)
