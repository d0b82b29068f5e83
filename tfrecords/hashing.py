"""A 64-bit hash of clip ids, vectorised, the same on every machine and version.

It decides the order of clips in the shards and which clips belong to a fraction of the data.
"""

import numpy as np

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


def hash_ids(ids: np.ndarray, salt: int = 0) -> np.ndarray:
    """Hash byte strings: numpy (n,) of dtype S to (n,) uint64; each salt gives another hash."""
    ids = np.ascontiguousarray(ids)
    if ids.dtype.kind != "S":
        raise TypeError(f"ids must be a numpy array of bytes, got dtype {ids.dtype}")
    columns = ids.view(np.uint8).reshape(len(ids), ids.dtype.itemsize)
    state = np.full(len(ids), _FNV_OFFSET ^ np.uint64(salt))
    with np.errstate(over="ignore"):
        for column in columns.T:
            # numpy pads short strings with NUL; skipping NUL keeps a hash free of that width.
            state = np.where(column, (state ^ column) * _FNV_PRIME, state)
        return mix(state)


def mix(state: np.ndarray) -> np.ndarray:
    """The output function of splitmix64: every input bit changes every output bit."""
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))
