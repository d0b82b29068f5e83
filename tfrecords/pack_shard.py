"""One shard: the unit of work, the same in this process, in a child, or on a cluster."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from tfrecords import schema
from tfrecords.codecs import encode_audio
from tfrecords.decode import DecodeError, decode_clip
from tfrecords.info import ShardInfo
from tfrecords.plan import ShardTask
from tfrecords.shards import ShardWriter
from tfrecords.sources import Clip

Item = TypeVar("Item")
Result = TypeVar("Result")


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class ShardResult:
    """A written shard: its info; of each record its clip's place in the task, its byte offset,
    its length with framing and its CRC-32C; and the places of refused clips with the reasons."""

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
    started: Callable[[], None] = _nothing,
    decoded: Callable[[], None] = _nothing,
    done: Callable[[], None] = _nothing,
) -> ShardResult:
    """Decode the clips of one shard and write it.

    Args:
        task: the shard.
        threads: clips decoded at a time.
        started: called before each clip's file is touched, with 1 thread in the task's order.
        decoded: called when its file was decoded, or refused.
        done: called after each clip.

    Raises:
        OSError: the shard cannot be written; nothing is left of it.
    """
    path = Path(task.path)
    refused = dict(task.refused)
    records: list[tuple[int, int, int, int]] = []
    rejected: list[tuple[int, str]] = []

    def make(item: tuple[int, Clip]) -> memoryview | DecodeError:
        started()
        audio = _audio_of(item, task, refused)
        decoded()
        return audio

    with (
        ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool,
        ShardWriter(path) as writer,
    ):
        items = enumerate(task.clips)
        made = map(make, items) if pool is None else map_ahead(pool, make, items, 4 * threads)
        for place, (clip, audio) in enumerate(zip(task.clips, made, strict=True)):
            if isinstance(audio, DecodeError):
                rejected.append((place, str(audio)))
            else:
                front = schema.front(clip.clip_id.encode(), len(audio), clip.labels)
                records.append((place, *writer.write(front, audio)))
            done()
    shard = ShardInfo(path.name, writer.clips, writer.size)
    return ShardResult(shard, tuple(records), tuple(rejected))


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Like `pool.map`, in order, but with at most `ahead` results waiting in memory."""
    pending = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _audio_of(
    item: tuple[int, Clip], task: ShardTask, refused: dict[int, str]
) -> memoryview | DecodeError:
    place, clip = item
    if place in refused:
        return DecodeError(refused[place])
    try:
        waveform = decode_clip(clip.path, task.sample_rate, task.clip_samples)
    except DecodeError as error:
        return error
    except MemoryError:
        raise
    except Exception as error:  # a fault of a decoder; one file must not end the packing
        return DecodeError(f"the decoder fails: {type(error).__name__}")
    return encode_audio(waveform, task.codec, task.sample_rate)
