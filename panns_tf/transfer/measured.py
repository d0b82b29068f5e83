"""This project's own figures of transfer, for the column beside the paper's."""

import csv
import dataclasses
from importlib.resources import files
from pathlib import Path

COLUMNS = (
    *("task", "arch", "strategy", "weights", "metric", "value", "low", "high"),
    *("folds", "seeds", "hardware", "command"),
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A figure of a task.

    Attributes:
        task, arch, strategy, weights, metric: what was measured; ``weights`` in words, empty for
            random ones.
        value: the mean over folds and seeds.
        low, high: its 95 % interval, or None.
        folds, seeds: how many.
        hardware: that trained.
        command: that repeats it.
    """

    task: str
    arch: str
    strategy: str
    weights: str
    metric: str
    value: float
    low: float | None
    high: float | None
    folds: int
    seeds: int
    hardware: str
    command: str


def read_measured(path: str | Path | None = None) -> list[Measured]:
    """Reads a table of figures.

    Args:
        path: of a CSV file with `COLUMNS`; None for that of this package.

    Raises:
        ValueError: in one line, for a damaged table.
    """
    place = files("panns_tf") / "data" / "transfer.csv" if path is None else Path(path)
    with place.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{place}: expected the columns {','.join(COLUMNS)}")
        return [_measured(row, f"{place}, line {reader.line_num}") for row in reader]


def _measured(row: dict, where: str) -> Measured:
    try:
        ends = [float(row[name]) if row[name] else None for name in ("low", "high")]
        texts = [row[name].strip() for name in COLUMNS[:5]]
        counts = int(row["folds"]), int(row["seeds"])
        return Measured(
            *texts, float(row["value"]), *ends, *counts, row["hardware"], row["command"]
        )
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"{where}: expected a value for each of {','.join(COLUMNS)}") from None


def measured(
    task: str | None,
    arch: str,
    strategy: str,
    metric: str,
    weights: str | None = None,
    path: str | Path | None = None,
) -> Measured | None:
    """Returns this project's figure of a task, network and strategy, or None.

    Args:
        task, arch, strategy, metric: all must be the same.
        weights: of several figures that with these weights is taken, else the first.
        path: as for `read_measured`.
    """
    wanted = (task, arch, strategy, metric)
    found = [
        row
        for row in read_measured(path)
        if (row.task, row.arch, row.strategy, row.metric) == wanted
    ]
    same = [row for row in found if row.weights == (weights or "")]
    return (same or found or [None])[0]
