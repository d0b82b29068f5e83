"""Reports: what a packing came to, by clip and by class, and what a packed directory holds."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.files import write_csv
from tfrecords.index import Index
from tfrecords.info import DatasetInfo
from tfrecords.manifest import Clip

REJECTED_NAME = "rejected.csv"
MISSING_NAME = "missing_by_class.csv"
_SHORT_TABLE = 20


@dataclass(frozen=True)
class PackReport:
    """The result of a packing.

    Attributes:
        info: of the packed directory, which is `output`.
        class_counts: (classes,) packed clips of each class.
        rejected_clips: the clips that gave no record, with the reasons.
        listed: all clips that the metadata list, without those that were excluded.
        excluded: how many those are; None where there was no list of them.
        new: False when the directory was finished before.
    """

    info: DatasetInfo
    output: Path
    class_counts: np.ndarray
    rejected_clips: tuple[tuple[Clip, str], ...]
    listed: Sequence[Clip]
    excluded: int | None = None
    new: bool = True

    @cached_property
    def rejected(self) -> dict[str, int]:
        """Rejected clips by reason, the most frequent first."""
        return dict(Counter(reason for _, reason in self.rejected_clips).most_common())

    @cached_property
    def listed_counts(self) -> np.ndarray:
        """(classes,) clips of each class that the metadata list."""
        return _counts(self.listed, self.info.num_classes)

    def summary(self) -> str:
        """A few lines of text."""
        counts, info = self.class_counts, self.info
        rejected = f"{sum(self.rejected.values())} rejected"
        if self.rejected:
            reasons = ", ".join(f"{number} {reason}" for reason, number in self.rejected.items())
            rejected += f" ({reasons}; listed in {self.output / REJECTED_NAME})"
        lines = [
            f"{'packed' if self.new else 'already packed:'} {info.num_clips} clips of "
            f"{info.clip_seconds:g} s at {info.sample_rate} Hz in {info.shards_text}; "
            f"{rejected}",
            f"clips per class: min {counts.min()}, median {np.median(counts):g}, "
            f"max {counts.max()} ({len(counts)} classes)",
        ]
        if self.excluded is not None:
            warning = "" if self.excluded else "; do the lists name clips of these metadata?"
            lines.append(f"excluded by the given lists: {self.excluded} clips{warning}")
        if self.rejected and not self.new:
            lines.append(
                "clips that have come since are not looked for; --retry-rejected adds them"
            )
        empty = [info.classes[number] for number in np.flatnonzero(counts == 0)]
        if empty:
            names = "; ".join(empty[:10]) + ("; ..." if len(empty) > 10 else "")
            lines.append(f"classes without clips: {len(empty)}: {names}")
        lost = 1 - counts / np.maximum(1, self.listed_counts)
        worst = [k for k in np.argsort(-lost, kind="stable") if lost[k] > 0 and counts[k]][:5]
        if worst:
            named = "; ".join(f"{info.classes[k]} {lost[k]:.0%}" for k in worst)
            lines.append(f"classes that lack most: {named}; all in {self.output / MISSING_NAME}")
        lines.append(f"output: {self.output}")
        return "\n".join(lines)


def write_rejected(path: Path, rejected: Sequence[tuple[Clip, str]]) -> None:
    """Writes the list of clips that gave no record; an empty list is a header alone."""
    rows = ((clip.clip_id, Path(clip.path).name, reason) for clip, reason in rejected)
    write_csv(path, ("clip_id", "filename", "reason"), rows)


def read_rejected(path: Path) -> dict[str, str]:
    """Reasons by clip id from such a list; nothing where it was removed."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    return {row.get("clip_id") or "": row.get("reason") or "not packed" for row in rows}


def write_missing(path: Path, report: PackReport) -> None:
    """Writes, class by class, how many clips are listed, packed, without a file, and refused."""
    info = report.info
    absent = [clip for clip, reason in report.rejected_clips if reason == "missing"]
    refused = [clip for clip, reason in report.rejected_clips if reason != "missing"]
    rows = zip(
        range(info.num_classes),
        info.class_ids or ("",) * info.num_classes,
        info.classes,
        report.listed_counts.tolist(),
        report.class_counts.tolist(),
        _counts(absent, info.num_classes).tolist(),
        _counts(refused, info.num_classes).tolist(),
        strict=True,
    )
    columns = ("index", "mid", "display_name", "listed", "packed", "missing", "refused")
    write_csv(path, columns, rows)


def _counts(clips: Sequence[Clip], num_classes: int) -> np.ndarray:
    numbers = np.fromiter((k for clip in clips for k in clip.labels), np.int64)
    return np.bincount(numbers, minlength=num_classes)


def summary_dict(index: Index) -> dict:
    """What a packed directory holds, as plain data."""
    info = index.info
    counts = index.class_counts
    return {
        "split": info.split,
        "source": info.source,
        "format_version": info.format_version,
        "num_clips": info.num_clips,
        "num_classes": info.num_classes,
        "sample_rate": info.sample_rate,
        "clip_samples": info.clip_samples,
        "clip_seconds": info.clip_seconds,
        "hours": info.num_clips * info.clip_seconds / 3600,
        "codec": info.codec,
        "num_shards": len(info.shards),
        "clips_per_shard": info.clips_per_shard,
        "bytes": sum(shard.bytes for shard in info.shards),
        "labels_per_clip": len(index.label_values) / max(1, index.num_clips),
        "clips_per_class": {
            "min": int(counts.min()),
            "median": float(np.median(counts)),
            "max": int(counts.max()),
        },
        "classes": {name: int(count) for name, count in zip(info.classes, counts, strict=True)},
    }


def summary_text(index: Index, *, classes: bool = False) -> str:
    """What a packed directory holds, in a few lines; classes if they are few or asked for."""
    data = summary_dict(index)
    per_class = data["clips_per_class"]
    lines = [
        f"{index.directory}: split {data['split']}, from {data['source']}",
        f"{data['num_clips']} clips of {data['clip_seconds']:g} s at {data['sample_rate']} Hz "
        f"({data['hours']:.2f} h, {data['codec']})",
        f"{index.info.shards_text} of up to {data['clips_per_shard']} clips, "
        f"{data['bytes'] / 1e6:.1f} MB",
        f"{data['num_classes']} classes, {data['labels_per_clip']:.2f} labels a clip; clips per "
        f"class: min {per_class['min']}, median {per_class['median']:g}, max {per_class['max']}",
    ]
    if classes or data["num_classes"] <= _SHORT_TABLE:
        rows = enumerate(data["classes"].items())
        lines += [f"{number:5d}  {count:8d}  {name}" for number, (name, count) in rows]
    else:
        lines.append("(--classes lists every class)")
    return "\n".join(lines)
