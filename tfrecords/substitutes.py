"""Which clip is drawn in the place of one whose record is damaged: the next of its rarest class.

A function of the damaged clip and of which records are damaged, so that a stream remains a function
of its draw numbers and can be resumed.
"""

import numpy as np

from tfrecords.index import Index
from tfrecords.sampling import DrawTables


class Substitutes:
    """Finds them in an index, among the clips that may be drawn."""

    def __init__(self, index: Index, tables: DrawTables):
        self._index, self._tables = index, tables

    def after(self, clip: int) -> np.ndarray:
        """The clips to try instead, in order; perhaps none."""
        tables = self._tables
        counts = np.diff(tables.class_starts)
        rows = np.flatnonzero(np.isin(tables.classes, self._index.labels_of(clip)))
        candidates = tables.clips
        if len(rows):
            row = rows[np.argmin(counts[rows])]
            candidates = tables.class_clips[tables.class_starts[row] : tables.class_starts[row + 1]]
        place = np.searchsorted(candidates, clip, side="right")
        following = np.concatenate([candidates[place:], candidates[:place]])
        return following[following != clip]
