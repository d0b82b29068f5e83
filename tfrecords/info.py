"""`dataset.json`: what a packed directory holds."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tfrecords.errors import TFRecordsError
from tfrecords.shards import write_atomic
from tfrecords.storage import exists, is_remote, join, read_bytes

FORMAT_VERSION = 2
FILE_NAME = "dataset.json"
_CHECKSUM = "sha256"


@dataclass(frozen=True)
class ShardInfo:
    """One record file: its name, how many clips and bytes it holds.

    It has no checksum of its own: every byte of it belongs to a record, whose CRC-32C is in it and
    in the index, and the index has a SHA-256.
    """

    name: str
    clips: int
    bytes: int


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says about a packed directory.

    `classes` are display names in label order, `class_ids` their machine ids (AudioSet mids) or
    empty. `clip_samples` is the length of every waveform at `sample_rate` (Hz). `source` says
    where the clips came from, `plan` identifies the plan they were packed by. A view (see
    `tfrecords.views`) has no shards of its own: the names lead to those of other directories,
    of which its index may hold a part.
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
    index_name: str
    index_sha256: str
    source: str = ""
    plan: str = ""
    view: bool = False
    format_version: int = FORMAT_VERSION

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def shards_text(self) -> str:
        """How many shards, for a person."""
        return f"{len(self.shards)} shard{'s' if len(self.shards) != 1 else ''}"

    @property
    def clip_seconds(self) -> float:
        return self.clip_samples / self.sample_rate

    def to_json(self) -> str:
        """The file's text; its last entry is a checksum of the others."""
        data = asdict(self)
        return _dump({**data, _CHECKSUM: _checksum(data)})

    def save(self, directory: str | os.PathLike) -> None:
        """Write `dataset.json`, whole or not at all."""
        write_atomic(Path(directory) / FILE_NAME, self.to_json().encode())


def _dump(data: dict) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _checksum(data: dict) -> str:
    return hashlib.sha256(_dump(data).encode()).hexdigest()


def shard_name(split: str, number: int, total: int) -> str:
    return f"{split}-{number:05d}-of-{total:05d}.tfrecord"


def load_info(directory: str | os.PathLike) -> DatasetInfo:
    """Read `dataset.json`, here or in an object store.

    Raises:
        TFRecordsError: `directory` is not a finished packed directory, or another version's, or
            the file is not as it was written.
    """
    path = join(directory, FILE_NAME)
    if not exists(path):
        raise TFRecordsError(_not_packed(directory))
    mend = "restore it or pack the data again"
    try:
        data = json.loads(read_bytes(path))
        version = data["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TFRecordsError(f"{path} cannot be read ({error!r}); {mend}") from None
    if version != FORMAT_VERSION:
        raise TFRecordsError(
            f"{path} has format version {version!r}, this program reads version {FORMAT_VERSION}; "
            "pack the data again or use the program that wrote it"
        )
    checksum = data.pop(_CHECKSUM, None)
    if checksum != _checksum(data):
        raise TFRecordsError(f"{path} is damaged: its content has another checksum; {mend}")
    known = {field.name for field in fields(DatasetInfo)}
    try:
        data = {name: value for name, value in data.items() if name in known}
        data["classes"] = tuple(data["classes"])
        data["class_ids"] = tuple(data["class_ids"])
        data["shards"] = tuple(ShardInfo(**shard) for shard in data["shards"])
        return DatasetInfo(**data)
    except (TypeError, KeyError) as error:
        raise TFRecordsError(f"{path} is incomplete ({error}); {mend}") from None


def splits_of(directory: str | os.PathLike) -> list[str]:
    """The names of the packed directories in a folder of them; local folders only."""
    if is_remote(directory) or not Path(directory).is_dir():
        return []
    return sorted(path.parent.name for path in Path(directory).glob(f"*/{FILE_NAME}"))


def _not_packed(directory: str | os.PathLike) -> str:
    if splits := splits_of(directory):
        return (
            f"{directory} holds the packed directories {', '.join(splits)}; give one of them, for "
            f"instance {join(directory, splits[0])}"
        )
    return (
        f"{directory} is not a packed directory: it has no {FILE_NAME}, which is written last; "
        "make one with 'python -m tfrecords pack'"
    )


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
