"""The runs of a grid: their plan, how far each is, and one process of training after the other."""

import dataclasses
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from panns_tf.config import NON_LEARNING_SETTINGS
from panns_tf.run import CONFIG, EVALUATION, is_finished, read_log
from panns_tf.sweep.grid import Grid, Row
from tfrecords.files import read_json, write_json
from tfrecords.progress import logger

try:
    import fcntl
except ImportError:  # Windows: a run that was left behind is not noticed
    fcntl = None

SNAPSHOT = "grid.json"


@dataclasses.dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        status: ``"finished"``, ``"failed"``, ``"unfinished"`` or ``"not started"``.
        step, steps: updates done, as its log says, and wanted.
        metrics: of its last evaluation, when finished; else empty.
        message: of a failed run, the last line it printed.
        seconds: that all its attempts took together.
    """

    status: str
    step: int
    steps: int
    metrics: dict
    message: str
    seconds: float

    @property
    def text(self) -> str:
        """The state in words."""
        if self.status == "failed":
            return f"failed at step {self.step} of {self.steps}: {self.message}"
        return f"step {self.step} of {self.steps}" if self.status == "unfinished" else self.status


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a row with a seed, and its directory."""

    row: Row
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.row.label}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What all attempts printed."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def outcome(self) -> Path:
        """How the last attempt ended, and the seconds of all."""
        return self.folder.with_name(f"{self.folder.name}.json")

    def state(self) -> State:
        """Reads how far the run is."""
        outcome = _read_object(self.outcome)
        message, seconds = str(outcome.get("said", "")), float(outcome.get("seconds", 0.0))
        lines, _ = read_log(self.folder)
        step, steps = lines[-1]["step"] if lines else 0, self.row.config().steps
        metrics = _read_object(self.folder / EVALUATION / "metrics.json")
        if is_finished(self.folder) and "mAP" in metrics:
            return State("finished", step, steps, metrics, message, seconds)
        status = "unfinished" if step or self.folder.exists() else "not started"
        status = "failed" if outcome.get("failed") else status
        return State(status, step, steps, {}, message, seconds)

    def flags(self, eval_data: str) -> list[str]:
        """The flags of `panns-tf train` for the run."""
        settings = {"data": self.row.data, "eval_data": eval_data, "seed": self.seed}
        words = []
        for name, value in {**self.row.settings, **settings}.items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words.append(f"--{flag}={value}")
        return [*words, f"--run-dir={self.folder}", "--resume", "auto"]

    def check_unchanged(self, eval_data: str) -> None:
        """Raises ValueError if the run was begun with other settings."""
        there = _read_object(self.folder / CONFIG).get("config") or {}
        config = self.row.config(data=self.row.data, eval_data=eval_data, seed=self.seed)
        changed = [
            f"{name} was {there[name]!r}, now {value!r}"
            for name, value in dataclasses.asdict(config).items()
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
        content = read_json(path)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a folder of runs is to become: a grid whose rows have paths of data, and seeds."""

    grid: Grid
    eval_data: str
    seeds: tuple[int, ...]
    output: Path

    def cells(self, rows: Sequence[Row] | None = None, seeds: Sequence[int] = ()) -> list[Cell]:
        """The runs of some rows and seeds, by default all: the first seed of every row first."""
        return [
            Cell(row, seed, self.output / row.slug / f"seed-{seed}")
            for seed in seeds or self.seeds
            for row in rows or self.grid.rows
        ]

    def extended(self) -> "Plan":
        """The plan with the seeds of earlier calls as well.

        Raises:
            ValueError: if the folder holds another grid, or runs of other settings.
        """
        before = _read_object(self.output / SNAPSHOT)
        name = before.get("grid", {}).get("name")
        if before and name != self.grid.name:
            raise ValueError(
                f"{self.output} holds the grid {name!r}, not {self.grid.name!r}; choose another "
                "--output"
            )
        seeds = tuple(sorted({*self.seeds, *before.get("seeds", ())}))
        plan = dataclasses.replace(self, seeds=seeds)
        for cell in plan.cells():
            cell.check_unchanged(self.eval_data)
        return plan

    def save(self) -> None:
        """Writes grid.json."""
        content = {"grid": dataclasses.asdict(self.grid), "eval_data": self.eval_data}
        write_json(self.output / SNAPSHOT, {**content, "seeds": self.seeds})

    @classmethod
    def load(cls, output: Path) -> "Plan":
        """Reads grid.json; ValueError if there is none."""
        path = output / SNAPSHOT
        if not path.is_file():
            raise ValueError(f"no ablation in {output}: it has no {SNAPSHOT}")
        content = read_json(path)
        try:
            grid = content["grid"]
            rows = tuple(Row(**row) for row in grid.pop("rows"))
            lists = {name: tuple(grid.pop(name)) for name in ("varied", "factors")}
            grid = Grid(**grid, **lists, rows=rows)
            return cls(grid, content["eval_data"], tuple(content["seeds"]), output)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}") from error


def train_command() -> list[str]:
    """The words that start a training, also where the package is installed as a wheel."""
    return [sys.executable, "-m", "panns_tf", "train"]


def run_cells(cells: Sequence[Cell], eval_data: str, command: Sequence[str]) -> int | None:
    """Runs what is not finished, in order; a run that fails does not keep the others back.

    SIGINT and SIGTERM are passed to the current run, which writes a checkpoint, and end the whole.

    Args:
        cells: the runs.
        eval_data: held-out records.
        command: the words that start a training.

    Returns:
        The signal that ended it, or None.
    """
    remaining = [cell for cell in cells if cell.state().status != "finished"]
    done = len(cells) - len(remaining)
    logger.info(f"{len(cells)} runs: {done} finished, {len(remaining)} to do")
    with _Signals() as signals:
        for number, cell in enumerate(remaining, done + 1):
            seconds = _run(cell, [*command, *cell.flags(eval_data)], signals)
            state = cell.state()
            if state.status == "finished":
                ending = f"mAP {state.metrics['mAP']:.4f} in {seconds / 60:.1f} min"
            else:
                ending = f"{state.text} (see {cell.log})"
            logger.info(f"[{number}/{len(cells)}] {cell.name}: {ending}")
            if signals.number:
                logger.info("Stopped; the same command continues.")
                break
    return signals.number


def _run(cell: Cell, words: Sequence[str], signals: "_Signals") -> float:
    """Runs one process with its output in a file; records how it ended; returns its seconds."""
    before, began = cell.state().seconds, time.monotonic()
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    with cell.log.open("ab") as log:
        _claim(log, cell)
        write_json(cell.outcome, {"seconds": before})  # an old failure is no longer the state
        # Away from the terminal's group, or Ctrl-C would reach it twice, and the second kills.
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        status = signals.wait_for(subprocess.Popen(words, **streams, start_new_session=True))
    seconds = time.monotonic() - began
    outcome = {"seconds": before + seconds, "status": status}
    if not signals.number and cell.state().status != "finished":
        message = _last_line(cell.log) or "it printed nothing"
        if status <= 0:  # zero: somebody sent SIGTERM to the run alone
            message += f" (signal {-status})" if status else " (status 0)"
        outcome |= {"failed": True, "said": message}
    write_json(cell.outcome, outcome)
    return seconds


def _claim(log, cell: Cell) -> None:
    """Locks the log, which the run inherits: it holds the lock even if this process is killed."""
    if fcntl is None:
        return
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"a run that another ablation left behind is at work in {cell.folder}; wait for it or "
            "end it"
        ) from None


def _last_line(path: Path) -> str:
    """The last line that a run printed, progress bars aside."""
    lines = re.split(r"[\r\n]+", path.read_text(errors="replace")[-20_000:])
    printed = (line.strip() for line in reversed(lines) if "%|" not in line)
    return next(filter(None, printed), "")


class _Signals:
    """Context in which SIGINT and SIGTERM are passed on to a child process.

    Attributes:
        number: the last signal, or None.
    """

    def __init__(self):
        self.number: int | None = None
        self._child: subprocess.Popen | None = None

    def __enter__(self) -> "_Signals":
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._pass_on) for number in numbers}
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait_for(self, child: subprocess.Popen) -> int:
        """Waits for a child; returns its status."""
        self._child = child
        if self.number:  # it came while the child was being made
            child.send_signal(self.number)
        status = child.wait()
        self._child = None
        return status

    def _pass_on(self, number: int, frame) -> None:
        self.number = number
        if self._child:
            self._child.send_signal(number)
