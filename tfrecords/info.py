"""`dataset.json`: what a packed directory holds."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tfrecords.errors import TFRecordsError

FORMAT_VERSION = 1
FILE_NAME = "dataset.json"


@dataclass(frozen=True)
class ShardInfo:
    """One record file: its name, how many clips and bytes it holds, and its SHA-256."""

    name: str
    clips: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says about a packed directory.

    `classes` are display names in label order, `class_ids` their machine ids (AudioSet mids) or
    empty. `clip_samples` is the length of every waveform at `sample_rate` (Hz). `source` says
    where the clips came from.
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
    format_version: int = FORMAT_VERSION

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def clip_seconds(self) -> float:
        return self.clip_samples / self.sample_rate

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def save(self, directory: str | os.PathLike) -> None:
        """Write `dataset.json`, whole or not at all."""
        write_atomic(Path(directory) / FILE_NAME, self.to_json().encode())


def shard_name(split: str, number: int, total: int) -> str:
    return f"{split}-{number:05d}-of-{total:05d}.tfrecord"


def load_info(directory: str | os.PathLike) -> DatasetInfo:
    """Read `dataset.json`.

    Raises:
        TFRecordsError: `directory` is not a finished packed directory, or another version's.
    """
    path = Path(directory) / FILE_NAME
    if not path.is_file():
        raise TFRecordsError(
            f"{directory} is not a packed directory: it has no {FILE_NAME}, which is written last; "
            "make one with 'python -m tfrecords pack'"
        )
    try:
        data = json.loads(path.read_bytes())
        version = data["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TFRecordsError(
            f"{path} cannot be read ({error!r}); restore it or pack the data again"
        ) from None
    if version != FORMAT_VERSION:
        raise TFRecordsError(
            f"{path} has format version {version!r}, this program reads version {FORMAT_VERSION}; "
            "pack the data again or use the program that wrote it"
        )
    known = {field.name for field in fields(DatasetInfo)}
    try:
        data = {name: value for name, value in data.items() if name in known}
        data["classes"] = tuple(data["classes"])
        data["class_ids"] = tuple(data["class_ids"])
        data["shards"] = tuple(ShardInfo(**shard) for shard in data["shards"])
        return DatasetInfo(**data)
    except (TypeError, KeyError) as error:
        raise TFRecordsError(
            f"{path} is incomplete ({error}); restore it or pack the data again"
        ) from None


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it, then rename it into place."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
