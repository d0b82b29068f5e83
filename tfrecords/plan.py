"""What to pack, and the plan of a packed directory: which clip goes into which shard."""

import hashlib
import json
import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfrecords.codecs import CODECS, FLAC_MAX_RATE
from tfrecords.files import TFRecordsError
from tfrecords.flags import CheckedSettings, setting
from tfrecords.index import DatasetInfo, hash_ids
from tfrecords.manifest import FORMATS, Manifest, read_manifest
from tfrecords.shard import ShardTask
from tfrecords.storage import is_remote

# A record is a protobuf message and must stay well below the limit of 2 GiB.
_MOST_SAMPLES = 2**29


def _split_at_commas(text: str) -> tuple[str, ...]:
    return tuple(piece.strip() for piece in text.split(",") if piece.strip())


@dataclass(frozen=True)
class PackSettings(CheckedSettings):
    """What to pack, from where, to where; ValueError for settings that cannot be.

    ``exclude`` holds ids of clips to leave out, ``description`` goes into ``dataset.json``. The
    bytes written depend on neither ``workers`` nor ``clip_timeout``.
    """

    metadata: Path = setting(help="the list of clips", metavar="FILE", parse=str)
    audio: Path = setting(help="the folder of audio files", metavar="DIR", parse=str)
    output: Path = setting(
        help="where to write; must hold no records yet", metavar="DIR", parse=str
    )
    format: str = setting(
        "auto", "format of the metadata file", choices=FORMATS, shown="by its columns"
    )
    labels: Path | None = setting(
        None,
        "fixes the classes and their order: a CSV with the column display_name (and mid, index), "
        "or one name a line",
        metavar="FILE",
        shown="AudioSet's 527 classes; esc50: by target; csv: sorted",
    )
    split: str = setting("train", "name of the shards")
    folds: tuple[str, ...] = setting(
        (), "esc50 only: the folds to take", metavar="1,2,3", parse=_split_at_commas, shown="all"
    )
    exclude: tuple[str, ...] = setting((), flag="")
    sample_rate: int = setting(
        32000, "samples a second", metavar="HZ", minimum=1, maximum=FLAC_MAX_RATE
    )
    clip_seconds: float = setting(
        10.0,
        "length of every clip; longer audio is cut, shorter is padded with zeros at the end",
        metavar="S",
    )
    clips_per_shard: int = setting(1024, "clips in a file", metavar="N", minimum=1)
    codec: str = setting(
        "pcm16",
        "how audio is stored: 16-bit integers, or those as FLAC, about half the size but slow to "
        "read",
        choices=CODECS,
    )
    description: str | None = setting(None, flag="")  # None for the metadata file's name
    workers: int = setting(
        os.cpu_count() or 1,
        "clips decoded at a time, in other processes; 0: in this one; the result does not depend "
        "on it",
        metavar="N",
        minimum=0,
        shown="one for each processor",
    )
    clip_timeout: float = setting(
        60.0, "seconds after which a file that hangs the decoder is given up", metavar="S", above=0
    )

    def __post_init__(self):
        super().__post_init__()
        for name in ("metadata", "audio", "output"):
            path = str(getattr(self, name))
            if is_remote(path) or (name == "output" and not path):
                raise TFRecordsError(f"{name} must be a local or mounted path, received {path!r}")
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.split):
            raise TFRecordsError(
                f"split must be a name of letters, digits, _ . and -, received {self.split!r}"
            )
        if not (math.isfinite(self.clip_seconds) and 1 <= self.clip_samples <= _MOST_SAMPLES):
            raise TFRecordsError(
                f"clip_seconds must give 1 to {_MOST_SAMPLES} samples at {self.sample_rate} Hz, "
                f"received {self.clip_seconds}"
            )

    @property
    def clip_samples(self) -> int:
        return round(self.clip_seconds * self.sample_rate)


@dataclass(frozen=True)
class Plan:
    """The clips in the order of their records, cut into shards; ``info`` has no shards yet.
    ``described`` decides every byte of the packed directory, apart from the audio files.
    """

    settings: PackSettings
    manifest: Manifest
    shards: tuple[ShardTask, ...]
    info: DatasetInfo
    described: dict


def make_plan(settings: PackSettings) -> Plan:
    manifest = read_manifest(
        settings.metadata,
        settings.audio,
        format=settings.format,
        labels=settings.labels,
        folds=settings.folds,
        exclude=settings.exclude,
    )
    # By a hash of their ids, so that any shard is a fair sample of the whole. Equal hashes are next
    # to impossible, but the order must not depend on the metadata's.
    ids = np.array([clip.clip_id.encode() for clip in manifest.clips])
    clips = [manifest.clips[number] for number in np.lexsort((ids, hash_ids(ids)))]
    audio = {
        "sample_rate": settings.sample_rate,
        "clip_samples": settings.clip_samples,
        "codec": settings.codec,
    }
    size, output = settings.clips_per_shard, Path(settings.output).absolute()
    total = math.ceil(len(clips) / size)
    shards = tuple(
        ShardTask(
            path=str(output / shard_name(settings.split, number, total)),
            clips=tuple(clips[number * size : (number + 1) * size]),
            **audio,
        )
        for number in range(total)
    )
    classes = manifest.classes
    info = DatasetInfo(
        split=settings.split,
        classes=classes.names,
        class_ids=classes.ids,
        num_clips=0,
        clips_per_shard=size,
        shards=(),
        source=settings.description or Path(settings.metadata).name,
        **audio,
    )
    names = ("format_version", "split", "sample_rate", "clip_samples", "clips_per_shard", "codec")
    listed = "".join(f"{clip.clip_id}\0{clip.labels}\n" for clip in clips)
    described = {name: getattr(info, name) for name in names} | {
        "classes": _digest(repr((classes.names, classes.ids))),
        "clips": f"{len(clips)} {_digest(listed)}",
        "source": info.source,
    }
    info = replace(info, plan=_digest(json.dumps(described)))
    return Plan(settings, manifest, shards, info, described)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shard_name(split: str, number: int, total: int) -> str:
    return f"{split}-{number:05d}-of-{total:05d}.tfrecord"
