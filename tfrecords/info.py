"""`dataset.json`: what a packed directory holds."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tfrecords.files import write_atomic
from tfrecords.storage import TFRecordsError, exists, is_remote, join, read_bytes

FORMAT_VERSION = 2
FILE_NAME = "dataset.json"


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
    """The content of `dataset.json`.

    Attributes:
        split: name of the shards.
        sample_rate: of every waveform, in Hz.
        clip_samples: length of every waveform.
        codec: one of `tfrecords.codecs.CODECS`.
        classes, class_ids: display names in label order; AudioSet's machine ids, or empty.
        shards: of a view (see `tfrecords.views`) those of other directories, of which its index
            may hold a part.
        source: where the clips came from.
        plan: identifies the plan by which they were packed.
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
        """The number of shards, for messages."""
        return f"{len(self.shards)} shard{'s' if len(self.shards) != 1 else ''}"

    @property
    def clip_seconds(self) -> float:
        return self.clip_samples / self.sample_rate

    def save(self, directory: str | os.PathLike) -> None:
        """Writes `dataset.json`, whole or not at all; its last entry is a checksum of the rest."""
        data = asdict(self)
        text = _dump({**data, "sha256": _checksum(data)})
        write_atomic(Path(directory) / FILE_NAME, text)


def _dump(data: dict) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _checksum(data: dict) -> str:
    return hashlib.sha256(_dump(data).encode()).hexdigest()


def shard_name(split: str, number: int, total: int) -> str:
    return f"{split}-{number:05d}-of-{total:05d}.tfrecord"


def load_info(directory: str | os.PathLike) -> DatasetInfo:
    """Reads `dataset.json`, here or in an object store.

    Raises:
        TFRecordsError: `directory` is not a finished packed directory, or another version's, or
            the file is not as it was written.
    """
    path = join(directory, FILE_NAME)
    if not exists(path):
        raise TFRecordsError(_not_packed(directory))
    restore = "restore it or pack the data again"
    try:
        data = json.loads(read_bytes(path))
        version = data["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TFRecordsError(f"{path} cannot be read ({error!r}); {restore}") from None
    if version != FORMAT_VERSION:
        raise TFRecordsError(
            f"{path} has format version {version!r}, this program reads version {FORMAT_VERSION}; "
            "pack the data again"
        )
    if data.pop("sha256", None) != _checksum(data):
        raise TFRecordsError(f"{path} is damaged: its content has another checksum; {restore}")
    data["classes"] = tuple(data["classes"])
    data["class_ids"] = tuple(data["class_ids"])
    data["shards"] = tuple(ShardInfo(**shard) for shard in data["shards"])
    return DatasetInfo(**data)


def packed_directories(directory: str | os.PathLike) -> list[str]:
    """The packed directories in a folder of them, or the one that it is.

    Raises:
        TFRecordsError: it is neither.
    """
    if exists(join(directory, FILE_NAME)):
        return [str(directory)]
    if splits := _splits(directory):
        return [str(Path(directory, name)) for name in splits]
    raise TFRecordsError(_not_packed(directory))


def _splits(directory: str | os.PathLike) -> list[str]:
    """Names of the packed directories in a local folder."""
    if is_remote(directory) or not Path(directory).is_dir():
        return []
    return sorted(path.parent.name for path in Path(directory).glob(f"*/{FILE_NAME}"))


def _not_packed(directory: str | os.PathLike) -> str:
    if splits := _splits(directory):
        return f"{directory} holds the packed directories {', '.join(splits)}; give one of them"
    return (
        f"{directory} is not a packed directory: it has no {FILE_NAME}, which is written last; "
        "make one with 'python -m tfrecords pack'"
    )
