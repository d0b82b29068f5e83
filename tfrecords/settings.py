"""What to pack, from where, to where; checked before any work."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tfrecords.codecs import CODECS, FLAC_MAX_RATE
from tfrecords.errors import TFRecordsError
from tfrecords.storage import is_remote

# A record is a protobuf message and must stay well below the limit of 2 GiB.
_MAX_SAMPLES = 2**29


@dataclass(frozen=True)
class PackSettings:
    """What to pack, from where, to where.

    `labels` is a file that fixes the classes, `folds` the ESC-50 folds to take (empty: all),
    `exclude` the ids of clips to leave out, `sample_rate` is in Hz. `description` goes into
    `dataset.json`; by default it is the name of the metadata file. The bytes written depend on
    neither `workers`, how many clips are decoded at a time, by child processes (0: by this one),
    nor `clip_timeout`, the seconds after which a decoder that hangs is ended and its clip refused.
    """

    metadata: str | Path
    audio: str | Path
    output: str | Path
    format: str = "auto"
    labels: str | Path | None = None
    split: str = "train"
    folds: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sample_rate: int = 32000
    clip_seconds: float = 10.0
    clips_per_shard: int = 1024
    codec: str = "pcm16"
    description: str | None = None
    workers: int = os.cpu_count() or 1
    clip_timeout: float = 60.0

    @property
    def clip_samples(self) -> int:
        return round(self.clip_seconds * self.sample_rate)


def check_settings(settings: PackSettings) -> None:
    """Raise TFRecordsError for settings that cannot be."""
    for name in ("metadata", "audio", "output"):
        path = str(getattr(settings, name))
        if is_remote(path):
            raise TFRecordsError(
                f"{name} must be a local or mounted path, got {path}; pack locally and copy, or "
                "mount the bucket"
            )
    if not str(settings.output):
        raise TFRecordsError("the output must be a folder, got an empty text")
    for name in ("sample_rate", "clips_per_shard", "workers"):
        if not isinstance(getattr(settings, name), int):
            raise TFRecordsError(f"{name} must be a whole number, got {getattr(settings, name)!r}")
    for name in ("clip_seconds", "clip_timeout"):
        if not isinstance(getattr(settings, name), int | float):
            raise TFRecordsError(f"{name} must be a number, got {getattr(settings, name)!r}")
    if settings.codec not in CODECS:
        raise TFRecordsError(f"codec must be one of {', '.join(CODECS)}, got {settings.codec!r}")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", str(settings.split)):
        raise TFRecordsError(
            f"split must be a name of letters, digits, _ . and -, got {settings.split!r}"
        )
    most = FLAC_MAX_RATE if settings.codec == "flac" else 768000
    if not 1 <= settings.sample_rate <= most:
        raise TFRecordsError(
            f"sample rate must lie in 1 to {most} Hz for {settings.codec}, "
            f"got {settings.sample_rate}"
        )
    seconds = settings.clip_seconds
    if not (math.isfinite(seconds) and 1 <= settings.clip_samples <= _MAX_SAMPLES):
        raise TFRecordsError(
            f"clip seconds must give 1 to {_MAX_SAMPLES} samples at {settings.sample_rate} Hz, "
            f"got {seconds}"
        )
    for name, least in (("clips_per_shard", 1), ("workers", 0)):
        if getattr(settings, name) < least:
            raise TFRecordsError(f"{name} must be at least {least}, got {getattr(settings, name)}")
    if not settings.clip_timeout > 0:
        raise TFRecordsError(f"clip_timeout must be above 0 s, got {settings.clip_timeout}")
