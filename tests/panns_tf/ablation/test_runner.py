import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from panns_tf.ablation import runner
from panns_tf.ablation.plan import Plan, noted
from panns_tf.ablation.runner import flags, in_words, locked, run_cells, train_command
from panns_tf.ablation.runs import state_of
from panns_tf.ablation.table import write_table
from tests.panns_tf.ablation.support import FAKE, finish, plan_of, rows_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The run directories in the order in which runs were started."""
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv("FAKE_CALLS", str(path))
    return lambda: [str(Path(*Path(line).parts[-2:])) for line in path.read_text().split()]


def run(plan: Plan) -> tuple[int | None, list[str]]:
    said = []
    with locked(plan.output) as lock:
        return run_cells(plan.cells, plan.eval_data, FAKE, said.append, lock), said


def statuses(plan: Plan) -> list[str]:
    return [state_of(cell).status for cell in plan.cells]


def test_seed_by_seed_and_nothing_twice(tmp_path, calls):
    plan = plan_of(tmp_path / "out", rows_of(0, 1))
    assert statuses(plan) == ["not started"] * 4
    stopped, said = run(plan)
    assert stopped is None
    order = ["gain-0/seed-0", "gain-1/seed-0", "gain-0/seed-1", "gain-1/seed-1"]
    assert calls() == order
    assert statuses(plan) == ["finished"] * 4
    assert said[0] == "4 runs: 0 finished, 4 to do"
    assert re.match(r"\[1/4\] gain 0, seed 0: mAP 0\.2000 in \d+ s; 3 to go, about \d+ s", said[1])
    assert said[-1].startswith("[4/4] gain 1, seed 1: mAP 0.3100 in")
    table = write_table(plan)
    _, said = run(plan)
    assert said == ["4 runs: 4 finished, 0 to do"]
    assert calls() == order
    assert write_table(plan) == table


def test_a_run_without_its_evaluation_or_its_network_is_done_again(tmp_path, calls):
    plan = plan_of(tmp_path / "out", rows_of(0, 1, 2), seeds=(0,))
    for cell in plan.cells:
        finish(cell)
    (plan.cells[0].folder / "final.keras").unlink()
    (plan.cells[1].folder / "evaluation" / "metrics.json").write_text('{"mAP": 0.')
    assert statuses(plan) == ["unfinished", "unfinished", "finished"]


def test_a_failed_run_is_named_and_the_others_go_on(tmp_path, monkeypatch, calls):
    plan = plan_of(tmp_path / "out", rows_of(0, 1))
    monkeypatch.setenv("FAKE_FAIL", "gain-1/seed-0")
    stopped, said = run(plan)
    assert stopped is None
    assert statuses(plan) == ["finished", "failed", "finished", "finished"]
    (line,) = [line for line in said if "failed" in line]
    assert "gain 1, seed 0: failed at step 0 of 5: error: the disk is on fire (see " in line
    assert "failed at step 0 of 5: error: the disk is on fire" in write_table(plan)
    monkeypatch.delenv("FAKE_FAIL")
    run(plan)
    assert statuses(plan) == ["finished"] * 4
    assert calls().count("gain-1/seed-0") == 2
    assert len(calls()) == 5
    assert "failed" not in write_table(plan)


def test_a_command_that_does_not_exist_is_an_error(tmp_path):
    plan = plan_of(tmp_path / "out", rows_of(0))
    with pytest.raises(OSError):
        run_cells(plan.cells, "eval", [str(tmp_path / "absent")], print)


def signal_when_waiting(folder: Path, number: int) -> threading.Thread:
    def watch() -> None:
        log, deadline = folder / "metrics.jsonl", time.monotonic() + 60
        while time.monotonic() < deadline:
            if log.exists() and log.read_text().count("\n") >= 3:
                os.kill(os.getpid(), number)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_run_which_goes_on_later(tmp_path, monkeypatch, calls, number):
    whole = plan_of(tmp_path / "whole", rows_of(0, 1))
    run(whole)
    plan = plan_of(tmp_path / "out", rows_of(0, 1))
    monkeypatch.setenv("FAKE_WAIT", "out/gain-1/seed-0")
    before = signal.getsignal(number)
    thread = signal_when_waiting(plan.cells[1].folder, number)
    stopped, said = run(plan)
    thread.join()
    assert stopped == number
    assert signal.getsignal(number) is before
    assert said[-1] == "Stopped: gain 1, seed 0, at step 3 of 5"
    assert statuses(plan) == ["finished", "unfinished", "not started", "not started"]
    assert "gain 1, seed 0: step 3 of 5" in write_table(plan)
    assert (plan.cells[1].folder / "checkpoint").read_text() == "3"
    monkeypatch.delenv("FAKE_WAIT")
    run(plan)
    lines = (plan.cells[1].folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert write_table(plan) == write_table(whole)


DRIVER = """
import sys
from pathlib import Path
from tests.panns_tf.ablation.support import FAKE, plan_of, rows_of
from panns_tf.ablation.runner import locked, run_cells
plan = plan_of(Path(sys.argv[1]), rows_of(0), seeds=(0,))
with locked(plan.output) as lock:
    run_cells(plan.cells, "eval", FAKE, print, lock)
