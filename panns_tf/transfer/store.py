"""The audio of a data set: decoded once, kept on disk, read in windows."""

import hashlib
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from panns_tf.windows import window_starts
from tfrecords.audio import AudioError, open_audio, prefetch, to_int16
from tfrecords.progress import progress

#: Samples decoded of a long recording at a time.
_BLOCK = 2**20


class AudioStore:
    """Mono recordings at one sample rate, int16, in a file that is gone when the process is."""

    def __init__(
        self, paths: Sequence[Path], sample_rate: int, folder: Path | None = None, workers: int = 2
    ):
        self.sample_rate = sample_rate
        self.errors: dict[int, str] = {}  # why a recording cannot be read, by its number
        self.hashes: list[str] = []  # SHA-256 of the samples
        self.notes: list[str] = []  # what a user should know of recordings that were read
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  lives as long as this
        decoded = prefetch(lambda path: _decode(path, sample_rate), paths, workers, 2 * workers)
        lengths = []
        for samples, notes, error in progress(decoded, len(paths), "clip", "decode"):
            if error is not None:
                self.errors[len(lengths)] = error
            self._file.write(samples.data)
            self.hashes.append(hashlib.sha256(samples.data).hexdigest())
            self.notes += notes
            lengths.append(len(samples))
        self._file.flush()
        self.lengths = np.array(lengths, np.int64)  # in samples; 0 where it cannot be read
        self._starts = np.cumsum(self.lengths) - self.lengths
        total = int(self.lengths.sum())
        empty = np.zeros(0, np.int16)
        self._samples = np.memmap(self._file, np.int16, "r", shape=(total,)) if total else empty

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> np.ndarray:
        start = self._starts[number]
        return self._samples[start : start + self.lengths[number]]

    def keep(self, numbers: Sequence[int]) -> None:
        """Forgets all recordings but some, which are numbered anew from 0."""
        self._starts, self.lengths = self._starts[list(numbers)], self.lengths[list(numbers)]
        self.hashes = [self.hashes[number] for number in numbers]
        self.errors = {}

    def windows(self, numbers: Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Recording and first sample of each window, (windows, 2), and its place in ``numbers``."""
        starts = [window_starts(int(self.lengths[number]), size, size) for number in numbers]
        owner = np.repeat(np.arange(len(numbers)), [len(each) for each in starts])
        return np.column_stack([np.asarray(numbers)[owner], np.concatenate(starts)]), owner

    def cut(self, number: int, start: int, size: int) -> np.ndarray:
        """A window of a recording, int16 (size,), zeros after its end."""
        part = self[number][start : start + size]
        return np.pad(part, (0, size - len(part)))

    def predict(
        self, function: Callable, places: np.ndarray, size: int, batch_size: int, unit: str = ""
    ) -> np.ndarray:
        """What a function of full batches, int16 (batch_size, size), gives for each window."""
        firsts = range(0, len(places), batch_size)
        rows = []
        for first in progress(firsts, unit="batch", description=unit) if unit else firsts:
            batch = np.zeros((batch_size, size), np.int16)
            for row, place in zip(batch, places[first : first + batch_size], strict=False):
                row[:] = self.cut(*place, size)
            rows.append(np.asarray(function(batch)))
        return np.concatenate(rows)[: len(places)]


def _decode(path: Path, sample_rate: int) -> tuple[np.ndarray, list[str], str | None]:
    """Samples, notes, and why there are none."""
    try:
        with open_audio(path, sample_rate) as stream:
            parts = [to_int16(block) for block in stream.blocks(_BLOCK)]
            return np.concatenate(parts), stream.notes, None
    except AudioError as error:
        return np.zeros(0, np.int16), [], str(error)


def mean_by_owner(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The mean of the rows of each owner, whose numbers ascend from 0: float32 (owners, ...)."""
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    sums = np.add.reduceat(values, first, dtype=np.float64)
    return (sums.T / np.bincount(owner)).T.astype(np.float32)


def window_seconds(lengths: np.ndarray, wanted: float | None = None) -> float:
    """The length wanted, or what nine of ten clips have at most, in half seconds from 1 to 10."""
    most = float(np.quantile(lengths, 0.9))
    seconds = wanted or float(np.clip(np.ceil(2 * (most - 0.05)) / 2, 1.0, 10.0))
    # Whole blocks of a codec are a little longer: such clips do not need a second window each.
    return math.ceil(100 * most) / 100 if seconds < most <= 1.1 * seconds else seconds
