"""Audio files to a packed directory: shards, index, `dataset.json`."""

import csv
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from tfrecords import schema
from tfrecords.decode import DecodeError, decode_clip
from tfrecords.errors import TFRecordsError
from tfrecords.hashing import hash_ids
from tfrecords.index import INDEX_NAME, Index, save_index_file
from tfrecords.info import FILE_NAME, DatasetInfo, ShardInfo, sha256_of, shard_name
from tfrecords.shards import ShardWriter
from tfrecords.sources import Clip, Source, read_source

CODECS = ("pcm16",)
REJECTED_NAME = "rejected.csv"
# A record is a protobuf message and must stay well below the limit of 2 GiB.
_MAX_SAMPLES = 2**29

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PackSettings:
    """What to pack, from where, to where.

    `labels` is a file that fixes the classes, `folds` the ESC-50 folds to take (empty: all),
    `sample_rate` is in Hz, `workers` the number of threads that decode audio: the bytes written
    do not depend on it. `description` goes into `dataset.json`; by default it is the name of the
    metadata file.
    """

    metadata: str | Path
    audio: str | Path
    output: str | Path
    format: str = "auto"
    labels: str | Path | None = None
    split: str = "train"
    folds: tuple[str, ...] = ()
    sample_rate: int = 32000
    clip_seconds: float = 10.0
    clips_per_shard: int = 1024
    workers: int = 4
    codec: str = "pcm16"
    description: str | None = None

    @property
    def clip_samples(self) -> int:
        return round(self.clip_seconds * self.sample_rate)


@dataclass(frozen=True)
class PackReport:
    """What was packed: the dataset's info, clips per class, and rejected clips by reason."""

    info: DatasetInfo
    output: Path
    class_counts: np.ndarray
    rejected: dict[str, int]

    def summary(self) -> str:
        """A few lines for a person."""
        counts = self.class_counts
        rejected = f"{sum(self.rejected.values())} rejected"
        if self.rejected:
            reasons = ", ".join(f"{number} {reason}" for reason, number in self.rejected.items())
            rejected += f" ({reasons}; listed in {self.output / REJECTED_NAME})"
        lines = [
            f"packed {self.info.num_clips} clips of {self.info.clip_seconds:g} s at "
            f"{self.info.sample_rate} Hz in {len(self.info.shards)} shards; {rejected}",
            f"clips per class: min {counts.min()}, median {np.median(counts):g}, "
            f"max {counts.max()} ({len(counts)} classes)",
        ]
        empty = [self.info.classes[number] for number in np.flatnonzero(counts == 0)]
        if empty:
            more = ", ..." if len(empty) > 10 else ""
            lines.append(f"classes without clips: {len(empty)}: {', '.join(empty[:10])}{more}")
        lines.append(f"output: {self.output}")
        return "\n".join(lines)


def pack_clips(settings: PackSettings, *, progress: bool = True) -> PackReport:
    """Pack the clips that a metadata file lists.

    Raises:
        TFRecordsError: a wrong setting or metadata file (before any work), or no usable clip.
    """
    check_settings(settings)
    source = read_source(
        settings.metadata,
        settings.audio,
        format=settings.format,
        labels=settings.labels,
        folds=settings.folds,
    )
    output = Path(settings.output)
    check_output(output)
    output.mkdir(parents=True, exist_ok=True)

    plan = order_clips(source.clips)
    packed: list[Clip] = []
    places: list[tuple[int, int, int]] = []
    rejected: list[tuple[Clip, str]] = []
    shards: list[ShardInfo] = []
    num_shards = math.ceil(len(plan) / settings.clips_per_shard)
    with (
        ThreadPoolExecutor(settings.workers) as pool,
        tqdm(total=len(plan), unit="clip", disable=not progress) as bar,
    ):
        waveforms = map_ahead(
            pool, partial(_decode, settings=settings), plan, ahead=4 * settings.workers
        )
        for number in range(num_shards):
            first = number * settings.clips_per_shard
            path = output / shard_name(settings.split, number, num_shards)
            with ShardWriter(path) as writer:
                for clip in plan[first : first + settings.clips_per_shard]:
                    waveform = next(waveforms)
                    bar.update()
                    if isinstance(waveform, DecodeError):
                        rejected.append((clip, str(waveform)))
                    else:
                        record = schema.encode(clip.clip_id.encode(), waveform, clip.labels)
                        places.append((number, *writer.write(record)))
                        packed.append(clip)
            shards.append(ShardInfo(path.name, writer.clips, writer.size, sha256_of(path)))

    write_rejected(output / REJECTED_NAME, rejected)
    reasons = dict(Counter(reason for _, reason in rejected).most_common())
    if not packed:
        for shard in shards:
            (output / shard.name).unlink()
        listed = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
        raise TFRecordsError(
            f"none of the {len(plan)} clips could be packed: {listed}; is {settings.audio} the "
            f"right audio folder? See {output / REJECTED_NAME}"
        )
    index = _finish(settings, source, shards, packed, places)
    return PackReport(index.info, output, index.class_counts, reasons)


