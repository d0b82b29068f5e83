"""Records read by clip number: few large reads, every checksum, straight into the batch.

A record counts only if its framing is right and its data have the CRC-32C that the index has for
this clip; that tells a damaged record, and any other clip's, from the right one.
"""

import errno
import weakref
from collections.abc import Iterator, Sequence
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
from tfrecords.index import Index
from tfrecords.info import FILE_NAME
from tfrecords.storage import MOST_BUFFERS, Files, TFRecordsError, exists, is_remote, join

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
    """Reads clips of one packed directory. Thread-safe."""

    def __init__(self, index: Index):
        self.index = index
        self._files = Files()
        self._paths = [index.shard_path(number) for number in range(len(index.info.shards))]
        self._pool = None
        if any(map(is_remote, self._paths)):
            self._pool = ThreadPoolExecutor(_REMOTE_READS)
        # Raw samples are the last bytes of the data, and can be read to where they belong.
        self._plain = index.info.codec == "pcm16"
        least = schema.RECORD_OVERHEAD + (2 * index.info.clip_samples if self._plain else 0)
        if index.num_clips and index.length.min() < least:
            raise TFRecordsError(
                f"the index of {index.directory} has a record of {index.length.min()} bytes, too "
                f"few for {index.info.clip_samples} samples; pack the data again"
            )

    def waveforms(self, clips: np.ndarray) -> tuple[np.ndarray, dict[int, Damage]]:
        """Reads and decodes clips.

        Args:
            clips: (n,) clip numbers.

        Returns:
            (n, samples) int16, and the damages by place in `clips`; those rows hold anything.
        """
        out = _recycled_empty((len(clips), self.index.info.clip_samples), np.int16)
        if self._plain:
            return out, self._read(clips, out)
        records, damages = self.audio(clips)
        for place, audio in enumerate(records):
            if place not in damages:
                try:
                    decode_audio(audio, self.index.info.codec, out[place])
                except ValueError as error:
                    damages[place] = self._damage(clips[place], str(error))
        return out, damages

    def audio(self, clips: np.ndarray) -> tuple[list[memoryview], dict[int, Damage]]:
        """Reads clips and leaves their audio as it is stored; else as `waveforms`."""
        records: list[memoryview] = [memoryview(b"")] * len(clips)
        damages = self._read(clips, None, records)
        for place in set(range(len(clips))) - set(damages):
            records[place] = schema.decode(records[place])[1]
        return records, damages

    def _read(
        self, clips: np.ndarray, rows: np.ndarray | None, records: list | None = None
    ) -> dict[int, Damage]:
        """Reads records: their samples into `rows`, or all of their data into `records`."""
        damages: dict[int, Damage] = {}
        runs = list(self._runs(clips))
        for run in runs[1:]:  # the disk fetches them while the first is read
            first, last = clips[run[0]], clips[run[-1]]
            start = int(self.index.offset[first])
            end = int(self.index.offset[last]) + int(self.index.length[last])
            with suppress(OSError):  # reading it will give the reason
                self._files.will_read(self._paths[self.index.shard[first]], start, end - start)
        read = partial(self._read_run, clips, rows, records)
        for found in map(read, runs) if self._pool is None else self._pool.map(read, runs):
            damages.update(found)
        return damages

    def _runs(self, clips: np.ndarray) -> Iterator[list[int]]:
        """Places of clips whose records follow each other on disk."""
        index = self.index
        order = np.lexsort((index.offset[clips], index.shard[clips])).tolist()
        run: list[int] = []
        end = (-1, -1)
        for place in order:
            clip = clips[place]
            here = (int(index.shard[clip]), int(index.offset[clip]))
            if run and (here != end or len(run) == _LONGEST_RUN):
                yield run
                run = []
            run.append(place)
            end = (here[0], here[1] + int(index.length[clip]))
        if run:
            yield run

    def _read_run(
        self, clips: np.ndarray, rows: np.ndarray | None, records: list | None, run: Sequence[int]
    ) -> dict[int, Damage]:
        index = self.index
        parts = []
        for place in run:
            length = int(index.length[clips[place]]) - schema.RECORD_OVERHEAD
            if rows is None:
                body = memoryview(bytearray(length))
            else:
                body = memoryview(rows[place]).cast("B")
            front = bytearray(schema.HEADER_BYTES + length - len(body))
            parts.append((front, body, bytearray(schema.FOOTER_BYTES)))
        first = clips[run[0]]
        path = self._paths[index.shard[first]]
        try:
            buffers = [buffer for part in parts for buffer in part]
            self._files.read_into(path, int(index.offset[first]), buffers)
        except OSError as error:
            if not self._is_damage(error):
                raise OSError(f"{path}: {error}") from error
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
            return {place: self._damage(clips[place], f"{_LOST}: {reason}") for place in run}
        damages: dict[int, Damage] = {}
        for place, part in zip(run, parts, strict=True):
            if not self._is_right(clips[place], *part):
                damages[place] = self._damage(clips[place], _LOST)
            elif records is not None:
                records[place] = part[1]
        return damages

    def _is_damage(self, error: OSError) -> bool:
        """Whether it is this file that is bad; not so a disk that is gone, or too many open files.

        Those must not be skipped record by record.
        """
        if isinstance(error, FileNotFoundError):
            return exists(join(self.index.directory, FILE_NAME))
        return error.errno == errno.EIO

    def _is_right(self, clip: int, front: bytearray, body: memoryview, end: bytearray) -> bool:
        index = self.index
        length = int(index.length[clip]) - schema.RECORD_OVERHEAD
        checksum = int(index.checksum[clip])
        data_in_front = memoryview(front)[schema.HEADER_BYTES :]
        return (
            front[: schema.HEADER_BYTES] == schema.header(length)
            and end == schema.footer(checksum)
            and crc32c.crc32c(body, crc32c.crc32c(data_in_front)) == checksum
        )

    def _damage(self, clip: int, reason: str) -> Damage:
        index = self.index
        return Damage(
            clip=int(clip),
            clip_id=index.clip_ids[clip].decode(errors="replace"),
            shard=Path(index.info.shards[index.shard[clip]].name).name,
            reason=reason,
            directory=index.directory,
        )


def read_clips(
    index: Index, clips: np.ndarray, sample_rate: int | None = None, resample: str = "lowpass"
) -> np.ndarray:
    """Reads clips by their numbers in the index.

    Args:
        index: of the packed directory.
        clips: (n,) clip numbers.
        sample_rate: Hz, the stored rate (default) or a lower one.
        resample: how clips come to a lower rate; see `tfrecords.codecs`.

    Returns:
        (n, samples) int16, of which 1.0 is 32767.

    Raises:
        ValueError: a record is missing or damaged; the message names its shard and clip.
    """
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
# Bytes that are kept while nobody uses them: some batches' worth.
_MOST_FREE = 2**28


def _recycled_empty(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An aligned array with anything in it, whose memory is taken back with its last view."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = None
    with _free_lock:
        for place in reversed(range(len(_free))):  # the last is likeliest in the cache
            if len(_free[place]) == size + _ALIGNMENT:
                memory = _free.pop(place)
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
