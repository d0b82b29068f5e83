"""One shard: the unit of packing, the same in this process, in another, or on a cluster."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import TypeVar

import crc32c
import numpy as np

from tfrecords import schema
from tfrecords.audio import AudioError, open_audio
from tfrecords.codecs import encode_audio
from tfrecords.files import atomic
from tfrecords.info import ShardInfo
from tfrecords.manifest import Clip

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ShardTask:
    """All that one shard is made of. Nothing else, no other shard, has an influence on its bytes.

    `refused` holds the reasons, by place in `clips`, for clips that must not be tried: those that
    crashed the decoder or hung it.
    """

    path: str
    clips: tuple[Clip, ...]
    sample_rate: int
    clip_samples: int
    codec: str
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class ShardResult:
    """A written shard.

    Attributes:
        shard: what `dataset.json` holds of it.
        records: of each record its clip's place in the task, its byte offset, its length with
            framing and its CRC-32C.
        rejected: the places of refused clips, with the reasons.
    """

    shard: ShardInfo
    records: tuple[tuple[int, int, int, int], ...]
    rejected: tuple[tuple[int, str], ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "ShardResult":
        """Raises ValueError, KeyError or TypeError for anything else than `to_json`'s text."""
        data = json.loads(text)
        return cls(
            ShardInfo(**data["shard"]),
            tuple(tuple(record) for record in data["records"]),
            tuple((int(place), str(reason)) for place, reason in data["rejected"]),
        )


def pack_shard(
    task: ShardTask,
    *,
    threads: int = 1,
    report: Callable[[str], None] = lambda event: None,
) -> ShardResult:
    """Decodes the clips of one shard and writes it.

    Args:
        task: the shard.
        threads: clips decoded at a time.
        report: called with "begun" before the file of a clip is touched, with 1 thread in the
            task's order; with "decoded" when it was decoded or refused; with "done" after a clip.

    Raises:
        OSError: the shard cannot be written; nothing is left of it.
    """
    path = Path(task.path)
    refused = dict(task.refused)
    records: list[tuple[int, int, int, int]] = []
    rejected: list[tuple[int, str]] = []

    def encode(item: tuple[int, Clip]) -> memoryview | str:
        place, clip = item
        report("begun")
        encoded = refused.get(place) or _encode(clip, task)
        report("decoded")
        return encoded

    with (
        atomic(path) as file,
        closing(prefetch(encode, enumerate(task.clips), threads, 4 * threads)) as encoded,
    ):
        offset = 0
        for place, (clip, audio) in enumerate(zip(task.clips, encoded, strict=True)):
            if isinstance(audio, str):
                rejected.append((place, audio))
            else:
                parts = (schema.front(clip.clip_id.encode(), len(audio), clip.labels), audio)
                size = sum(map(len, parts))
                checksum = reduce(lambda before, part: crc32c.crc32c(part, before), parts, 0)
                for part in (schema.header(size), *parts, schema.footer(checksum)):
                    file.write(part)
                records.append((place, offset, size + schema.RECORD_OVERHEAD, checksum))
                offset += size + schema.RECORD_OVERHEAD
            report("done")
    return ShardResult(ShardInfo(path.name, len(records), offset), tuple(records), tuple(rejected))


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Result]:
    """Yields `function` of each item, in order, computed by threads.

    Items are taken not long before they are needed, at most `ahead` of them. Closing the iterator
    ends the threads once they have finished what they are at.
    """
    pending = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def decode_clip(path: str | os.PathLike, sample_rate: int, clip_samples: int) -> np.ndarray:
    """Decodes the start of an audio file, padded with zeros at the end.

    Returns:
        (clip_samples,) int16, of which 1.0 is 32767.

    Raises:
        AudioError: missing, empty, truncated, not audio, or samples that are not finite.
    """
    clip = np.zeros(clip_samples, np.int16)
    with open_audio(path, sample_rate) as stream:
        samples = stream.read_int16(clip_samples)
    clip[: len(samples)] = samples
    return clip


def _encode(clip: Clip, task: ShardTask) -> memoryview | str:
    """The audio of a record, or why there is none, in a few words."""
    try:
        waveform = decode_clip(clip.path, task.sample_rate, task.clip_samples)
    except AudioError as error:
        return error.kind
    except MemoryError:
        raise
    except Exception as error:  # a fault of a decoder; one file must not end the packing
        return f"the decoder fails: {type(error).__name__}"
    return encode_audio(waveform, task.codec, task.sample_rate)
