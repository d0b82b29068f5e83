"""One shard: the unit of packing, the same in this process, in another, or on a cluster."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import crc32c
import numpy as np

from tfrecords import schema
from tfrecords.audio import AudioError, open_audio, prefetch
from tfrecords.codecs import encode_audio
from tfrecords.files import atomic, write_atomic
from tfrecords.manifest import Clip

# Of a packed directory, what keeps the state of an unfinished packing.
STATE_NAME = ".packing"

# What became of clips, by their ids: byte offset, length with framing and CRC-32C of the record,
# or the reason why there is none.
Outcomes = dict[str, list[int] | str]


@dataclass(frozen=True)
class ShardTask:
    """All that decides a shard's bytes; ``refused``: why, by id, clips must not be tried."""

    path: str
    clips: tuple[Clip, ...]
    sample_rate: int
    clip_samples: int
    codec: str
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def _state_path(self) -> Path:
        path = Path(self.path)
        return path.parent / STATE_NAME / f"{path.name}.json"

    def keep(self, outcomes: Outcomes) -> None:
        """Keeps on disk that the shard is finished, and what the index needs of it."""
        of_shard = {clip.clip_id: outcomes[clip.clip_id] for clip in self.clips}
        write_atomic(self._state_path, json.dumps(of_shard))

    def kept(self) -> Outcomes:
        """What was kept; nothing if the shard was not finished, or has changed since."""
        try:
            outcomes = json.loads(self._state_path.read_bytes())
            return outcomes if self.is_whole(outcomes) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def is_whole(self, outcomes: Outcomes) -> bool:
        path = Path(self.path)
        return path.is_file() and path.stat().st_size == sum(self.lengths(outcomes))

    def lengths(self, outcomes: Outcomes) -> list[int]:
        results = [outcomes[clip.clip_id] for clip in self.clips]
        return [record[1] for record in results if not isinstance(record, str)]


def pack_shard(
    task: ShardTask, *, threads: int = 1, report: Callable[[str], None] = lambda event: None
) -> Outcomes:
    """Decodes the clips of one shard, ``threads`` at a time, and writes it, whole or not at all.
    ``report`` gets "begun" before a clip's file is touched, with 1 thread in the task's order, and
    "decoded" when it was decoded or refused.
    """

    def encode(clip: Clip) -> memoryview | str:
        report("begun")
        encoded = task.refused.get(clip.clip_id) or _encode(clip, task)
        report("decoded")
        return encoded

    outcomes: Outcomes = {}
    offset = 0
    with (
        atomic(task.path) as file,
        closing(prefetch(encode, task.clips, threads, 4 * threads)) as encoded,
    ):
        for clip, audio in zip(task.clips, encoded, strict=True):
            if isinstance(audio, str):
                outcomes[clip.clip_id] = audio
                continue
            front = schema.front(clip.clip_id.encode(), len(audio), clip.labels)
            checksum = crc32c.crc32c(audio, crc32c.crc32c(front))
            length = len(front) + len(audio)
            for piece in (schema.header(length), front, audio, schema.footer(checksum)):
                file.write(piece)
            outcomes[clip.clip_id] = [offset, length + schema.RECORD_OVERHEAD, checksum]
            offset += length + schema.RECORD_OVERHEAD
    return outcomes


def decode_clip(path: str | os.PathLike, sample_rate: int, clip_samples: int) -> np.ndarray:
    """The start of an audio file, padded with zeros, (clip_samples,), as ``to_int16`` gives it."""
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
