"""A training that was stopped goes on to the same bits."""

import json
import os
import re
import signal
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import commands


def flags(data, run_dir, **more) -> list[str]:
    values = {
        "arch": "tiny",
        "data": data / "train",
        "eval-data": data / "eval",
        "run-dir": run_dir,
        "steps": 30,
        "batch-size": 4,
        "eval-steps": 30,
        "log-steps": 1,
        "checkpoint-steps": 3,
        **more,
    }
    return [str(text) for name, value in values.items() for text in (f"--{name}", value)]


def weights(run_dir: Path) -> list[np.ndarray]:
    return keras.saving.load_model(run_dir / "final.keras").get_weights()


def last_checkpoint(run_dir: Path) -> dict[str, np.ndarray]:
    """Weights, optimiser and random states, by name."""
    with np.load(max(run_dir.glob("checkpoints/*.npz"))) as file:
        return {name: file[name] for name in file.files}


def all_of(run_dir: Path) -> list[np.ndarray]:
    """The final weights, and all numbers of the last checkpoint."""
    kept = last_checkpoint(run_dir)
    return weights(run_dir) + [
        kept[name] for name in sorted(kept) if kept[name].dtype.kind in "fiub"
    ]


def assert_same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


EVERYTHING = {
    **{"accumulate": 2, "schedule": "cosine", "warmup-steps": 3, "weight-decay": 0.01},
    **{"ema": 0.9, "label-smoothing": 0.1, "mixup-alpha": 0.5, "time-shift": 0.1, "gain": 6.0},
}


@pytest.mark.parametrize(
    "settings",
    [
        {"mixup": "features", "sampling": "balanced"},
        pytest.param(
            {"mixup": "waveform", "sampling": "alternate", "precision": "mixed_float16"},
            marks=pytest.mark.full,
        ),
        pytest.param({"mixup": "none", "sampling": "shuffled"}, marks=pytest.mark.full),
        pytest.param({"mixup": "features", **EVERYTHING}, marks=pytest.mark.full),
    ],
)
def test_a_resumed_run_is_bit_identical(data, tmp_path, settings):
    settings = {**settings, "steps": 6, "eval-steps": 6, "checkpoint-steps": 2}
    run_dir = tmp_path / "run"
    commands.train(*flags(data, run_dir, **settings), "--keep-checkpoints", 3, "--no-pictures")
    whole = all_of(run_dir)
    for path in (*sorted(run_dir.glob("checkpoints/*.npz"))[1:], *run_dir.glob("*.keras")):
        path.unlink()
    commands.train("--run-dir", run_dir, "--resume")
    assert_same(all_of(run_dir), whole)


@pytest.mark.full
def test_another_seed_is_another_run(data, tmp_path):
    """The control: the random states of sampling, mixup, dropout and SpecAugment matter."""
    settings = {"steps": 3, "eval-steps": 3}
    for seed in (0, 1):
        commands.train(*flags(data, tmp_path / str(seed), **settings, seed=seed), "--no-pictures")
    with pytest.raises(AssertionError):
        assert_same(all_of(tmp_path / "0"), all_of(tmp_path / "1"))


def run(*words) -> str:
    """Runs to the end; returns what was printed."""
    process = commands.training_process(*words)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return printed + errors


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    run(*flags(data, run_dir))
    return run_dir


def logged_lines(run_dir: Path) -> int:
    log = run_dir / "metrics.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_and_resumed_is_bit_identical(finished, data, tmp_path, seed):
    run_dir = tmp_path / "killed"
    # Killed once after a random number of logged steps, evaluation and saving included.
    stop_after = int(np.random.default_rng(seed).integers(4, 29))
    process = commands.training_process(*flags(data, run_dir))
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if logged_lines(run_dir) >= stop_after:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (run_dir / "final.keras").exists()
    run("--run-dir", run_dir, "--resume")
    assert_same(all_of(run_dir), all_of(finished))
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps)
    assert steps.count(15) == 1


@pytest.mark.full
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_an_interrupted_run_saves_and_names_the_command_that_goes_on(
    finished, data, tmp_path, number, status
):
    run_dir = tmp_path / "interrupted"
    process = commands.training_process(*flags(data, run_dir, **{"checkpoint-steps": 1000}))
    deadline = time.monotonic() + 300
    while process.poll() is None and logged_lines(run_dir) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    printed = "".join(process.communicate(timeout=300))
    assert process.returncode == status
    assert "Traceback" not in printed
    assert not (run_dir / "final.keras").exists()
    assert list(run_dir.glob("checkpoints/*.npz"))
    command = re.search(r"continue with: .*(--run-dir \S+ --resume)", printed)
    run(*command[1].split())
    assert_same(weights(run_dir), weights(finished))
