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

from panns_tf.sweep.runner import Plan, run_cells, train_command
from panns_tf.sweep.table import write_table
from tests.panns_tf.sweep.support import FAKE, finish, plan_of, rows_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The run directories in the order in which runs were started."""
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv("FAKE_CALLS", str(path))
    return lambda: [str(Path(*Path(line).parts[-2:])) for line in path.read_text().split()]


@pytest.fixture
def messages(caplog, monkeypatch):
    monkeypatch.setattr("tfrecords.progress.logger.propagate", True)
    caplog.set_level("INFO", "panns_tf")

    def taken() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return taken


def run(plan: Plan) -> None:
    run_cells(plan.cells(), FAKE)


def statuses(plan: Plan) -> list[str]:
    return [cell.state()["status"] for cell in plan.cells()]


def test_seed_by_seed_and_nothing_twice(tmp_path, calls, messages):
    plan = plan_of(tmp_path / "out", rows_of(0, 1))
    assert statuses(plan) == ["not started"] * 4
    run(plan)
    order = ["gain-0/seed-0", "gain-1/seed-0", "gain-0/seed-1", "gain-1/seed-1"]
    assert calls() == order
    assert statuses(plan) == ["finished"] * 4
    logged = messages()
    assert logged[0] == "4 runs: 0 finished, 4 to do"
    assert re.fullmatch(r"\[1/4\] gain 0, seed 0: mAP 0\.2000 in \d\.\d min", logged[1])
    assert logged[-1].startswith("[4/4] gain 1, seed 1: mAP 0.3100 in")
    table = write_table(plan)
    run(plan)
    assert messages() == ["4 runs: 4 finished, 0 to do"]
    assert calls() == order
    assert write_table(plan) == table


def test_a_run_without_its_evaluation_or_its_network_is_done_again(tmp_path):
    plan = plan_of(tmp_path / "out", rows_of(0, 1, 2), seeds=(0,))
    for cell in plan.cells():
        finish(cell)
    (plan.cells()[0].folder / "final.keras").unlink()
    (plan.cells()[1].folder / "evaluation" / "metrics.json").write_text('{"mAP": 0.')
    assert statuses(plan) == ["unfinished", "unfinished", "finished"]


def test_a_failed_run_is_named_and_the_others_go_on(tmp_path, monkeypatch, calls, messages):
    plan = plan_of(tmp_path / "out", rows_of(0, 1))
    monkeypatch.setenv("FAKE_FAIL", "gain-1/seed-0")
    run(plan)
    assert statuses(plan) == ["finished", "failed", "finished", "finished"]
    (line,) = [line for line in messages() if "failed" in line]
    assert "gain 1, seed 0: failed at step 0 of 5: error: the disk is on fire (see " in line
    assert "failed at step 0 of 5: error: the disk is on fire" in write_table(plan)
    monkeypatch.delenv("FAKE_FAIL")
    run(plan)
    assert statuses(plan) == ["finished"] * 4
    assert calls().count("gain-1/seed-0") == 2
    assert len(calls()) == 5
    assert "failed" not in write_table(plan)
    with pytest.raises(OSError):
        run_cells(plan_of(tmp_path / "x", rows_of(0)).cells(), [str(tmp_path / "absent")])


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
def test_a_signal_reaches_the_run_which_goes_on_later(tmp_path, monkeypatch, number):
    whole = plan_of(tmp_path / "whole", rows_of(0, 1))
    run(whole)
    plan = plan_of(tmp_path / "out", rows_of(0, 1))
    waiting = plan.cells()[1].folder
    monkeypatch.setenv("FAKE_WAIT", "out/gain-1/seed-0")
    # Where the suite runs in the background, SIGINT is ignored.
    outer = signal.signal(number, signal.default_int_handler)
    before = signal.getsignal(number)
    thread = signal_when_waiting(waiting, number)
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    thread.join()
    assert signal.getsignal(number) is before
    signal.signal(number, outer)
    assert statuses(plan) == ["finished", "unfinished", "not started", "not started"]
    assert "gain 1, seed 0: step 3 of 5" in write_table(plan)
    assert (waiting / "checkpoint").read_text() == "3"
    monkeypatch.delenv("FAKE_WAIT")
    run(plan)
    lines = (waiting / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert write_table(plan) == write_table(whole)


DRIVER = """
import sys
from pathlib import Path
from tests.panns_tf.sweep.support import FAKE, plan_of, rows_of
from panns_tf.sweep.runner import run_cells
plan = plan_of(Path(sys.argv[1]), rows_of(0), seeds=(0,))
run_cells(plan.cells(), FAKE)
"""


@pytest.mark.full
def test_killed_outright_the_run_left_behind_is_not_started_twice(tmp_path):
    plan = plan_of(tmp_path / "out", rows_of(0), seeds=(0,))
    environment = {**os.environ, "FAKE_WAIT": "seed-0", "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(plan.output)], env=environment)
    log, deadline = plan.cells()[0].folder / "metrics.jsonl", time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") == 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
    if not children.exists():
        driver.kill()
        pytest.skip("this system does not list the children of a process")
    (child,) = (int(text) for text in children.read_text().split())
    driver.kill()
    driver.wait()
    with pytest.raises(ValueError, match="a run that another ablation left behind is at work in"):
        run(plan)
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            run(plan)
            break
        except ValueError:  # it has yet to let go
            time.sleep(0.05)
    assert statuses(plan) == ["finished"]


def test_flags_are_those_of_train(tmp_path):
    (row,) = rows_of(2)
    row.settings["dropout"] = False
    plan = plan_of(tmp_path, (row,), seeds=(7,))
    assert plan.cells()[0].flags() == [
        "--arch=Tiny",
        "--steps=5",
        "--gain=2",
        "--no-dropout",
        "--data=train",
        "--eval-data=eval",
        "--seed=7",
        f"--run-dir={tmp_path}/gain-2/seed-7",
        "--resume",
        "auto",
    ]
    assert train_command() == [sys.executable, "-m", "panns_tf", "train"]


def test_the_message_of_a_failed_run_is_not_its_progress_bar(tmp_path):
    script = r"print('train:  0%| | 0/9\rerror: no room\ntrain:  0%|  | 0/9 [00:00<?]\n')"
    for text, message in (
        (f"{script}; raise SystemExit(2)", "error: no room"),
        ("raise SystemExit(3)", "it printed nothing"),
    ):
        plan = plan_of(tmp_path / message[:5], rows_of(0), seeds=(0,))
        run_cells(plan.cells(), [sys.executable, "-c", text])
        assert plan.cells()[0].state()["said"] == message