def order_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Order clips by a hash of their ids, so that any shard is a fair sample of the whole."""
    ids = np.array([clip.clip_id.encode() for clip in clips])
    # Equal hashes are next to impossible, but the order must not depend on the metadata's.
    return [clips[place] for place in np.lexsort((ids, hash_ids(ids)))]


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


def write_rejected(path: Path, rejected: Sequence[tuple[Clip, str]]) -> None:
    """Write the list of clips that gave no record; an empty list is a header alone."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("clip_id", "filename", "reason"))
        writer.writerows((clip.clip_id, clip.path.name, reason) for clip, reason in rejected)


def _decode(clip: Clip, settings: PackSettings) -> np.ndarray | DecodeError:
    try:
        return decode_clip(clip.path, settings.sample_rate, settings.clip_samples)
    except DecodeError as error:
        return error


def _finish(
    settings: PackSettings,
    source: Source,
    shards: Sequence[ShardInfo],
    packed: Sequence[Clip],
    places: Sequence[tuple[int, int, int]],
) -> Index:
    """Write the index and then `dataset.json`, which makes the directory a packed one."""
    output = Path(settings.output)
    info = DatasetInfo(
        split=settings.split,
        sample_rate=settings.sample_rate,
        clip_samples=settings.clip_samples,
        codec=settings.codec,
        classes=source.classes.names,
        class_ids=source.classes.ids,
        num_clips=len(packed),
        clips_per_shard=settings.clips_per_shard,
        shards=tuple(shards),
        index_name=INDEX_NAME,
        index_sha256="",
        source=settings.description or Path(settings.metadata).name,
    )
    index = Index.from_clips(info, output, packed, places)
    index = save_index_file(index)
    index.info.save(output)
    return index


def check_settings(settings: PackSettings) -> None:
    """Raise TFRecordsError for settings that cannot be."""
    if settings.codec not in CODECS:
        raise TFRecordsError(f"codec must be one of {', '.join(CODECS)}, got {settings.codec!r}")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", settings.split):
        raise TFRecordsError(
            f"split must be a name of letters, digits, _ . and -, got {settings.split!r}"
        )
    if not 1 <= settings.sample_rate <= 768000:
        raise TFRecordsError(f"sample rate must lie in 1 to 768000 Hz, got {settings.sample_rate}")
    seconds = settings.clip_seconds
    if not (math.isfinite(seconds) and 1 <= settings.clip_samples <= _MAX_SAMPLES):
        raise TFRecordsError(
            f"clip seconds must give 1 to {_MAX_SAMPLES} samples at {settings.sample_rate} Hz, "
            f"got {seconds}"
        )
    for name in ("clips_per_shard", "workers"):
        if getattr(settings, name) < 1:
            raise TFRecordsError(f"{name} must be at least 1, got {getattr(settings, name)}")


def check_output(output: Path) -> None:
    """Raise TFRecordsError for an output folder that already holds records."""
    if output.exists() and not output.is_dir():
        raise TFRecordsError(f"the output {output} is a file; expected a folder, or nothing yet")
    held = [*output.glob("*.tfrecord"), *output.glob(FILE_NAME)] if output.exists() else []
    if held:
        raise TFRecordsError(
            f"the output {output} already holds records ({held[0].name}); choose another folder or "
            "remove them"
        )
