"""Reads records by clip number: a few large reads, every checksum, straight into the batch.

A record counts only if its framing is right and its data have the CRC-32C that the index has for
this clip; that tells a damaged record, and any other clip's, from the right one.
"""

import errno
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import crc32c
import numpy as np

from tfrecords import schema
from tfrecords.buffers import recycled_empty
from tfrecords.cache import Cache
from tfrecords.codecs import decode_audio
from tfrecords.errors import TFRecordsError
from tfrecords.index import Index
from tfrecords.info import FILE_NAME
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
    """Reads clips of one packed directory. Thread-safe.

    Args:
        index: of the directory.
        cache: keeps what was read on a local disk.
    """

    def __init__(self, index: Index, cache: Cache | None = None):
        self.index = index
        self._cache = cache
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
        """Read and decode clips.

        Args:
            clips: (n,) clip numbers.

        Returns:
            (n, samples) int16, and the damages by place in `clips`; those rows hold anything.
        """
        out = recycled_empty((len(clips), self.index.info.clip_samples), np.int16)
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
        """Read clips and leave their audio as it is stored; else as `waveforms`."""
        records: list[memoryview] = [memoryview(b"")] * len(clips)
        damages = self._read(clips, None, records)
        for place in set(range(len(clips))) - set(damages):
            records[place] = schema.decode(records[place])[1]
        return records, damages

    def _read(
        self, clips: np.ndarray, rows: np.ndarray | None, records: list | None = None
    ) -> dict[int, Damage]:
        """Read records: their samples into `rows`, or all of their data into `records`."""
        damages: dict[int, Damage] = {}
        read = partial(self._read_run, clips, rows, records)
        runs = list(self._runs(clips))
        if self._cache is None:
            for run in runs[1:]:  # the first is read at once
                self._announce(clips[run])
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
        try:
            self._fetch(clips[run], [buffer for part in parts for buffer in part])
        except OSError as error:
            if not self._is_damage(error):
                raise OSError(f"{self._paths[index.shard[clips[run[0]]]]}: {error}") from error
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
            return {place: self._damage(clips[place], f"{_LOST}: {reason}") for place in run}
        damages: dict[int, Damage] = {}
        for place, part in zip(run, parts, strict=True):
            clip = clips[place]
            if not self._is_right(clip, *part) and not self._again(clip, part):
                damages[place] = self._damage(clip, self._what_is_wrong(clip))
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

    def _announce(self, clips: np.ndarray) -> None:
        """Have the disk fetch records that follow each other while others are read."""
        index = self.index
        first, last = clips[0], clips[-1]
        end = int(index.offset[last]) + int(index.length[last])
        path = self._paths[index.shard[first]]
        with suppress(OSError):  # reading it will say what is wrong
            self._files.will_read(path, int(index.offset[first]), end - int(index.offset[first]))

    def _fetch(self, clips: np.ndarray, buffers: list) -> None:
        """Fill buffers from records that follow each other."""
        index = self.index
        path = self._paths[index.shard[clips[0]]]
        if self._cache is None:
            self._files.read_into(path, int(index.offset[clips[0]]), buffers)
        else:
            parts = list(
                zip(index.offset[clips].tolist(), index.length[clips].tolist(), strict=True)
            )
            self._cache.read_into(self._files, path, parts, buffers)

    def _again(self, clip: int, part: tuple) -> bool:
        """Read a record past the cache, which a crash may have left torn; whether it is right."""
        if self._cache is None:
            return False
        path = self._paths[self.index.shard[clip]]
        try:
            self._files.read_into(path, int(self.index.offset[clip]), part)
        except OSError:
            return False
        if not self._is_right(clip, *part):
            return False  # it was the source; the rest of its copy is as good as before
        self._cache.forget(path)
        return True

    def _is_right(self, clip: int, front: bytearray, body: memoryview, end: bytearray) -> bool:
        index = self.index
        checksum = int(index.checksum[clip])
        data_in_front = memoryview(front)[schema.HEADER_BYTES :]
        return (
            front[: schema.HEADER_BYTES]
            == schema.header(int(index.length[clip]) - schema.RECORD_OVERHEAD)
            and end == schema.footer(checksum)
            and crc32c.crc32c(body, crc32c.crc32c(data_in_front)) == checksum
        )

    def _what_is_wrong(self, clip: int) -> str:
        """Why a record is not the right one: whether it is a whole one, but another clip's."""
        index = self.index
        record = bytearray(int(index.length[clip]))
        try:
            path = self._paths[index.shard[clip]]
            self._files.read_into(path, int(index.offset[clip]), [record])
            data = memoryview(record)[schema.HEADER_BYTES : -schema.FOOTER_BYTES]
            if record[-schema.FOOTER_BYTES :] == schema.footer(crc32c.crc32c(data)):
                found = schema.decode(data)[0]
                if found != index.clip_ids[clip]:
                    return f"found the record of clip {found.decode(errors='replace')} instead"
        except (OSError, ValueError):
            pass
        return _LOST

    def _damage(self, clip: int, reason: str) -> Damage:
        index = self.index
        return Damage(
            clip=int(clip),
            clip_id=index.clip_ids[clip].decode(errors="replace"),
            shard=Path(index.info.shards[index.shard[clip]].name).name,
            reason=reason,
            directory=index.directory,
        )
