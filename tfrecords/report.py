"""What a packing came to: a summary, and the lists of rejected clips and of lacks by class."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.info import DatasetInfo
from tfrecords.sources import Clip

REJECTED_NAME = "rejected.csv"
MISSING_NAME = "missing_by_class.csv"
_REJECTED_COLUMNS = ("clip_id", "filename", "reason")


@dataclass(frozen=True)
class PackReport:
    """What was packed.

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
        """How many clips were rejected for each reason, the most frequent first."""
        return dict(Counter(reason for _, reason in self.rejected_clips).most_common())

    @cached_property
    def listed_counts(self) -> np.ndarray:
        """(classes,) clips of each class that the metadata list."""
        return _counts(self.listed, self.info.num_classes)

    def summary(self) -> str:
        """A few lines for a person."""
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
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            lines.append(f"classes without clips: {len(empty)}: {self._names(empty)}")
        lost = 1 - counts / np.maximum(1, self.listed_counts)
        worst = [k for k in np.argsort(-lost, kind="stable") if lost[k] > 0 and counts[k]][:5]
        if worst:
            named = "; ".join(f"{info.classes[k]} {lost[k]:.0%}" for k in worst)
            lines.append(f"classes that lack most: {named}; all in {self.output / MISSING_NAME}")
        lines.append(f"output: {self.output}")
        return "\n".join(lines)

    def _names(self, classes: np.ndarray) -> str:
        names = [self.info.classes[number] for number in classes[:10]]
        return "; ".join(names) + ("; ..." if len(classes) > 10 else "")


def write_rejected(path: Path, rejected: Sequence[tuple[Clip, str]]) -> None:
    """Write the list of clips that gave no record; an empty list is a header alone."""
    rows = ((clip.clip_id, Path(clip.path).name, reason) for clip, reason in rejected)
    _write(path, _REJECTED_COLUMNS, rows)


def read_rejected(path: Path) -> Iterator[tuple[str, str]]:
    """The clip ids and reasons of such a list; nothing where it was removed."""
    if path.is_file():
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                yield row.get("clip_id") or "", row.get("reason") or "not packed"


def write_missing(path: Path, report: PackReport) -> None:
    """Write, class by class, how many clips are listed, packed, without a file, and refused."""
    info = report.info
    absent = [clip for clip, reason in report.rejected_clips if reason == "missing"]
    refused = [clip for clip, reason in report.rejected_clips if reason != "missing"]
    ids = info.class_ids or ("",) * info.num_classes
    rows = zip(
        range(info.num_classes),
        ids,
        info.classes,
        report.listed_counts.tolist(),
        report.class_counts.tolist(),
        _counts(absent, info.num_classes).tolist(),
        _counts(refused, info.num_classes).tolist(),
        strict=True,
    )
    columns = ("index", "mid", "display_name", "listed", "packed", "missing", "refused")
    _write(path, columns, rows)


def _counts(clips: Sequence[Clip], num_classes: int) -> np.ndarray:
    numbers = np.fromiter((k for clip in clips for k in clip.labels), np.int64)
    return np.bincount(numbers, minlength=num_classes)


def _write(path: Path, columns: Sequence[str], rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
