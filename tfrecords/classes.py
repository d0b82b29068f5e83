"""Class lists: names in label order, and AudioSet's machine ids."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tfrecords.files import read_csv
from tfrecords.storage import TFRecordsError
from tfrecords.text import did_you_mean


@dataclass(frozen=True)
class ClassList:
    """`names` are display names in label order; `ids` are machine ids (mids) or empty."""

    names: tuple[str, ...]
    ids: tuple[str, ...] = ()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {key: number for keys in (self.names, self.ids) for number, key in enumerate(keys)}

    def number(self, label: str) -> int | None:
        """The class number of a display name or machine id; None if there is none."""
        return self._numbers.get(label)

    def nearest(self, label: str) -> str:
        """A hint at the names most like `label`, for error messages."""
        return did_you_mean(label, self._numbers)


def read_class_list(path: str | Path) -> ClassList:
    """Reads a file that fixes the classes and their order.

    Either a CSV with a column `display_name` (and perhaps `mid`, and `index`, which then gives
    the order), or plain text with one name a line.

    Raises:
        ValueError: missing, empty or contradictory file.
    """
    path = Path(path)
    if not path.is_file():
        raise TFRecordsError(f"the class list {path} does not exist; give it with --labels")
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    classes = ClassList(tuple(lines))
    if lines and "display_name" in lines[0]:
        table = read_csv(path)
        if table and "index" in table[0]:
            if sorted(row["index"] for row in table) != sorted(map(str, range(len(table)))):
                raise TFRecordsError(f"{path}: index must hold 0 to {len(table) - 1}, each once")
            table.sort(key=lambda row: int(row["index"]))
        ids = tuple(row["mid"] for row in table if "mid" in row)
        classes = ClassList(tuple(row["display_name"] for row in table), ids)
    if not classes.names:
        raise TFRecordsError(f"the class list {path} is empty; expected one name a line or a CSV")
    for kind, keys in (("name", classes.names), ("mid", classes.ids)):
        repeated = sorted(key for key, count in Counter(keys).items() if count > 1)
        if repeated:
            raise TFRecordsError(f"{path}: the {kind} {repeated[0]!r} occurs twice; remove one")
    return classes


def audioset_classes() -> ClassList:
    """AudioSet's 527 classes, in the order of its ``class_labels_indices.csv``."""
    return read_class_list(Path(__file__).parent / "data" / "class_labels_indices.csv")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        TFRecordsError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TFRecordsError(f"{path} is not UTF-8 text ({error}); convert it first") from None