"""


def test_killed_outright_the_run_left_behind_holds_the_folder(tmp_path):
    plan = plan_of(tmp_path / "out", rows_of(0), seeds=(0,))
    environment = {**os.environ, "FAKE_WAIT": "seed-0", "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(plan.output)], env=environment)
    log, deadline = plan.cells[0].folder / "metrics.jsonl", time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") == 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
    if not children.exists():
        driver.kill()
        pytest.skip("this system does not say whose child a process is")
    (child,) = (int(text) for text in children.read_text().split())
    driver.kill()
    driver.wait()
    with pytest.raises(ValueError, match="another ablation, or a run that one left behind"):
        run(plan)
    os.kill(child, signal.SIGTERM)
    while Path(f"/proc/{child}/environ").exists() and not (log.parent / "checkpoint").exists():
        time.sleep(0.02)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            run(plan)
            break
        except ValueError:  # it has yet to let go
            time.sleep(0.05)
    assert statuses(plan) == ["finished"]


def test_flags_are_those_of_train_py(tmp_path):
    (row,) = rows_of(2)
    row.settings["dropout"] = False
    plan = plan_of(tmp_path, (row,), seeds=(7,))
    assert flags(plan.cells[0], "held out") == [
        "--arch=Tiny",
        "--steps=5",
        "--gain=2",
        "--no-dropout",
        "--data=train",
        "--eval-data=held out",
        "--seed=7",
        f"--run-dir={tmp_path}/gain-2/seed-7",
        "--resume",
        "auto",
    ]


def test_without_a_clone_there_is_no_train_py(tmp_path, monkeypatch):
    assert train_command() == [sys.executable, str(ROOT / "train.py")]
    monkeypatch.setattr(runner, "__file__", str(tmp_path / "panns_tf" / "ablation" / "runner.py"))
    with pytest.raises(ValueError, match=r"there is no .*train\.py: ablations run the train\.py"):
        train_command()


def test_times_in_words():
    assert [in_words(s) for s in (3.2, 600, 10_000)] == ["3 s", "10 min", "2.8 h"]


def test_a_folder_without_an_ablation_is_named(tmp_path):
    with pytest.raises(ValueError, match="no ablation in"):
        noted(tmp_path)


def test_what_a_failed_run_said_is_not_its_progress_bar(tmp_path):
    log = tmp_path / "log"
    log.write_text("train:  0%| | 0/9\rerror: no room\ntrain:  0%|  | 0/9 [00:00<?, ?step/s]\n\n")
    assert runner._last_line(log) == "error: no room"
    log.write_text("train:  0%| | 0/9\r")
    assert runner._last_line(log) == ""
