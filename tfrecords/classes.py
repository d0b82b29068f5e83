"""Class lists: names in label order, and AudioSet's machine ids."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tfrecords.files import TFRecordsError, read_csv


@dataclass(frozen=True)
class ClassList:
    """``names`` are display names in label order; ``ids`` are machine ids (mids) or empty."""

    names: tuple[str, ...]
    ids: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {key: number for keys in (self.names, self.ids) for number, key in enumerate(keys)}


def read_class_list(path: str | Path) -> ClassList:
    """The classes in order: of a CSV with the column ``display_name`` (and ``mid``, and ``index``,
    which then decides the order), or of a text file with one name a line.
    """
    lines = read_lines(path, "the class list")
    names, ids = lines, []
    if lines and "display_name" in lines[0]:
        table = read_csv(path, ("display_name",))
        if table and "index" in table[0]:
            if sorted(row["index"] for row in table) != sorted(map(str, range(len(table)))):
                raise TFRecordsError(f"{path}: index must hold 0 to {len(table) - 1}, each once")
            table.sort(key=lambda row: int(row["index"]))
        names = [row["display_name"] for row in table]
        ids = [row["mid"] for row in table if "mid" in row]
    if not names:
        raise TFRecordsError(f"the class list {path} is empty; expected one name a line or a CSV")
    for kind, keys in (("name", names), ("mid", ids)):
        repeated = sorted(key for key, count in Counter(keys).items() if count > 1)
        if repeated:
            raise TFRecordsError(f"{path}: the {kind} {repeated[0]!r} occurs twice; remove one")
    return ClassList(tuple(names), tuple(ids))


def audioset_classes() -> ClassList:
    """AudioSet's 527 classes, in the order of its ``class_labels_indices.csv``."""
    return read_class_list(Path(__file__).parent / "data" / "class_labels_indices.csv")


def read_lines(path: str | Path, what: str) -> list[str]:
    """The lines of a text file that hold something; TFRecordsError if it cannot be read."""
    path = Path(path)
    if not path.is_file():
        raise TFRecordsError(f"{what} {path} does not exist")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TFRecordsError(f"{path} is not UTF-8 text ({error}); convert it first") from None
    return [line.strip() for line in lines if line.strip()]
