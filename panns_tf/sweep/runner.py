"""The runs of a grid: their plan, how far each is, and one process of training after the other."""

import dataclasses
import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from panns_tf.config import NON_LEARNING_SETTINGS, TrainConfig
from panns_tf.run import CONFIG, EVALUATION, is_finished, read_log
from panns_tf.sweep.grid import METRICS, Grid, Row
from tfrecords.files import lock, read_json, write_json
from tfrecords.progress import logger

SNAPSHOT = "grid.json"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: its row's label, all its settings, and its directory."""

    label: str
    settings: dict
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.label}, seed {self.settings['seed']}"

    def beside(self, suffix: str) -> Path:
        """``.log``: what all attempts printed; ``.json``: how the last one ended."""
        return self.folder.with_name(self.folder.name + suffix)

    def state(self) -> dict:
        """How far the run is, as ``runs.csv`` has it: metrics of a finished run, else None."""
        outcome, (lines, _) = _read_object(self.beside(".json")), read_log(self.folder)
        metrics = _read_object(self.folder / EVALUATION / "metrics.json")
        status = "unfinished" if self.folder.exists() else "not started"
        status = "failed" if outcome.get("failed") else status
        if is_finished(self.folder) and "mAP" in metrics:
            status = "finished"
        else:
            metrics = {}
        keys = (*METRICS, "chance_mAP", "num_clips", "num_classes", "classes_left_out")
        return {
            "setting": self.label,
            "seed": self.settings["seed"],
            "status": status,
            "step": lines[-1]["step"] if lines else 0,
            "steps": TrainConfig(**self.settings).steps,
            **{key: metrics.get(key) for key in keys},
            "seconds": round(outcome.get("seconds", 0.0), 1) or None,
            "said": outcome.get("said", ""),
            "folder": "/".join(self.folder.parts[-2:]),
        }

    def progress(self) -> str:
        state = self.state()
        step = f"step {state['step']} of {state['steps']}"
        words = {"failed": f"failed at {step}: {state['said']}", "unfinished": step}
        return words.get(state["status"], state["status"])

    def flags(self) -> list[str]:
        words = []
        for name, value in self.settings.items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words.append(f"--{flag}={value}")
        return [*words, f"--run-dir={self.folder}", "--resume", "auto"]

    def check_unchanged(self) -> None:
        """Raises ValueError if the run was begun with other settings."""
        there = _read_object(self.folder / CONFIG).get("config") or {}
        changed = [
            f"{name} was {there[name]!r}, now {value!r}"
            for name, value in vars(TrainConfig(**self.settings)).items()
            if name in there and name not in NON_LEARNING_SETTINGS and there[name] != value
        ]
        if changed:
            raise ValueError(
                f"{self.folder} holds a run of other settings: {'; '.join(changed)}; choose "
                "another --output, or give the settings it was begun with"
            )


def _read_object(path: Path) -> dict:
    """The object in a file; an empty one where there is none, or half of one."""
    try:
        return dict(read_json(path))
    except (ValueError, TypeError):
        return {}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a folder of runs is to become: a grid whose rows have paths of data, and seeds."""

    grid: Grid
    eval_data: str
    seeds: tuple[int, ...]
    output: Path

    def cells(self, seeds: Sequence[int] = ()) -> list[Cell]:
        """The runs of some seeds, by default all: the first seed of every row first."""
        cells = []
        for seed, row in itertools.product(seeds or self.seeds, self.grid.rows):
            own = {"data": row.data, "eval_data": self.eval_data, "seed": seed}
            folder = self.output / row.slug / f"seed-{seed}"
            cells.append(Cell(row.label, {**row.settings, **own}, folder))
        return cells

    def extended(self) -> "Plan":
        """The plan with the seeds of earlier calls as well, if these were of the same settings."""
        seeds = set(self.seeds)
        if (self.output / SNAPSHOT).is_file():
            seeds |= set(Plan.load(self.output, self.grid.name).seeds)
        plan = dataclasses.replace(self, seeds=tuple(sorted(seeds)))
        for cell in plan.cells():
            cell.check_unchanged()
        return plan

    def save(self) -> None:
        content = {"grid": dataclasses.asdict(self.grid), "eval_data": self.eval_data}
        write_json(self.output / SNAPSHOT, {**content, "seeds": self.seeds})

    @classmethod
    def load(cls, output: Path, name: str | None = None) -> "Plan":
        """Reads grid.json, which must be of the grid of this name if one is given."""
        path = output / SNAPSHOT
        if not path.is_file():
            raise ValueError(f"no ablation in {output}: it has no {SNAPSHOT}")
        content = read_json(path)
        try:
            grid = content["grid"]
            grid.pop("varied", None)  # of version 0.1.0
            rows = tuple(Row(**row) for row in grid.pop("rows"))
            grid = Grid(**{**grid, "rows": rows, "factors": tuple(grid["factors"])})
            plan = cls(grid, content["eval_data"], tuple(content["seeds"]), output)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}") from error
        if name not in (None, grid.name):
            raise ValueError(
                f"{output} holds the grid {grid.name!r}, not {name!r}; choose another --output"
            )
        return plan


def train_command() -> list[str]:
    """The words that start a training, also where the package is installed as a wheel."""
    return [sys.executable, "-m", "panns_tf", "train"]


def run_cells(cells: Sequence[Cell], command: Sequence[str]) -> None:
    """Runs what is not finished, in order; a run that fails does not keep the others back.

    SIGINT and SIGTERM reach the current run, which writes a checkpoint, and raise
    KeyboardInterrupt.
    """
    remaining = [cell for cell in cells if cell.state()["status"] != "finished"]
    done = len(cells) - len(remaining)
    logger.info(f"{len(cells)} runs: {done} finished, {len(remaining)} to do")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for number, cell in enumerate(remaining, done + 1):
            seconds = _run(cell, [*command, *cell.flags()])
            state, ending = cell.state(), f"{cell.progress()} (see {cell.beside('.log')})"
            if state["status"] == "finished":
                ending = f"mAP {state['mAP']:.4f} in {seconds / 60:.1f} min"
            logger.info(f"[{number}/{len(cells)}] {cell.name}: {ending}")
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(cell: Cell, words: Sequence[str]) -> float:
    """Runs one process with its output in a file; records how it ended; returns its seconds."""
    outcome, began = cell.beside(".json"), time.monotonic()
    before = _read_object(outcome).get("seconds", 0.0)
    busy = "a run that another ablation left behind is at work in"
    busy = f"{busy} {cell.folder}; wait for it or end it"
    # The run inherits its log, and with it the lock, even if this process is killed.
    with lock(cell.beside(".log"), busy) as log:
        # Away from the terminal's group, or Ctrl-C would reach it twice, and the second kills.
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        child = subprocess.Popen(words, **streams, start_new_session=True)
        try:
            status = child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            child.wait()
            raise
        finally:  # an old failure is no longer the state
            seconds = time.monotonic() - began
            write_json(outcome, {"seconds": before + seconds})
    if cell.state()["status"] != "finished":
        # The last line that it printed, progress bars aside.
        lines = re.split(r"[\r\n]+", cell.beside(".log").read_text(errors="replace")[-20_000:])
        printed = [line.strip() for line in lines if line.strip() and "%|" not in line]
        message = printed[-1] if printed else "it printed nothing"
        if status <= 0:  # zero: somebody sent SIGTERM to the run alone
            message += f" (signal {-status})" if status else " (status 0)"
        write_json(outcome, {"seconds": before + seconds, "failed": True, "said": message})
    return seconds
