"""The runs of a grid on the disk, and how far each has come."""

import dataclasses
import json
from pathlib import Path

from panns_tf.ablation.grid import Row
from panns_tf.config import BESIDES, TrainConfig
from panns_tf.run_directory import is_finished, read_log


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a row with a seed, and its directory."""

    row: Row
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.row.label}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What train.py printed, of all attempts."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def outcome(self) -> Path:
        """How the last attempt ended, and the seconds of all."""
        return self.folder.with_name(f"{self.folder.name}.json")


@dataclasses.dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        status: ``"finished"``, ``"failed"``, ``"unfinished"`` or ``"not started"``.
        step, steps: updates done, as its log says, and wanted.
        values: of its last evaluation, when finished; else empty.
        said: of a failed run, the last line of its log.
        seconds: that its attempts took, all together.
    """

    status: str
    step: int
    steps: int
    values: dict
    said: str
    seconds: float

    @property
    def text(self) -> str:
        """The state in words."""
        if self.status == "failed":
            return f"failed at step {self.step} of {self.steps}: {self.said}"
        if self.status == "unfinished":
            return f"step {self.step} of {self.steps}"
        return self.status


def cells_of(rows: tuple[Row, ...], seeds: tuple[int, ...], output: Path) -> list[Cell]:
    """Every run of a grid, seed by seed, so that what is done first is a table of all rows."""
    return [Cell(row, seed, output / row.slug / f"seed-{seed}") for seed in seeds for row in rows]


def state_of(cell: Cell) -> State:
    """Looks at the disk."""
    outcome = read_json(cell.outcome)
    lines, _ = read_log(cell.folder)
    step, steps = (lines[-1]["step"] if lines else 0), cell.row.config().steps
    values = read_json(cell.folder / "evaluation" / "metrics.json")
    if is_finished(cell.folder) and "mAP" in values:
        status = "finished"
    elif outcome.get("failed"):
        status = "failed"
    elif step or cell.folder.exists():
        status = "unfinished"
    else:
        status = "not started"
    return State(
        status,
        step,
        steps,
        values if status == "finished" else {},
        str(outcome.get("said", "")),
        float(outcome.get("seconds", 0.0)),
    )


def read_json(path: Path) -> dict:
    """The object in a file; an empty one where there is none, or half of one."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def check_unchanged(cells: list[Cell], eval_data: str) -> None:
    """Raises a ValueError if runs that are there were begun with other settings."""
    for cell in cells:
        there = read_json(cell.folder / "config.json").get("config")
        if not isinstance(there, dict):
            continue
        config = cell.row.config(data=cell.row.data, eval_data=eval_data, seed=cell.seed)
        wanted = dataclasses.asdict(config)
        changed = [
            f"{field.name} was {there[field.name]!r}, now {wanted[field.name]!r}"
            for field in dataclasses.fields(TrainConfig)
            if field.name in there
            and field.name not in BESIDES
            and there[field.name] != wanted[field.name]
        ]
        if changed:
            raise ValueError(
                f"{cell.folder} holds a run of other settings: {'; '.join(changed)}; choose "
                "another --output, or give the settings it was begun with"
            )
