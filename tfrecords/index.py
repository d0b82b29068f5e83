"""A packed directory's ``dataset.json``, and its index: the position and labels of each record."""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.files import TFRecordsError, write_atomic
from tfrecords.storage import exists, is_remote, join, read_bytes

FORMAT_VERSION = 2
INFO_NAME = "dataset.json"
INDEX_NAME = "index.npz"
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_RESTORE = "restore it or pack the data again"
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
class ShardInfo:
    """One record file. Every byte of it belongs to a record, whose checksum is in the index."""

    name: str
    clips: int
    bytes: int


@dataclass(frozen=True)
class DatasetInfo:
    """The content of ``dataset.json``.

    ``classes`` are display names in label order, ``class_ids`` AudioSet's machine ids, or empty.
    The ``shards`` of a view are those of other directories; its index may omit clips of them.
    """

    split: str
    sample_rate: int
    clip_samples: int
    codec: str
    classes: tuple[str, ...]
    class_ids: tuple[str, ...]
    num_clips: int
    clips_per_shard: int
    shards: tuple[ShardInfo, ...]
    index_name: str = INDEX_NAME
    index_sha256: str = ""
    source: str = ""
    plan: str = ""
    view: bool = False
    format_version: int = FORMAT_VERSION

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def shards_text(self) -> str:
        return f"{len(self.shards)} shard{'s' if len(self.shards) != 1 else ''}"

    @property
    def clip_seconds(self) -> float:
        return self.clip_samples / self.sample_rate

    def save(self, directory: str | os.PathLike) -> None:
        """Writes ``dataset.json`` atomically; its last entry is a checksum of the rest."""
        data = asdict(self)
        text = _dump({**data, "sha256": _checksum(_dump(data).encode())})
        write_atomic(Path(directory) / INFO_NAME, text)


