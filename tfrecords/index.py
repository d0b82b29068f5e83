"""The index: where every clip's record lies, and its labels, in a few numpy arrays."""

import io
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.errors import TFRecordsError
from tfrecords.hashing import hash_ids
from tfrecords.info import DatasetInfo, load_info, sha256_of, write_atomic
from tfrecords.sources import Clip

INDEX_NAME = "index.npz"
_FRACTION_SALT = 0x66726163  # apart from the hash that orders clips into shards
_ARRAYS = ("clip_ids", "shard", "offset", "length", "label_values", "label_starts")


@dataclass(frozen=True)
class Index:
    """The clips of a packed directory, in record order.

    Attributes:
        info: what `dataset.json` says.
        directory: where the shards are.
        clip_ids: (clips,) bytes.
        shard: (clips,) int32, the number of the shard that holds the clip.
        offset: (clips,) int64, the byte at which the clip's record begins in that shard.
        length: (clips,) int64, bytes of the record with its framing.
        label_values, label_starts: clip i has the classes
            `label_values[label_starts[i]:label_starts[i + 1]]`, int32 and int64.
    """

    info: DatasetInfo
    directory: Path
    clip_ids: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    label_values: np.ndarray
    label_starts: np.ndarray

    @property
    def num_clips(self) -> int:
        return len(self.clip_ids)

    @property
    def num_classes(self) -> int:
        return self.info.num_classes

    @cached_property
    def clips_of_class(self) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of the labels: (values (labels,) int32, starts (classes + 1,) int64).

        Class k has the clips `values[starts[k]:starts[k + 1]]`, ascending.
        """
        labels = self.label_values
        if self.num_classes < 2**16:
            labels = labels.astype(np.uint16)  # numpy sorts 16 bits by radix, ten times as fast
        order = np.argsort(labels, kind="stable")
        clips = np.repeat(np.arange(self.num_clips, dtype=np.int32), np.diff(self.label_starts))
        return clips[order], starts_of(self.class_counts)

    @cached_property
    def class_counts(self) -> np.ndarray:
        """(classes,) int64: how many clips each class has."""
        return np.bincount(self.label_values, minlength=self.num_classes)

    def labels_of(self, clip: int) -> np.ndarray:
        """The class numbers of one clip."""
        return self.label_values[self.label_starts[clip] : self.label_starts[clip + 1]]

    def targets(self, clips: np.ndarray | None = None) -> np.ndarray:
        """Multi-hot targets of the given clip numbers (default: all), (n, classes) float32."""
        clips = np.arange(self.num_clips) if clips is None else np.asarray(clips, np.int64)
        targets = np.zeros((len(clips), self.num_classes), np.float32)
        for row, clip in zip(targets, clips, strict=True):
            row[self.labels_of(clip)] = 1
        return targets

    def select(self, exclude: Iterable[str | bytes] = (), fraction: float = 1.0) -> np.ndarray:
        """The numbers of the clips that are neither excluded nor outside the fraction.

        A clip belongs to the fraction by a hash of its id, so a smaller fraction lies within a
        larger one and other clips do not matter. Ids that the index lacks are no error: black
        lists cover more than one dataset.

        Returns:
            (n,) int64, ascending.

        Raises:
            TFRecordsError: the fraction is not in (0, 1], or no clip is left.
        """
        if not 0 < fraction <= 1:
            raise TFRecordsError(f"fraction must lie in (0, 1], got {fraction}")
        if isinstance(exclude, str | bytes):
            raise TFRecordsError(
                f"exclude must be a collection of clip ids, got the single text {exclude!r}"
            )
        exclude = tuple(exclude)
        keep = np.ones(self.num_clips, bool)
        if fraction < 1:
            keep &= hash_ids(self.clip_ids, _FRACTION_SALT) / 2.0**64 < fraction
        wrong = [item for item in exclude if not isinstance(item, str | bytes)]
        if wrong:
            raise TFRecordsError(f"exclude must hold clip ids, text or bytes, got {wrong[0]!r}")
        unwanted = {item.encode() if isinstance(item, str) else bytes(item) for item in exclude}
        if unwanted:
            keep &= np.fromiter(
                (clip_id not in unwanted for clip_id in self.clip_ids.tolist()), bool, len(keep)
            )
        clips = np.flatnonzero(keep)
        if not len(clips):
            raise TFRecordsError(
                f"no clips are left of the {self.num_clips} in {self.directory}: "
                f"{len(unwanted)} ids excluded, fraction {fraction}; exclude fewer"
            )
        return clips

    def shard_path(self, shard: int) -> str:
        return str(self.directory / self.info.shards[shard].name)

    @classmethod
    def from_clips(
        cls,
        info: DatasetInfo,
        directory: Path,
        clips: Sequence[Clip],
        places: Sequence[tuple[int, int, int]],
    ) -> "Index":
        """Index clips in record order, each with its (shard, offset, length)."""
        table = np.array(places, np.int64).reshape(len(clips), 3)
        label_counts = [len(clip.labels) for clip in clips]
        return cls(
            info=info,
            directory=directory,
            clip_ids=np.array([clip.clip_id.encode() for clip in clips], np.bytes_),
            shard=table[:, 0].astype(np.int32),
            offset=table[:, 1].copy(),
            length=table[:, 2].copy(),
            label_values=np.fromiter((k for clip in clips for k in clip.labels), np.int32),
            label_starts=starts_of(np.array(label_counts, np.int64)),
        )


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Counts (n,) to the starts (n + 1,) int64 of consecutive runs of those lengths."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def save_index_file(index: Index) -> Index:
    """Write the index file, whole or not at all; returns the index with the file's checksum."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(index, name) for name in _ARRAYS})
    path = index.directory / index.info.index_name
    write_atomic(path, buffer.getbuffer())
    return replace(index, info=replace(index.info, index_sha256=sha256_of(path)))


def load_index(directory: str | os.PathLike) -> Index:
    """Read the index of a packed directory.

    Raises:
        TFRecordsError: not a packed directory, another format version, or a damaged index.
    """
    info = load_info(directory)
    path = Path(directory) / info.index_name
    mend = "restore the file or pack the data again"
    if not path.is_file():
        raise TFRecordsError(f"the index {path} is missing; {mend}")
    if (found := sha256_of(path)) != info.index_sha256:
        raise TFRecordsError(
            f"the index {path} is damaged: its SHA-256 begins {found[:12]}, "
            f"dataset.json says {info.index_sha256[:12]}; {mend}"
        )
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in _ARRAYS}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise TFRecordsError(f"the index {path} cannot be read ({error}); {mend}") from None
    return Index(info=info, directory=Path(directory), **arrays)
