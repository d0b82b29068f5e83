"""Runs the cells of a grid, one process of train.py after the other."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from panns_tf.ablation.runs import Cell, State, state_of

try:
    import fcntl
except ImportError:  # Windows: two ablations in one folder are not seen
    fcntl = None


def train_command() -> list[str]:
    """Returns how train.py is started.

    Raises:
        ValueError: if it does not lie beside the package.
    """
    path = Path(__file__).parents[2] / "train.py"
    if not path.is_file():
        raise ValueError(
            f"there is no {path}: ablations run the train.py of a clone of the repository; start "
            "this command in one"
        )
    return [sys.executable, str(path)]


def flags(cell: Cell, eval_data: str) -> list[str]:
    """The command line of one run."""
    settings = {"data": cell.row.data, "eval_data": eval_data, "seed": cell.seed}
    words = []
    for name, value in {**cell.row.settings, **settings}.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words.append(f"--{flag}={value}")
    return [*words, f"--run-dir={cell.folder}", "--resume", "auto"]


def run_cells(
    cells: Sequence[Cell],
    eval_data: str,
    command: Sequence[str],
    say: Callable[[str], None] = print,
    lock: int | None = None,
) -> int | None:
    """Runs what is not finished, in order; a run that fails does not keep the others back.

    SIGINT and SIGTERM are handed to the run under way, which then writes a checkpoint, and end
    the whole.

    Args:
        cells: the runs.
        eval_data: held-out records.
        command: the words that start train.py.
        say: prints a line.
        lock: of `locked`, which the runs then hold too.

    Returns:
        The signal that ended it, or None.
    """
    states = {cell.folder: state_of(cell) for cell in cells}
    left = [cell for cell in cells if states[cell.folder].status != "finished"]
    say(f"{len(cells)} runs: {len(cells) - len(left)} finished, {len(left)} to do")
    with _forwarded_signals() as signals:
        while left and not signals.number:
            cell = left.pop(0)
            ended = _run(cell, [*command, *flags(cell, eval_data)], signals, lock)
            states[cell.folder] = state = state_of(cell)
            if signals.number and state.status != "finished":
                say(f"Stopped: {cell.name}, at step {state.step} of {state.steps}")
                break
            done = len(cells) - len(left)
            rest = f"; {len(left)} to go, {_estimate(left, states)}" if left else ""
            say(f"[{done}/{len(cells)}] {cell.name}: {_ending(cell, state, ended)}{rest}")
    return signals.number


def _ending(cell: Cell, state: State, seconds: float) -> str:
    if state.status == "finished":
        return f"mAP {state.values['mAP']:.4f} in {in_words(seconds)}"
    return f"{state.text} (see {cell.log})"


def _run(cell: Cell, words: list[str], signals: "_Signals", lock) -> float:
    """Runs one process with its output in a file; notes how it ended; returns its seconds."""
    before, began = state_of(cell).seconds, time.monotonic()
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    _write_json(cell.outcome, {"seconds": before})  # an old failure is no longer the state
    with cell.log.open("ab") as log:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Away from the terminal's group, or Ctrl-C would reach it twice, and the second kills.
            start_new_session=True,
            # Should this process be killed, the run under way still holds the folder.
            pass_fds=() if lock is None else (lock,),
        )
        signals.watch(child)
        status = child.wait()
        signals.watch(None)
    seconds = time.monotonic() - began
    outcome = {"seconds": before + seconds, "status": status}
    if not signals.number and state_of(cell).status != "finished":
        said = _last_line(cell.log) or "it printed nothing"
        ended = f"signal {-status}" if status < 0 else f"status {status}"
        # Zero: somebody sent SIGTERM to the run alone, and it took its leave.
        outcome |= {"failed": True, "said": said if status > 0 else f"{said} ({ended})"}
    _write_json(cell.outcome, outcome)
    return seconds


def _last_line(path: Path) -> str:
    """The last line that a run printed, but for its progress bar, which says nothing of it."""
    lines = re.split(r"[\r\n]+", path.read_text(errors="replace")[-20_000:])
    said = (line.strip() for line in reversed(lines) if "%|" not in line)
    return next(filter(None, said), "")


def _write_json(path: Path, content: dict) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)


def _estimate(left: Sequence[Cell], states: dict[Path, State]) -> str:
    """How long the rest may take: as long as runs of the same row did, or else of all."""
    known = {}
    for folder, state in states.items():
        if state.status == "finished" and state.seconds:
            known.setdefault(folder.parent, []).append(state.seconds)
    if not known:
        return "no run finished yet to tell how long"
    every = [seconds for found in known.values() for seconds in found]
    rest = 0.0
    for cell in left:
        whole = fmean(known.get(cell.folder.parent, every))
        rest += max(0.0, whole - states[cell.folder].seconds)
    return f"about {in_words(rest)}"


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


class _Signals:
    """Hands signals on to a child.

    Attributes:
        number: the last signal, or None.
    """

    number: int | None = None
    _child: subprocess.Popen | None = None

    def watch(self, child: subprocess.Popen | None) -> None:
        self._child = child
        if child and self.number:  # it came while the child was being made
            child.send_signal(self.number)

    def handle(self, number: int, frame) -> None:
        self.number = number
        if self._child:
            self._child.send_signal(number)


@contextlib.contextmanager
def _forwarded_signals() -> Iterator[_Signals]:
    signals, numbers = _Signals(), (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signals.handle) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def locked(output: Path) -> Iterator[int | None]:
    """Holds the folder, as long as this process or a run that it began is alive.

    Raises:
        ValueError: if another ablation holds it.
    """
    output.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield None
        return
    file = os.open(output / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another ablation, or a run that one left behind, is at work in {output}; wait "
                "for it or end it"
            ) from None
        yield file
    finally:
        os.close(file)