def _dump(data: dict) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _checksum(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Index:
    """The clips of a packed directory, in record order; ``directory`` may be ``gs://...``.

    Attributes:
        clip_ids: (clips,) bytes.
        shard, offset, length: (clips,) int32, int64, int32: of the record its shard, its
            first byte there, and its bytes with the framing.
        checksum: (clips,) uint32, CRC-32C of the record's data.
        label_values, label_starts: uint16 and int64; clip i has the classes
            ``label_values[label_starts[i]:label_starts[i + 1]]``.
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
    def class_counts(self) -> np.ndarray:
        """(classes,) int64, clips of each class."""
        return np.bincount(self.label_values, minlength=self.num_classes)

    def count_classes(self, clips: np.ndarray) -> np.ndarray:
        """(classes,) int64, clips of each class among the clip numbers."""
        return np.bincount(self.labels(clips)[0], minlength=self.num_classes)

    def labels(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The class numbers of some clips, one clip's after the other's, and how many each has."""
        first = self.label_starts[clips]
        counts = self.label_starts[clips + 1] - first
        first -= starts_of(counts)[:-1]
        positions = np.repeat(first, counts)
        positions += np.arange(len(positions), dtype=np.int32)
        return self.label_values[positions], counts

    def labels_of(self, clip: int) -> np.ndarray:
        return self.label_values[self.label_starts[clip] : self.label_starts[clip + 1]]

    def targets(self, clips: np.ndarray | None = None) -> np.ndarray:
        """Multi-hot targets of the clip numbers (default: all), (n, classes) float32."""
        clips = np.arange(self.num_clips) if clips is None else np.asarray(clips, np.int64)
        values, counts = self.labels(clips)
        targets = np.zeros((len(clips), self.num_classes), np.float32)
        targets[np.repeat(np.arange(len(clips)), counts), values] = 1
        return targets

    def select(self, exclude: Iterable[str | bytes] = (), fraction: float = 1.0) -> np.ndarray:
        """The numbers, ascending int64, of clips neither excluded nor outside the fraction.

        A hash of its id decides, so a smaller fraction lies within a larger one and other clips do
        not matter. Excluded ids may be absent: lists of them cover more than one data set.
        """
        if not 0 < fraction <= 1:
            raise TFRecordsError(f"fraction must lie in (0, 1], received {fraction!r}")
        if isinstance(exclude, str | bytes):
            raise TFRecordsError(f"exclude must be a collection of clip ids, received {exclude!r}")
        keep = np.ones(self.num_clips, bool)
        if fraction < 1:
            keep &= hash_ids(self.clip_ids, _FRACTION_SALT) / 2.0**64 < fraction
        unwanted = {item.encode() if isinstance(item, str) else bytes(item) for item in exclude}
        if unwanted:
            keep &= [clip_id not in unwanted for clip_id in self.clip_ids.tolist()]
        clips = np.flatnonzero(keep)
        if not len(clips):
            raise TFRecordsError(
                f"no clips are left of the {self.num_clips} in {self.directory}: "
                f"{len(unwanted)} ids excluded, fraction {fraction}; exclude fewer"
            )
        return clips

    def shard_path(self, shard: int) -> str:
        return join(self.directory, self.info.shards[shard].name)

    def clip_name(self, clip: int) -> str:
        shard = self.info.shards[self.shard[clip]].name
        return f"shard {shard}, clip {self.clip_ids[clip].decode(errors='replace')}"

    @classmethod
    def make(
        cls,
        info: DatasetInfo,
        directory: str | os.PathLike,
        *,
        labels: np.ndarray,
        label_counts: np.ndarray,
        **arrays: np.ndarray,
    ) -> "Index":
        """Makes an index of arrays of any integer types; labels as from ``Index.labels``."""
        arrays |= {"label_values": labels, "label_starts": starts_of(label_counts)}
        stored = {
            name: np.ascontiguousarray(arrays[name] if kind == "S" else arrays[name].astype(kind))
            for name, kind in _TYPES.items()
        }
        return cls(info, str(directory), **stored)

    def save(self) -> "Index":
        """Writes the index and ``dataset.json``; returns the index with its checksum."""
        buffer = io.BytesIO()
        np.savez(buffer, **{name: getattr(self, name) for name in _TYPES})
        write_atomic(Path(self.directory) / self.info.index_name, buffer.getbuffer())
        info = replace(self.info, index_sha256=_checksum(buffer.getbuffer()))
        info.save(self.directory)
        return replace(self, info=info)


def load_info(directory: str | os.PathLike) -> DatasetInfo:
    """Reads ``dataset.json``, local or in an object store; TFRecordsError if it has changed."""
    path = join(directory, INFO_NAME)
    if not exists(path):
        names = ", ".join(Path(packed).name for packed in packed_directories(directory))
        raise TFRecordsError(f"{directory} holds the packed directories {names}; give one of them")
    try:
        data = json.loads(read_bytes(path))
        version = data["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TFRecordsError(f"{path} cannot be read ({error!r}); {_RESTORE}") from None
    if version != FORMAT_VERSION:
        raise TFRecordsError(
            f"{path} has format version {version!r}, this program reads version {FORMAT_VERSION}; "
            "pack the data again"
        )
    if data.pop("sha256", None) != _checksum(_dump(data).encode()):
        raise TFRecordsError(f"{path} is damaged: its content has another checksum; {_RESTORE}")
    data["classes"] = tuple(data["classes"])
    data["class_ids"] = tuple(data["class_ids"])
    data["shards"] = tuple(ShardInfo(**shard) for shard in data["shards"])
    return DatasetInfo(**data)


def packed_directories(directory: str | os.PathLike) -> list[str]:
    """The packed directories in a local folder of them, or the one that it is."""
    if exists(join(directory, INFO_NAME)):
        return [str(directory)]
    infos = [] if is_remote(directory) else sorted(Path(directory).glob(f"*/{INFO_NAME}"))
    if not infos:
        raise TFRecordsError(
            f"{directory} is not a packed directory: it has no {INFO_NAME}, which is written last; "
            "make one with 'python -m tfrecords pack'"
        )
    return [str(info.parent) for info in infos]


def load_index(directory: str | os.PathLike) -> Index:
    """The index of a packed directory, here or in an object store.

    TFRecordsError: not a packed directory, another format version, or a damaged index.
    """
    if not is_remote(directory):  # the process may go elsewhere later
        directory = Path(directory).absolute()
    info = load_info(directory)
    path = join(directory, info.index_name)
    if not exists(path):
        raise TFRecordsError(f"the index {path} is missing; {_RESTORE}")
    content = read_bytes(path)
    if _checksum(content) != info.index_sha256:
        raise TFRecordsError(
            f"the index {path} is damaged: its SHA-256 is not that in {INFO_NAME}; {_RESTORE}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        return Index(info, str(directory), **{name: data[name] for name in _TYPES})


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Starts (n + 1,) int64 of consecutive runs of the lengths (n,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def hash_ids(ids: np.ndarray, salt: int = 0) -> np.ndarray:
    """Hashes of (n,) bytes, (n,) uint64, the same for good: they decide order and fractions."""
    columns = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), ids.dtype.itemsize)
    state = np.full(len(ids), _FNV_OFFSET ^ np.uint64(salt))
    for column in columns.T:
        # numpy pads short strings with NUL; skipping NUL keeps a hash free of that width.
        state = np.where(column, (state ^ column) * _FNV_PRIME, state)
    return mix(state)


def mix(state: np.ndarray) -> np.ndarray:
    """The output function of splitmix64: every input bit changes every output bit."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
