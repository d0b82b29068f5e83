"""Records read by clip number: few large reads, every checksum, straight into the batch.

A record counts if its framing is right and its data have the CRC-32C that the index has for this
clip, which tells it from a damaged one and from any other clip's.
"""

import errno
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import crc32c
import numpy as np

from tfrecords import schema
from tfrecords.codecs import check_resample, decode_audio, resample_clips
from tfrecords.index import INFO_NAME, Index
from tfrecords.storage import MOST_BUFFERS, Files, exists, is_remote, join

# Records that one read takes at most: each needs three buffers, and a remote one a copy.
_LONGEST_RUN = min(MOST_BUFFERS // 3, 64)
# Reads under way at a time where each waits for a network.
_REMOTE_READS = 16
_LOST = "the record is missing, truncated or damaged"


@dataclass(frozen=True)
class Damage:
    """A record that is not as it was packed."""

    clip: int
    clip_id: str
    shard: str
    reason: str
    directory: str

    def __str__(self) -> str:
        return (
            f"shard {self.shard}, clip {self.clip_id}: {self.reason}; run 'python -m tfrecords "
            f"verify {self.directory}'"
        )


class RecordReader:
    """Reads clips of one packed directory by their numbers, (n,); thread-safe. Damages are keyed by
    row; the values in a damaged row are undefined.
    """

    def __init__(self, index: Index):
        self.index = index
        self._files = Files()
        self._paths = [index.shard_path(number) for number in range(len(index.info.shards))]
        remote = any(map(is_remote, self._paths))
        self._map = ThreadPoolExecutor(_REMOTE_READS).map if remote else map

    def waveforms(self, clips: np.ndarray) -> tuple[np.ndarray, dict[int, Damage]]:
        """(n, samples) int16."""
        out = _recycled_empty((len(clips), self.index.info.clip_samples), np.int16)
        if self.index.info.codec == "pcm16":
            # Raw samples are the last bytes of the data, and are read straight into the batch.
            return out, self._read(clips, [memoryview(row).cast("B") for row in out])
        records, damages = self.records(clips)
        for row in sorted(set(range(len(clips))) - set(damages)):
            try:
                decode_audio(schema.decode(records[row])[1], self.index.info.codec, out[row])
            except ValueError as error:
                damages[row] = self._damage(clips[row], str(error))
        return out, damages

    def records(self, clips: np.ndarray) -> tuple[list[memoryview], dict[int, Damage]]:
        """Reads the data of records, as ``schema.decode`` takes them."""
        lengths = self.index.length[clips] - schema.RECORD_OVERHEAD
        records = [memoryview(bytearray(length)) for length in lengths.tolist()]
        return records, self._read(clips, records)

    def _read(self, clips: np.ndarray, ends: list[memoryview]) -> dict[int, Damage]:
        """Reads records, the last bytes of whose data go where ``ends`` says."""
        shards, starts = self.index.shard[clips], self.index.offset[clips]
        stops = starts + self.index.length[clips]
        # Runs of rows whose records follow each other on disk.
        order = np.lexsort((starts, shards))
        first, then = order[:-1], order[1:]
        breaks = np.flatnonzero((shards[first] != shards[then]) | (stops[first] != starts[then]))
        runs = [
            run[start : start + _LONGEST_RUN].tolist()
            for run in np.split(order, breaks + 1)
            for start in range(0, len(run), _LONGEST_RUN)
        ]
        for run in runs[1:]:  # the disk fetches them while the first is read
            start, length = int(starts[run[0]]), int(stops[run[-1]] - starts[run[0]])
            with suppress(OSError):  # reading it will give the reason
                self._files.will_read(self._paths[shards[run[0]]], start, length)
        buffers = []
        for end, size in zip(ends, (stops - starts).tolist(), strict=True):
            front = bytearray(size - schema.FOOTER_BYTES - len(end))
            buffers.append((front, end, bytearray(schema.FOOTER_BYTES)))
        damages: dict[int, Damage] = {}
        for of_run in self._map(partial(self._read_run, clips, buffers), runs):
            damages.update(of_run)
        return damages

    def _read_run(
        self, clips: np.ndarray, buffers: Sequence[tuple], run: Sequence[int]
    ) -> dict[int, Damage]:
        """Reads records that follow each other into the buffers of each: front, end and footer."""
        index, first = self.index, clips[run[0]]
        path = self._paths[index.shard[first]]
        try:
            in_order = [buffer for row in run for buffer in buffers[row]]
            self._files.read_into(path, int(index.offset[first]), in_order)
        except OSError as error:
            # A disk that is gone, or too many open files, must not be skipped record by record.
            if isinstance(error, FileNotFoundError):
                of_record, reason = exists(join(index.directory, INFO_NAME)), "no such file"
            else:
                of_record, reason = error.errno == errno.EIO, error
            if not of_record:
                raise OSError(f"{path}: {error}") from error
            reason = f"{_LOST}: {reason}"
            return {row: self._damage(clips[row], reason) for row in run}
        damages: dict[int, Damage] = {}
        for row in run:
            front, end, footer = buffers[row]
            checksum = int(index.checksum[clips[row]])
            data_in_front = memoryview(front)[schema.HEADER_BYTES :]
            if not (
                front[: schema.HEADER_BYTES] == schema.header(len(data_in_front) + len(end))
                and footer == schema.footer(checksum)
                and crc32c.crc32c(end, crc32c.crc32c(data_in_front)) == checksum
            ):
                damages[row] = self._damage(clips[row], _LOST)
        return damages

    def _damage(self, clip: int, reason: str) -> Damage:
        index = self.index
        clip_id = index.clip_ids[clip].decode(errors="replace")
        shard = Path(index.info.shards[index.shard[clip]].name).name
        return Damage(int(clip), clip_id, shard, reason, index.directory)


def read_clips(
    index: Index, clips: np.ndarray, sample_rate: int | None = None, resample: str = "lowpass"
) -> np.ndarray:
    """Reads clips by their numbers, at the stored rate (Hz) or a lower one: (n, samples) int16."""
    stored = index.info.sample_rate
    wanted = stored if sample_rate is None else sample_rate
    check_resample(stored, wanted, resample)
    audio, damages = RecordReader(index).waveforms(np.asarray(clips, np.int64))
    if damages:
        raise ValueError(str(damages[min(damages)]))
    return resample_clips(audio, stored, wanted, resample)


# Memory for batches, used again once nothing refers to it any more: a fresh batch of tens of
# megabytes comes from the system page by page, each cleared before it is read into, which takes a
# quarter of the time of reading records from the page cache.
_free: list[np.ndarray] = []
_free_lock = Lock()
# TensorFlow takes memory that begins at such an address as it is, instead of copying it.
_ALIGNMENT = 64
# Bytes that are kept for the next batches.
_MOST_FREE = 2**28


def _recycled_empty(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An aligned array of undefined values, whose memory is used again after its last view."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = None
    with _free_lock:
        for number in reversed(range(len(_free))):  # the last is likeliest in the cache
            if len(_free[number]) == size + _ALIGNMENT:
                memory = _free.pop(number)
                break
        while sum(map(len, _free)) > _MOST_FREE:
            _free.pop(0)
    if memory is None:
        memory = np.empty(size + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    # All views of it have this array as their base: NumPy looks through views of arrays, but not
    # through a memoryview.
    lease = np.frombuffer(memoryview(memory)[first : first + size], dtype)
    weakref.finalize(lease, _free.append, memory).atexit = False
    return lease.reshape(shape)
