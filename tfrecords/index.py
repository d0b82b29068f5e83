"""The index: where every clip's record lies, and its labels, in a few numpy arrays."""

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from tfrecords.files import write_atomic
from tfrecords.info import DatasetInfo, load_info
from tfrecords.manifest import Clip
from tfrecords.storage import TFRecordsError, exists, is_remote, join, read_bytes

INDEX_NAME = "index.npz"
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_FRACTION_SALT = 0x66726163  # apart from the hash that orders clips into shards
_TYPES = {
    "clip_ids": "S",
    "shard": "i4",
    "offset": "i8",
    "length": "i4",
    "checksum": "u4",
    "label_values": "u2",
    "label_starts": "i8",
}


@dataclass(frozen=True)
class Index:
    """The clips of a packed directory, in record order.

    Attributes:
        info: what `dataset.json` says.
        directory: where the shards are; a path, or an address such as `gs://...`.
        clip_ids: (clips,) bytes.
        shard: (clips,) int32, the number of the shard that holds the clip.
        offset: (clips,) int64, the byte at which the clip's record begins in that shard.
        length: (clips,) int32, bytes of the record with its framing.
        checksum: (clips,) uint32, CRC-32C of the record's data. It tells a damaged record, and
            another clip's, from the right one.
        label_values, label_starts: clip i has the classes
            `label_values[label_starts[i]:label_starts[i + 1]]`, uint16 and int64.
    """

    info: DatasetInfo
    directory: str
    clip_ids: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    checksum: np.ndarray
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
        """The inverse of the labels: values (labels,) int32 and starts (classes + 1,) int64.

        Class k has the clips `values[starts[k]:starts[k + 1]]`, ascending.
        """
        # NumPy sorts 16 bits by radix, ten times as fast as 32.
        order = np.argsort(self.label_values, kind="stable")
        clips = np.repeat(np.arange(self.num_clips, dtype=np.int32), np.diff(self.label_starts))
        return clips[order], starts_of(self.class_counts)

    @cached_property
    def class_counts(self) -> np.ndarray:
        """(classes,) int64, clips of each class."""
        return np.bincount(self.label_values, minlength=self.num_classes)

    def count_classes(self, clips: np.ndarray) -> np.ndarray:
        """(classes,) int64, clips of each class among the given clip numbers."""
        chosen = np.zeros(self.num_clips, bool)
        chosen[clips] = True
        of_chosen = np.repeat(chosen, np.diff(self.label_starts))
        return np.bincount(self.label_values[of_chosen], minlength=self.num_classes)

    def labels_of(self, clip: int) -> np.ndarray:
        """The class numbers of one clip."""
        return self.label_values[self.label_starts[clip] : self.label_starts[clip + 1]]

    def targets(self, clips: np.ndarray | None = None) -> np.ndarray:
        """Multi-hot targets of the given clip numbers (default: all), (n, classes) float32."""
        clips = np.arange(self.num_clips) if clips is None else np.asarray(clips, np.int64)
        targets = np.zeros((len(clips), self.num_classes), np.float32)
        first = self.label_starts[clips]
        counts = self.label_starts[clips + 1] - first
        # The places of all labels of all clips: runs of consecutive numbers.
        run_starts = np.repeat(starts_of(counts)[:-1], counts)
        places = np.repeat(first, counts) + np.arange(counts.sum()) - run_starts
        targets[np.repeat(np.arange(len(clips)), counts), self.label_values[places]] = 1
        return targets

    def select(self, exclude: Iterable[str | bytes] = (), fraction: float = 1.0) -> np.ndarray:
        """The numbers, ascending int64, of clips neither excluded nor outside the fraction.

        A clip belongs to the fraction by a hash of its id, so a smaller fraction lies within a
        larger one and other clips do not matter. Ids that the index lacks are no error: lists of
        clips to exclude cover more than one data set.
        """
        if not 0 < fraction <= 1:
            raise TFRecordsError(f"fraction must lie in (0, 1], got {fraction!r}")
        if isinstance(exclude, str | bytes):
            raise TFRecordsError(f"exclude must be a collection of clip ids, got {exclude!r}")
        keep = np.ones(self.num_clips, bool)
        if fraction < 1:
            keep &= hash_ids(self.clip_ids, _FRACTION_SALT) / 2.0**64 < fraction
        unwanted = {item.encode() if isinstance(item, str) else bytes(item) for item in exclude}
        if unwanted:
            # Only few are looked up one by one: those whose hash is that of an unwanted id.
            hashes = hash_ids(np.array(sorted(unwanted), np.bytes_))
            near = np.flatnonzero(np.isin(hash_ids(self.clip_ids), hashes))
            keep[[clip for clip in near if self.clip_ids[clip] in unwanted]] = False
        clips = np.flatnonzero(keep)
        if not len(clips):
            raise TFRecordsError(
                f"no clips are left of the {self.num_clips} in {self.directory}: "
                f"{len(unwanted)} ids excluded, fraction {fraction}; exclude fewer"
            )
        return clips

    def shard_path(self, shard: int) -> str:
        return join(self.directory, self.info.shards[shard].name)

    @classmethod
    def from_clips(
        cls,
        info: DatasetInfo,
        directory: str | os.PathLike,
        clips: Sequence[Clip],
        places: Sequence[tuple[int, int, int, int]],
    ) -> "Index":
        """Indexes clips in record order, each with its (shard, offset, length, checksum)."""
        table = np.array(places, np.int64).reshape(len(clips), 4)
        label_counts = np.fromiter((len(clip.labels) for clip in clips), np.int64, len(clips))
        arrays = {
            "clip_ids": np.array([clip.clip_id.encode() for clip in clips], np.bytes_),
            "shard": table[:, 0],
            "offset": table[:, 1],
            "length": table[:, 2],
            "checksum": table[:, 3],
            "label_values": np.fromiter((k for clip in clips for k in clip.labels), np.int64),
            "label_starts": starts_of(label_counts),
        }
        return cls.from_arrays(info, directory, arrays)

    @classmethod
    def from_arrays(
        cls, info: DatasetInfo, directory: str | os.PathLike, arrays: dict[str, np.ndarray]
    ) -> "Index":
        """Makes an index of arrays of any integer types."""
        stored = {
            name: np.ascontiguousarray(arrays[name] if kind == "S" else arrays[name].astype(kind))
            for name, kind in _TYPES.items()
        }
        return cls(info, str(directory), **stored)

    def save(self) -> "Index":
        """Writes the index file, whole or not at all; returns the index with its checksum."""
        buffer = io.BytesIO()
        np.savez(buffer, **{name: getattr(self, name) for name in _TYPES})
        write_atomic(Path(self.directory) / self.info.index_name, buffer.getbuffer())
        checksum = sha256(buffer.getbuffer()).hexdigest()
        return replace(self, info=replace(self.info, index_sha256=checksum))


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Starts (n + 1,) int64 of consecutive runs of the lengths (n,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def load_index(directory: str | os.PathLike) -> Index:
    """Reads the index of a packed directory, here or in an object store.

    Raises:
        TFRecordsError: not a packed directory, another format version, or a damaged index.
    """
    if not is_remote(directory):  # the process may go elsewhere later
        directory = Path(directory).absolute()
    info = load_info(directory)
    path = join(directory, info.index_name)
    restore = "restore the file or pack the data again"
    if not exists(path):
        raise TFRecordsError(f"the index {path} is missing; {restore}")
    content = read_bytes(path)
    if sha256(content).hexdigest() != info.index_sha256:
        raise TFRecordsError(
            f"the index {path} is damaged: its SHA-256 is not that in dataset.json; {restore}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        arrays = {name: data[name] for name in _TYPES}
    return Index(info=info, directory=str(directory), **arrays)


def hash_ids(ids: np.ndarray, salt: int = 0) -> np.ndarray:
    """64-bit hashes of byte strings, (n,) of dtype S to (n,) uint64; another one for each salt.

    It is the same on every machine and in every version, and decides the order of clips in shards
    and which clips belong to a fraction of the data.
    """
    columns = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), ids.dtype.itemsize)
    state = np.full(len(ids), _FNV_OFFSET ^ np.uint64(salt))
    with np.errstate(over="ignore"):
        for column in columns.T:
            # numpy pads short strings with NUL; skipping NUL keeps a hash free of that width.
            state = np.where(column, (state ^ column) * _FNV_PRIME, state)
        return mix(state)


def mix(state: np.ndarray) -> np.ndarray:
    """The output function of splitmix64: every input bit changes every output bit."""
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))
