"""The plan of a packed directory: which clip goes into which shard. It decides every byte."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.hashing import hash_ids
from tfrecords.info import FORMAT_VERSION, shard_name
from tfrecords.settings import PackSettings
from tfrecords.sources import Clip, Source


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
class Plan:
    """The clips of a source in the order of their records, cut into shards."""

    settings: PackSettings
    source: Source
    clips: tuple[Clip, ...]

    @property
    def num_shards(self) -> int:
        return math.ceil(len(self.clips) / self.settings.clips_per_shard)

    def shard_name(self, number: int) -> str:
        return shard_name(self.settings.split, number, self.num_shards)

    def shard_path(self, number: int) -> str:
        return str(Path(self.settings.output).absolute() / self.shard_name(number))

    def clips_of(self, number: int) -> tuple[Clip, ...]:
        size = self.settings.clips_per_shard
        return self.clips[number * size : (number + 1) * size]

    def task(self, number: int) -> ShardTask:
        settings = self.settings
        return ShardTask(
            path=self.shard_path(number),
            clips=self.clips_of(number),
            sample_rate=settings.sample_rate,
            clip_samples=settings.clip_samples,
            codec=settings.codec,
        )

    @cached_property
    def described(self) -> dict:
        """What decides the bytes of the data set, apart from the audio files themselves."""
        settings, classes = self.settings, self.source.classes
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(f"{clip.clip_id}\0{clip.labels}\n".encode())
        return {
            "format_version": FORMAT_VERSION,
            "split": settings.split,
            "sample_rate": settings.sample_rate,
            "clip_samples": settings.clip_samples,
            "clips_per_shard": settings.clips_per_shard,
            "codec": settings.codec,
            "classes": hashlib.sha256(repr((classes.names, classes.ids)).encode()).hexdigest(),
            "clips": f"{len(self.clips)} {digest.hexdigest()}",
            "source": self.description,
        }

    @property
    def description(self) -> str:
        return self.settings.description or Path(self.settings.metadata).name

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.described).encode()).hexdigest()


def make_plan(settings: PackSettings, source: Source) -> Plan:
    return Plan(settings, source, tuple(order_clips(source.clips)))


def order_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Order clips by a hash of their ids, so that any shard is a fair sample of the whole."""
    ids = np.array([clip.clip_id.encode() for clip in clips])
    # Equal hashes are next to impossible, but the order must not depend on the metadata's.
    return [clips[place] for place in np.lexsort((ids, hash_ids(ids)))]
