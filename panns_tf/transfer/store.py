"""The sound of a data set, decoded once, on disk rather than in memory."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from panns_tf.inference.files import Decoded, decoded
from panns_tf.training.data import FULL_SCALE
from tfrecords.audio import AudioError

#: Samples read of a long recording at a time.
_BLOCK = 2**20


class SoundStore:
    """Mono recordings of any lengths at one sample rate, int16, in a file that goes with it.

    Args:
        paths: of the recordings.
        sample_rate: Hz.
        folder: where the file lies, without a name: it is gone when the process is, however that
            ends. Two bytes a sample.
        workers: threads that decode.
        quiet: whether to show no progress.

    Attributes:
        sample_rate: Hz.
        lengths: samples of each recording, int64; 0 of what cannot be read.
        hashes: SHA-256 of each recording's samples, as text; equal for equal sound.
        errors: why a recording cannot be read, by its number.
        notes: what a user should know of recordings that were read, a line each.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        sample_rate: int,
        folder: Path | None = None,
        workers: int = 2,
        quiet: bool = False,
    ):
        self.sample_rate = sample_rate
        self.errors: dict[int, str] = {}
        self.hashes: list[str] = []
        self.notes: list[str] = []
        lengths = []
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  lives as long as this
        found = decoded(paths, sample_rate, workers)
        bar = tqdm(found, total=len(paths), unit="clip", desc="decode", leave=False, disable=quiet)
        for number, one in enumerate(bar):
            length, digest = 0, hashlib.sha256()
            try:
                for part in self._parts(one):
                    samples = np.rint(np.clip(part, -1, 1) * FULL_SCALE).astype("<i2")
                    self._file.write(samples.data)
                    digest.update(samples.data)
                    length += len(samples)
            except AudioError as error:
                self.errors[number] = str(error)
                self._file.seek(-2 * length, 1)
                self._file.truncate()
                length = 0
            lengths.append(length)
            self.hashes.append(digest.hexdigest())
            self.notes += one.notes
        self._file.flush()
        self.lengths = np.array(lengths, np.int64)
        ends = np.cumsum(self.lengths)
        self._starts = ends - self.lengths
        total = int(ends[-1]) if lengths else 0
        empty = np.zeros(0, np.int16)
        self._samples = np.memmap(self._file, np.int16, "r", shape=(total,)) if total else empty

    @staticmethod
    def _parts(one: Decoded):
        if one.error is not None:
            raise one.error
        if one.open_long is None:
            yield one.samples
            return
        with one.open_long() as stream:
            yield from stream.blocks(_BLOCK)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> np.ndarray:
        """Returns a recording, int16 (samples,)."""
        start = self._starts[number]
        return self._samples[start : start + self.lengths[number]]

    def keep(self, numbers: Sequence[int]) -> None:
        """Forgets all recordings but some, which are numbered anew from 0."""
        self._starts, self.lengths = self._starts[list(numbers)], self.lengths[list(numbers)]
        self.hashes = [self.hashes[number] for number in numbers]
        self.errors = {}
