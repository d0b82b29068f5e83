"""Two workers, or two devices, train as one does on the same batches."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests import commands

pytestmark = pytest.mark.full

#: Nothing random, and a rate at which rounding does not grow from step to step.
EXACT = ["--sync-batchnorm", "--no-dropout", "--no-spec-augment", "--learning-rate", "1e-4"]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def flags(data, run_dir, *more) -> list[str]:
    words = f"--arch tiny --data {data}/train --eval-data {data}/eval --run-dir {run_dir}"
    settings = "--steps 20 --batch-size 4 --eval-steps 10 --log-steps 5"
    return [*words.split(), *settings.split(), *more]


def start(arguments: list[str], workers: int = 1, of_last=()) -> list[subprocess.Popen]:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        environment = dict(os.environ)
        last = of_last if index == workers - 1 else ()
        if workers > 1:
            task = {"type": "worker", "index": index}
            cluster = {"cluster": {"worker": addresses}, "task": task}
            environment["TF_CONFIG"] = json.dumps(cluster)
        processes.append(
            commands.training_process(
                *arguments, *last, module="tests.tiny_worker", env=environment
            )
        )
    return processes


def finish(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit status and the end of what was printed, of each."""
    printed = [process.communicate(timeout=240) for process in processes]
    return [
        (process.returncode, (out + err)[-3000:])
        for process, (out, err) in zip(processes, printed, strict=True)
    ]


def run(arguments: list[str], workers: int = 1) -> None:
    done = finish(start(arguments, workers))
    assert [status for status, _ in done] == [0] * workers, done


def log(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def held_by(run_dir: Path, worker: int = 0) -> list[np.ndarray]:
    """The network's variables at the end, as `tests.tiny_worker` writes them."""
    with np.load(run_dir / f"worker-{worker}.npz") as file:
        return [file[name] for name in file.files]


def assert_equal(ours, theirs) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("workers") / "alone"
    run(flags(data, run_dir, *EXACT))
    return run_dir


@pytest.mark.parametrize(("workers", "more"), [(1, ("--devices", "2")), (2, ())])
def test_two_follow_one_on_the_same_batches(alone, data, tmp_path, workers, more):
    run(flags(data, tmp_path / "r", *EXACT, *more), workers)
    ours, theirs = log(tmp_path / "r"), log(alone)
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for a, b in zip(ours, theirs, strict=True):
        key = "loss" if "loss" in a else "mAP"
        assert a[key] == pytest.approx(b[key], rel=1e-5 if key == "loss" else 1e-2)
    for worker in range(1, workers):
        assert_equal(held_by(tmp_path / "r"), held_by(tmp_path / "r", worker))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_goes_stops_the_job_which_resumes_to_the_same_bits(data, tmp_path, number):
    # The paper's recipe: other masks on each device, statistics of its own.
    run(flags(data, tmp_path / "whole", "--checkpoint-steps", "4"), 2)
    run_dir = tmp_path / "killed"
    arguments = flags(data, run_dir, "--checkpoint-steps", "4")
    processes = start(arguments, 2)
    deadline = time.monotonic() + 120
    while not list(run_dir.glob("checkpoints/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    processes[1].send_signal(number)
    (first, printed), (second, _) = finish(processes)
    if number == signal.SIGKILL:
        assert second == -signal.SIGKILL
        assert first == 2, printed
        assert "Traceback" not in printed
    else:
        assert (first, second) == (0, 0), printed
        assert "continue with: " in printed
    assert not (run_dir / "final.keras").exists()
    run([*arguments, "--resume", "auto"], 2)
    for worker in (0, 1):
        assert_equal(held_by(tmp_path / "whole", worker), held_by(run_dir, worker))


def test_workers_of_different_settings_are_refused(data, tmp_path):
    done = finish(start(flags(data, tmp_path / "r"), 2, ["--weight-decay", "1"]))
    for worker, (status, printed) in enumerate(done):
        assert status == 2, printed
        mine = "weight_decay=0.0" if worker == 0 else "weight_decay=1.0"
        assert mine in printed
    assert not (tmp_path / "r").exists()
